package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments/crashpoint"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// rollingBackFile is in a data directory whose rollback has not come to its end.
const rollingBackFile = "rolling-back"

// Files of the agent, which are taken back as well.
const (
	agentFile      = "agent.db"
	agentPurseFile = "agent-purse.db"
)

// Rollback takes the files of a data directory back to what an earlier deployment
// reads. It has the directory for itself until it is closed.
type Rollback struct {
	To     store.Deployment
	Latest store.Deployment // that is gone back from
	Stay   int              // files that it reads as they are
	Hosts  []store.Back     // files of Hosts that are taken back
	Others []store.Back     // the agent's
	Server store.Back

	dir    string
	now    func() time.Time
	began  bool // and did not come to its end
	stamp  string
	since  time.Time // from when on Hosts may have been written by newer programs
	unlock func() error
}

// begun is what the file says that is there while a rollback is under way.
type begun struct {
	Deployment int64  `json:"deployment"`
	Stamp      string `json:"stamp"` // in the names of files that are put aside
}

// PlanRollback finds out what must be done to go back to a deployment, and changes
// nothing. Close what it returns. Errors: [ErrDirectoryInUse], [ErrNoDeployment],
// [store.ErrNoWayBack], and [store.ErrNewerSchema] if a file is newer than this program.
func PlanRollback(ctx context.Context, dir string, id int64, now func() time.Time) (_ *Rollback, err error) {
	r := &Rollback{dir: dir, now: now}
	if _, err := os.Stat(r.path(serverFile)); err != nil {
		return nil, fmt.Errorf("%s is no data directory of a server: %w", dir, err)
	}
	if r.unlock, err = lockAlone(r.path(lockFile)); err != nil {
		return nil, err
	}
	if err := errors.Join(r.resume(id), r.find(ctx, id)); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := r.plan(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rollback) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// Close lets others open the directory.
func (r *Rollback) Close() error { return r.unlock() }

// resume finds out whether a rollback has begun and not come to its end.
func (r *Rollback) resume(id int64) error {
	text, err := os.ReadFile(r.path(rollingBackFile))
	if errors.Is(err, fs.ErrNotExist) {
		r.stamp = r.now().UTC().Format("20060102T150405.000Z")
		return nil
	}
	var b begun
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", r.path(rollingBackFile), err)
	case b.Deployment != id:
		return fmt.Errorf("a rollback to deployment %d has not come to its end: run 'concierge rollback %[1]d' again first", b.Deployment)
	}
	r.stamp, r.began = b.Stamp, true
	return nil
}

// ErrNoDeployment means that there is no deployment of this id.
var ErrNoDeployment = errors.New("there is no such deployment")

// find finds the deployment, and when programs first wrote files that it does not read.
func (r *Rollback) find(ctx context.Context, id int64) error {
	all, err := ListDeployments(ctx, r.dir, 1<<20)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(d store.Deployment) bool { return d.ID == id })
	if i < 0 {
		return fmt.Errorf("%w: %d", ErrNoDeployment, id)
	}
	r.To, r.Latest = all[i], all[0]
	for _, d := range all { // from the newest on
		if d.Schemas.Hosts.Newest <= r.To.Schemas.Hosts.Newest {
			break
		}
		r.since = d.Since
	}
	return nil
}

// ListDeployments lists the deployments of a data directory, the newest first, also
// beside a running server. Nothing is changed.
func ListDeployments(ctx context.Context, dir string, limit int) (all []store.Deployment, err error) {
	err = withServer(ctx, dir, store.Options{}, func(s *store.Server) error {
		all, err = s.Deployments(ctx, limit)
		return err
	})
	return all, err
}

// ListStarts lists the starts of the programs of a data directory, the newest first.
func ListStarts(ctx context.Context, dir string, limit int) (all []store.Start, err error) {
	err = withServer(ctx, dir, store.Options{}, func(s *store.Server) error {
		all, err = s.Starts(ctx, limit)
		return err
	})
	return all, err
}

// firstRecorded is the version of the server's file from which on deployments are in it.
const firstRecorded = 7

func withServer(ctx context.Context, dir string, o store.Options, do func(*store.Server) error) (err error) {
	path := filepath.Join(dir, serverFile)
	switch version, _, err := store.ServerVersion(ctx, path); {
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case version < firstRecorded:
		return fmt.Errorf("no deployments are recorded in %s yet: this begins with the next 'concierge serve'", path)
	}
	s, err := store.OpenServerAsIs(ctx, path, o)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

// plan finds out what must be done with each file.
func (r *Rollback) plan(ctx context.Context) (err error) {
	to := r.To.Schemas
	if r.Server, err = store.ServerBack(ctx, r.path(serverFile), to.Server.Newest); err != nil {
		return err
	}
	if r.Server.Way == store.BackNone {
		r.Stay++
	}
	for _, f := range []struct {
		name string
		back func(context.Context, string, int) (store.Back, error)
		to   int
	}{{agentFile, store.ChatsBack, to.Chats.Newest}, {agentPurseFile, store.PurseBack, to.Purse.Newest}} {
		switch b, err := f.back(ctx, r.path(f.name), f.to); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case b.Way == store.BackNone:
			r.Stay++
		default:
			r.Others = append(r.Others, b)
		}
	}
	if err := r.planHosts(ctx); err != nil {
		return err
	}
	return r.rehearse(ctx)
}

