package host

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"time"

	"github.com/events-concierge/concierge/store"
)

const (
	// sweepEvery is the pause between two sweeps.
	sweepEvery = time.Minute
	// restTimes is how much longer a sweep rests than it works: it takes a quarter of
	// a core at most.
	restTimes = 3
	// sweepPage is how many users a sweep looks at, and how many events of a Host it
	// reads, at a time.
	sweepPage = 200
)

// Run sweeps until ctx ends: at once, every minute, and when something was found
// that is not as the index has it.
func (x *Index) Run(ctx context.Context) {
	every := time.NewTicker(sweepEvery)
	defer every.Stop()
	x.sweepNow(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case user := <-x.stale:
			if err := x.lookAgain(ctx, user); err != nil && ctx.Err() == nil {
				x.hosts.Log.Debug("look at a host again", "user", user, "err", err)
			}
		case <-x.sweep:
			x.sweepNow(ctx)
		case <-every.C:
			x.sweepNow(ctx)
		}
	}
}

func (x *Index) sweepNow(ctx context.Context) {
	begun := time.Now()
	err := x.Sweep(ctx)
	if err != nil && ctx.Err() == nil {
		x.hosts.Log.Error("sweep the index of events", "err", err)
	}
	if err == nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.swept, x.sweptFor = x.hosts.Now(), time.Since(begun)
	}
}

// Swept returns when the last sweep of [Index.Run] came to its end, and what it took;
// the zero time if none has yet.
func (x *Index) Swept() (at time.Time, took time.Duration) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.swept, x.sweptFor
}

// Sweep makes the index what the Hosts are. It reads those whose file has changed
// since it was last read, and of them the events that have. A Host that can't be read
// stops nothing; an index that can't is made anew.
func (x *Index) Sweep(ctx context.Context) error {
	err := x.sweepOnce(ctx)
	if isDamage(err) {
		err = x.sweepOnce(ctx)
	}
	return err
}

