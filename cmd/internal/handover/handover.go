// Package handover lets one process take over from another, or from systemd, what
// is listened to, so that a restart refuses nobody, and tells systemd what becomes
// of the service.
//
// A process opens what it was given with [Open], listens with [Listeners.Listen],
// and calls [Listeners.Ready] when it serves. [Listeners.Replace] starts the program
// anew with the same listeners and returns when the new process is ready; the old
// one then stops accepting and finishes what it has begun. Connections that nobody
// has accepted yet wait in the kernel, in a queue that both share, so none is lost.
//
// What is handed over is told as systemd does it (sd_listen_fds(3)): descriptors
// from 3 on, their number in LISTEN_FDS and their names in LISTEN_FDNAMES. It is not
// about anything else that two processes have to agree on.
package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Environment variables of systemd's protocols, and one of our own: whose child
// takes over, and by which descriptor it says that it is ready.
const (
	envPID    = "LISTEN_PID"
	envCount  = "LISTEN_FDS"
	envNames  = "LISTEN_FDNAMES"
	envParent = "CONCIERGE_TAKES_OVER_FROM"
	envReady  = "CONCIERGE_TAKES_OVER_READY"
)

const (
	firstFD = 3  // SD_LISTEN_FDS_START
	maxFDs  = 16 // more than anybody means
)

// Listeners are what a process listens to and can hand over.
type Listeners struct {
	mu      sync.Mutex
	given   []named    // that are not used yet
	open    []named    // that are
	ready   *os.File   // tells the process before this one; nil: there is none, or it knows
	replace sync.Mutex // held while another process is started
}

// named is a listener of a process.
type named struct {
	name  string
	fixed bool // systemd's: its unit says where it is, not whoever listens
	net.Listener
}

// fixedMark is before the name of a fixed listener when it is handed on.
const fixedMark = "unit="

// Open returns what was handed to this process. It takes the variables that say so
// out of the environment: they are not for the children of this process.
func Open() (*Listeners, error) {
	l := &Listeners{}
	from := os.Getenv(envPID)
	count, names, ready, parent := os.Getenv(envCount), os.Getenv(envNames), os.Getenv(envReady), os.Getenv(envParent)
	for _, name := range []string{envPID, envCount, envNames, envReady, envParent} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if parent != "" {
		if parent != strconv.Itoa(os.Getppid()) {
			return nil, fmt.Errorf("%s is set by a process that is not the one before this: unset it", envParent)
		}
	} else if ready = ""; from != strconv.Itoa(os.Getpid()) { // it was meant for another process
		return l, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("%s=%q: want a number up to %d", envCount, count, maxFDs)
	}
	all := strings.Split(names, ":")
	for i := range n {
		name := ""
		if i < len(all) {
			name = all[i]
		}
		name, fixed := strings.CutPrefix(name, fixedMark)
		if err := l.take(firstFD+i, name, fixed || parent == ""); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	if ready != "" {
		fd, err := strconv.Atoi(ready)
		if err != nil || fd != firstFD+n {
			return nil, errors.Join(fmt.Errorf("%s=%q is no descriptor that was handed over", envReady, ready), l.Close())
		}
		l.ready = openFD(fd, "ready")
	}
	return l, nil
}

func (l *Listeners) take(fd int, name string, fixed bool) error {
	f := openFD(fd, name)
	defer f.Close()
	listener, err := net.FileListener(f) // of a copy of the descriptor
	if err != nil {
		return fmt.Errorf("descriptor %d (%s), which was handed over, is no socket that listens: %w", fd, name, err)
	}
	l.given = append(l.given, named{name, fixed, listener})
	return nil
}

// TookOver reports whether another process serves until this one is ready.
func (l *Listeners) TookOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready != nil
}

// Listen returns a listener at a TCP address, under a name that tells those of a
// process apart. One of that name that was handed over and is at the address is
// used; so is one of systemd, wherever it is: there the socket's unit says where. A
// socket of systemd without a FileDescriptorName has the first name that is asked for.
// Where there is none, open opens it.
func (l *Listeners) Listen(name, addr string, open func() (net.Listener, error)) (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := named{name: name}
	i := slices.IndexFunc(l.given, func(g named) bool {
		if g.fixed {
			return g.name == name || g.name == "" || g.name == "unknown" || strings.HasSuffix(g.name, ".socket")
		}
		return g.name == name && sameAddress(g.Addr(), addr)
	})
	if i >= 0 {
		n.Listener, n.fixed = l.given[i].Listener, l.given[i].fixed
		l.given = slices.Delete(l.given, i, i+1)
	} else {
		var err error
		if n.Listener, err = open(); err != nil {
			return nil, err
		}
	}
	l.open = append(l.open, n)
	return n.Listener, nil
}

// sameAddress reports whether a listener is where addr says. Port 0 is any.
func sameAddress(at net.Addr, addr string) bool {
	is, ok := at.(*net.TCPAddr)
	want, err := net.ResolveTCPAddr("tcp", addr)
	if !ok || err != nil || want.Port != 0 && want.Port != is.Port {
		return false
	}
	anywhere := want.IP == nil || want.IP.IsUnspecified()
	return anywhere && is.IP.IsUnspecified() || !anywhere && want.IP.Equal(is.IP)
}

// Ready says that this process serves: to the one that it takes over from, and to
// systemd. What was handed over and is of no use is closed.
func (l *Listeners) Ready() error {
	l.mu.Lock()
	unused := l.given
	ready := l.ready
	l.given, l.ready = nil, nil
	l.mu.Unlock()
	var errs []error
	for _, g := range unused {
		errs = append(errs, g.Close())
	}
	if ready == nil {
		return errors.Join(append(errs, Notify("READY=1"))...)
	}
	// The process before this one tells systemd, which does not know this one yet.
	_, err := ready.WriteString(isReady)
	return errors.Join(append(errs, err, ready.Close())...)
}

// Failed tells the process that this one was to take over from why it does not.
func (l *Listeners) Failed(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready == nil {
		return
	}
	_, _ = l.ready.WriteString(hasFailed + why.Error()) // it sees the end anyway
	_ = l.ready.Close()
	l.ready = nil
}

// What is said by the descriptor of envReady.
const (
	isReady   = "ready\n"
	hasFailed = "failed\n"
	maxSaid   = 4 << 10
)

// Close closes what is not used. What is used is its user's to close.
func (l *Listeners) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, g := range l.given {
		errs = append(errs, g.Close())
	}
	if l.ready != nil {
		errs = append(errs, l.ready.Close())
	}
	l.given, l.ready = nil, nil
	return errors.Join(errs...)
}
