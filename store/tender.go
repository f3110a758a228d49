package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// workers is how many files are tended at a time.
const workers = 4

// tendEvery is the pause between two looks at what nobody has asked for.
const tendEvery = time.Second

// tender does what nobody waits for, or what several wait for, beside them: it
// closes files and empties their logs.
type tender struct {
	woken   chan struct{}
	stopped chan struct{}
	jobs    sync.WaitGroup
}

// startTender has chores called when it is woken, and every now and then; what
// they return is run.
func startTender(every time.Duration, chores func() []func()) *tender {
	t := &tender{woken: make(chan struct{}, 1), stopped: make(chan struct{})}
	t.jobs.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		places := make(chan struct{}, workers)
		for {
			select {
			case <-t.woken:
			case <-ticker.C:
			case <-t.stopped:
				return
			}
			for _, job := range chores() {
				places <- struct{}{}
				t.jobs.Go(func() {
					defer func() { <-places }()
					job()
				})
			}
		}
	})
	return t
}

func (t *tender) wake() {
	select {
	case t.woken <- struct{}{}:
	default: // it is awake
	}
}

// stop ends it, and waits for what it has begun.
func (t *tender) stop() {
	close(t.stopped)
	t.jobs.Wait()
}

// rhythm is how often there may be something to tend.
func (o Options) rhythm() time.Duration {
	if o.Idle <= 0 {
		return tendEvery
	}
	return min(tendEvery, max(o.Idle/4, 10*time.Millisecond))
}

// chores are what is to be done about the files now.
func (p *Files) chores() (jobs []func()) {
	now := p.o.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.survey(now)
	for e := range p.due {
		delete(p.due, e)
		if e.busy == nil && e.file != nil {
			e.users++
			p.unlist(e)
			jobs = append(jobs, func() {
				defer p.release(e)
				if err := e.file.checkpoint(context.Background()); err != nil {
					p.o.Log.Error("a file's log could not be emptied", "err", err)
				}
			})
		}
	}
	surplus := len(p.slots) + p.waiting - p.keep
	for p.idle.Len() > 0 {
		e := p.idle.Front().Value.(*entry)
		if surplus <= 0 && (p.o.Idle <= 0 || now.Sub(e.since) < p.o.Idle) {
			break
		}
		surplus--
		p.seize(e)
		jobs = append(jobs, func() {
			if err := p.shut(e); err != nil {
				p.o.Log.Error("a file could not be closed as it should", "err", err)
			}
			p.drop(e)
		})
	}
	return jobs
}

// survey looks at every file, but no more often than is of use.
func (p *Files) survey(now time.Time) {
	if now.Sub(p.surveyed).Abs() < tendEvery {
		return
	}
	p.surveyed = now
	for path, e := range p.entries {
		switch {
		case e.busy != nil:
		case e.file == nil:
			if now.Sub(e.since) >= forget {
				delete(p.entries, path)
			}
		default:
			if err := errors.Join(e.file.read.trim(), e.file.write.trim()); err != nil {
				p.o.Log.Error("a connection could not be closed, or trimmed", "err", err)
			}
			if e.file.log.behind() {
				p.due[e] = true
			}
		}
	}
}
