//go:build unix

package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Program is how a program is started again: what lies at its path by then.
type Program struct {
	Path string
	Args []string // without the path
}

// Self returns the program of this process. Its path is taken as it was called, so
// that a link which points to a newer version is followed anew.
func Self() (Program, error) {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		if path, err = os.Executable(); err != nil {
			return Program{}, err
		}
	}
	return Program{path, os.Args[1:]}, nil
}

// Replace starts a program with the listeners of this process and returns its
// process id when it is ready. One that ends, or says that it has failed, before
// that, or is not ready when ctx ends, is an error, and nothing has changed.
// Whatever becomes of the new process afterwards, nobody waits for it but init.
func (l *Listeners) Replace(ctx context.Context, p Program) (pid int, err error) {
	l.replace.Lock()
	defer l.replace.Unlock()
	said, ready, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer said.Close()
	cmd := exec.Command(p.Path, p.Args...) // #nosec G204 -- what this process was started as
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = l.hand(cmd, ready)
	if err == nil {
		err = cmd.Start()
	}
	for _, f := range cmd.ExtraFiles { // ready among them: the new process has its own
		err = errors.Join(err, f.Close())
	}
	l.unblock()
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", p.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // this process ends before it, or sees it end
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	raw, err := io.ReadAll(io.LimitReader(said, maxSaid)) // to its end: that of the process, or that it has said all
	why, failed := strings.CutPrefix(string(raw), hasFailed)
	switch {
	case err == nil && string(raw) == isReady && stop():
		return cmd.Process.Pid, nil
	case ctx.Err() != nil:
		<-ended
		return 0, fmt.Errorf("the new process was not ready in time: %w", context.Cause(ctx))
	case failed:
		err = errors.New(why)
	case err == nil:
		_ = cmd.Process.Kill() // it may have closed the descriptor only
		err = errors.New("it ended without a word")
	}
	if state := <-ended; state != nil {
		err = fmt.Errorf("%w (%w)", err, state)
	}
	return 0, fmt.Errorf("the new process is not ready: %w", err)
}

// hand puts copies of the listeners, and the descriptor by which it is to say that
// it is ready, into what a process is started with.
func (l *Listeners) hand(cmd *exec.Cmd, ready *os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, n := range l.open {
		filer, ok := n.Listener.(interface{ File() (*os.File, error) })
		if !ok {
			continue
		}
		f, err := filer.File()
		if err != nil {
			cmd.ExtraFiles = append(cmd.ExtraFiles, ready)
			return err
		}
		name := n.name
		if n.fixed {
			name = fixedMark + name
		}
		names = append(names, name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, ready)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WATCHDOG_PID=") })
	cmd.Env = append(cmd.Env, envParent+"="+strconv.Itoa(os.Getpid()), envCount+"="+strconv.Itoa(len(names)),
		envNames+"="+strings.Join(names, ":"), envReady+"="+strconv.Itoa(firstFD+len(names)))
	return nil
}

// unblock undoes what a copy of a descriptor may do to the one that it is of: they
// share whether they block, and an accept that blocks would not end with Close.
func (l *Listeners) unblock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.open {
		if c, ok := n.Listener.(syscall.Conn); ok {
			if raw, err := c.SyscallConn(); err == nil {
				_ = raw.Control(func(fd uintptr) { _ = syscall.SetNonblock(int(fd), true) }) // closed: nothing to undo
			}
		}
	}
}

// Signals are those that a server is told what to do by. From [Catch] on they do not
// end the process; they wait until somebody looks after them.
type Signals struct{ got chan os.Signal }

// Catch begins to catch signals, until Release.
func Catch() *Signals {
	s := &Signals{make(chan os.Signal, 2)}
	signal.Notify(s.got, syscall.SIGHUP, syscall.SIGUSR2)
	return s
}

// Release gives the signals back to the system.
func (s *Signals) Release() { signal.Stop(s.got) }

// Run calls reload for every SIGHUP and replace for every SIGUSR2, one at a time,
// until ctx ends.
func (s *Signals) Run(ctx context.Context, reload, replace func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case got := <-s.got:
			if got == syscall.SIGHUP {
				reload()
			} else {
				replace()
			}
		}
	}
}

func openFD(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}
