// Package process runs programs of this module as the children of tools that
// measure or break them. Start with [Start].
package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Process is a running `concierge`. Whoever starts one must see to it that
// [Process.Done] is closed in the end.
type Process struct {
	Cmd   *exec.Cmd
	ready chan string   // the URL that it listens on, once
	Done  chan struct{} // closed when it has ended and has been waited for
}

var listening = regexp.MustCompile(`^Listening on (https?://\S+)`)

// Start starts a program; what it prints goes to log.
func Start(program string, args, env []string, log io.Writer) (*Process, error) {
	p := &Process{Cmd: exec.Command(program, args...), ready: make(chan string, 1), Done: make(chan struct{})}
	// Nothing of the environment that could change what a server does.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CONCIERGE_") {
			p.Cmd.Env = append(p.Cmd.Env, v)
		}
	}
	// It is started many times, and each data directory would get a copy of it.
	p.Cmd.Env = append(append(p.Cmd.Env, "CONCIERGE_KEEP_PROGRAMS=0"), env...)
	pipe, err := p.Cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.Cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	go func() { // until the process ends, for which its owner waits
		defer close(p.Done)
		lines := bufio.NewReader(pipe)
		for {
			line, err := lines.ReadString('\n')
			_, _ = io.WriteString(log, line) // the log is for people; a full disk shows elsewhere
			if m := listening.FindStringSubmatch(line); m != nil {
				select {
				case p.ready <- m[1]:
				default:
				}
			}
			if err != nil {
				break
			}
		}
		_ = p.Cmd.Wait() // how it ended is in ProcessState
	}()
	return p, nil
}

// Await returns the URL that the process listens on.
func (p *Process) Await(ctx context.Context) (string, error) {
	select {
	case url := <-p.ready:
		return url, nil
	case <-p.Done:
		return "", fmt.Errorf("it ended before it listened: %s", p.Cmd.ProcessState)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Killed tells whether a signal ended the process. It must have ended.
func (p *Process) Killed() bool { return p.Cmd.ProcessState.ExitCode() == -1 }

// Kill ends the process as kill -9 does, and waits for it.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill() // an error says that it has ended already
	<-p.Done
}

// Stop asks the process to end and waits for that. One that does not end in
// time is killed.
func (p *Process) Stop(patience time.Duration) error {
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.Kill()
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.Done:
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("it did not stop within %s", patience)
	}
	if !p.Cmd.ProcessState.Success() {
		return fmt.Errorf("it stopped with %s", p.Cmd.ProcessState)
	}
	return nil
}