func (r *Rollback) planHosts(ctx context.Context) error {
	return withServer(ctx, r.dir, store.Options{}, func(s *store.Server) error {
		return eachHost(ctx, r.dir, func(user, path string) error {
			made := time.Time{} // of who is gone: no copy, no way back
			u, err := s.User(ctx, user)
			if err == nil {
				made = u.CreatedAt
			} else if !errors.Is(err, store.ErrUserNotFound) {
				return err
			}
			b, err := store.HostBack(ctx, path, r.To.Schemas.Hosts.Newest, made, r.since)
			switch {
			case err != nil:
				return err
			case b.Way == store.BackNone:
				r.Stay++
			default:
				r.Hosts = append(r.Hosts, b)
			}
			return nil
		})
	})
}

// eachHost calls do for each file of a Host.
func eachHost(ctx context.Context, dir string, do func(user, path string) error) error {
	err := filepath.WalkDir(filepath.Join(dir, "hosts"), func(path string, d fs.DirEntry, err error) error {
		user, is := "", false
		if err == nil {
			user, is = strings.CutSuffix(d.Name(), ".db")
		}
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !is || d.IsDir() || !IsUserID(user):
			return nil
		}
		return do(user, path)
	})
	if errors.Is(err, fs.ErrNotExist) { // nobody has a Host yet
		return nil
	}
	return err
}

// rehearse makes the files that are carried over once, to know before anything is
// changed that it can be done.
func (r *Rollback) rehearse(ctx context.Context) error {
	for _, b := range append([]store.Back{r.Server}, r.Others...) {
		if b.Way == store.BackNone {
			continue
		}
		temp := b.Path + ".rehearsed"
		if err := removeAll(temp); err != nil {
			return err
		}
		err := b.Make(ctx, temp, x402.Address{}, store.Options{Now: r.now})
		if err := errors.Join(err, removeAll(temp)); err != nil {
			return err
		}
	}
	return nil
}

// Done reports whether nothing has to be done with the files.
func (r *Rollback) Done() bool {
	return !r.began && len(r.Hosts)+len(r.Others) == 0 && r.Server.Way == store.BackNone
}

// Do does it. What is killed half-way is run again; until it has come to its end no
// server starts.
func (r *Rollback) Do(ctx context.Context) error {
	if r.Done() {
		return nil
	}
	if !r.began {
		text, err := json.Marshal(begun{r.To.ID, r.stamp})
		if err == nil {
			err = writeNew(r.path(rollingBackFile), append(text, '\n'))
		}
		if err == nil { // it must outlive a power cut that the first file outlives
			err = store.SyncDir(r.dir)
		}
		if err != nil {
			return fmt.Errorf("begin a rollback: %w", err)
		}
		crashpoint.Hit(crashpoint.RollbackBegun)
	}
	if err := r.takeHosts(ctx); err != nil {
		return err
	}
	// The server's file last: until then the Hosts' claims are noted in it.
	for _, b := range append(slices.Clone(r.Others), r.Server) {
		if b.Way != store.BackNone {
			if err := r.take(ctx, b, store.User{}, nil); err != nil {
				return err
			}
		}
	}
	if err := r.dropCopies(ctx); err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.RollbackDropped)
	return errors.Join(os.Remove(r.path(rollingBackFile)), store.SyncDir(r.dir))
}

func (r *Rollback) takeHosts(ctx context.Context) error {
	if len(r.Hosts) == 0 {
		return nil
	}
	secret, err := os.ReadFile(r.path(secretFile))
	if err != nil {
		return fmt.Errorf("server secret: %w", err)
	}
	o := store.Options{Now: r.now, Secret: derive(secret, "spent", "")}
	return withServer(ctx, r.dir, o, func(s *store.Server) error {
		for _, b := range r.Hosts {
			u, err := s.User(ctx, strings.TrimSuffix(filepath.Base(b.Path), ".db"))
			if err != nil && !errors.Is(err, store.ErrUserNotFound) {
				return err
			}
			if err := r.take(ctx, b, u, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// take takes one file back. That of a Host which becomes a copy is noted before: a
// server that opens it must look after what was paid since.
func (r *Rollback) take(ctx context.Context, b store.Back, u store.User, s *store.Server) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(b.Path), ".rolled-back-"+filepath.Base(b.Path))
	if err := removeAll(temp); err != nil { // of a rollback that was ended
		return err
	}
	if err := b.Make(ctx, temp, u.WalletAddress, store.Options{Now: r.now}); err != nil {
		return errors.Join(err, removeAll(temp))
	}
	crashpoint.Hit(crashpoint.RollbackMade)
	if b.Way == store.BackCopy && u.ID != "" {
		if err := b.Reopen(ctx, temp, s.Claims(), u.ID); err != nil {
			return errors.Join(err, removeAll(temp))
		}
		if err := s.Note(ctx, u.ID); err != nil {
			return errors.Join(err, removeAll(temp))
		}
		crashpoint.Hit(crashpoint.RollbackNoted)
	}
	aside := b.Path + ".replaced-" + r.stamp
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) { // it was linked and not replaced
		return err
	}
	if err := store.Replace(ctx, b.Path, temp, aside); err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.RollbackReplaced)
	return nil
}

// dropCopies removes the copies from before the migrations that are undone: before the
// next one another must be kept.
func (r *Rollback) dropCopies(ctx context.Context) error {
	drop := func(path string, to int) error {
		if _, err := os.Stat(path + ".replaced-" + r.stamp); err != nil {
			return nil // this one stayed
		}
		return store.Back{Path: path, To: to}.DropCopies()
	}
	to := r.To.Schemas
	return errors.Join(
		eachHost(ctx, r.dir, func(_, path string) error { return drop(path, to.Hosts.Newest) }),
		drop(r.path(serverFile), to.Server.Newest), drop(r.path(agentFile), to.Chats.Newest), drop(r.path(agentPurseFile), to.Purse.Newest))
}