func (x *Index) sweepOnce(ctx context.Context) error {
	if err := x.open(ctx); err != nil {
		return err
	}
	there := map[string]struct{}{}
	for after := ""; ; {
		users, next, err := x.hosts.Server.Users(ctx, sweepPage, after)
		if err != nil {
			return err
		}
		if err := x.sweepUsers(ctx, users); err != nil {
			return err
		}
		for _, u := range users {
			if !u.Leaving {
				there[u.ID] = struct{}{}
			}
		}
		if after = next; after == "" {
			break
		}
	}
	if err := x.forgetOthers(ctx, there); err != nil {
		return err
	}
	for more := true; more; {
		if err := x.with(func(f *store.Index) (err error) { more, err = f.Purge(ctx); return err }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sweepUsers reads those of these users' Hosts that have changed.
func (x *Index) sweepUsers(ctx context.Context, users []store.User) error {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	var known map[string]store.Indexed
	if err := x.with(func(f *store.Index) (err error) { known, err = f.Known(ctx, ids); return err }); err != nil {
		return err
	}
	for _, u := range users {
		state, _ := x.hosts.Files.Host(x.hosts.path(u.ID)).State()
		k, is := known[u.ID]
		if u.Leaving || !is && state == "" || is && k.State == state && k.Since.Equal(u.CreatedAt) {
			continue
		}
		began := time.Now()
		x.tell(u.ID, state, x.refresh(ctx, u))
		if err := rest(ctx, restTimes*time.Since(began)); err != nil {
			return err
		}
	}
	return nil
}

// rest waits after a Host was read: guests come first, however many Hosts there are
// to be read.
func rest(ctx context.Context, d time.Duration) error {
	pause := time.NewTimer(d)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell tells the log of a Host that can't be read, once for each state of its file.
func (x *Index) tell(user, state string, err error) {
	x.tellMu.Lock()
	defer x.tellMu.Unlock()
	switch {
	case err == nil:
		delete(x.told, user)
	case errors.Is(err, context.Canceled), x.told[user] == state:
	default:
		x.told[user] = state
		x.hosts.Log.Warn("a host can't be read for the index of events", "user", user, "err", err)
	}
}

// forgetOthers takes out who is not there any more.
func (x *Index) forgetOthers(ctx context.Context, there map[string]struct{}) error {
	for after := ""; ; {
		var users []string
		if err := x.with(func(f *store.Index) (err error) { users, err = f.Users(ctx, after, sweepPage); return err }); err != nil {
			return err
		}
		for _, user := range users {
			if _, is := there[user]; is {
				continue
			}
			if err := x.lookAgain(ctx, user); err != nil { // who registered during the sweep is there
				return err
			}
		}
		if len(users) < sweepPage {
			return nil
		}
		after = users[len(users)-1]
	}
}

// lookAgain makes of a user what they are now.
func (x *Index) lookAgain(ctx context.Context, user string) error {
	u, err := x.hosts.Server.User(ctx, user)
	if errors.Is(err, store.ErrUserNotFound) {
		return x.forget(ctx, user)
	}
	if err != nil {
		return err
	}
	return x.refresh(ctx, u)
}

func (x *Index) forget(ctx context.Context, user string) error {
	return x.with(func(f *store.Index) error { return f.Forget(ctx, user) })
}

// refresh reads what has changed of a Host since it was last read.
func (x *Index) refresh(ctx context.Context, u store.User) error {
	h := fnv.New32a()
	_, _ = h.Write([]byte(u.ID))
	stripe := &x.stripes[h.Sum32()%uint32(len(x.stripes))]
	stripe.Lock()
	defer stripe.Unlock()
	var was store.Indexed
	err := x.with(func(f *store.Index) error {
		known, err := f.Known(ctx, []string{u.ID})
		was = known[u.ID]
		return err
	})
	if err != nil {
		return err
	}
	file := x.hosts.Files.Host(x.hosts.path(u.ID))
	state, settled := file.State() // before it is read
	if state == "" {
		return x.forget(ctx, u.ID)
	}
	if was.State == state && was.Since.Equal(u.CreatedAt) {
		return nil
	}
	if !settled { // it may change again and look the same
		state = ""
	}
	is := store.Indexed{User: u.ID, Since: u.CreatedAt, State: state}
	if was.User != "" && was.Since.Equal(u.CreatedAt) {
		behind, err := x.catchUp(ctx, file, was, is)
		if err != nil || !behind {
			return err
		}
	}
	return x.readAll(ctx, file, was, is)
}

// catchUp reads the events with a revision that was not seen yet, and reports
// whether the file has fewer than were seen: then it is another, from a backup.
func (x *Index) catchUp(ctx context.Context, file *store.Host, was, is store.Indexed) (behind bool, err error) {
	state := is.State
	for {
		events, highest, err := file.Changes(ctx, was.Revision, sweepPage)
		if err != nil || highest < was.Revision {
			return err == nil, err
		}
		is.Revision, is.State = was.Revision, state
		if n := len(events); n > 0 {
			is.Revision = events[n-1].Revision
			if n == sweepPage {
				is.State = "" // until all of it is read
			}
		}
		err = x.with(func(f *store.Index) error { return f.Update(ctx, was, is, events, false) })
		if err != nil || len(events) < sweepPage {
			return false, err
		}
		was = is
	}
}

// readAll reads all events of a Host that are to come.
func (x *Index) readAll(ctx context.Context, file *store.Host, was, is store.Indexed) error {
	_, highest, err := file.Changes(ctx, math.MaxInt64, 1)
	if err != nil {
		return err
	}
	state := is.State
	q := store.EventQuery{From: x.hosts.Now(), Listed: true, Limit: sweepPage}
	for anew := true; ; anew = false {
		events, next, err := file.Events(ctx, q)
		if err != nil {
			return err
		}
		is.Revision, is.State = 0, ""
		if next == "" {
			is.Revision, is.State = highest, state
		}
		if err := x.with(func(f *store.Index) error { return f.Update(ctx, was, is, events, anew) }); err != nil || next == "" {
			return err
		}
		was, q.After = is, next
	}
}
