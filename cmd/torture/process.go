package main

import (
	"bufio"
	"bytes"
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

// process is a running `concierge`. Whoever starts one must see to it that
// [process.done] is closed in the end.
type process struct {
	cmd   *exec.Cmd
	ready chan string   // the URL that it listens on, once
	done  chan struct{} // closed when it has ended and has been waited for
}

var listening = regexp.MustCompile(`^Listening on (http://\S+)`)

// start starts a program; what it prints goes to log.
func start(program string, args, env []string, log io.Writer) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), ready: make(chan string, 1), done: make(chan struct{})}
	// Nothing of the environment that could change what a server does.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CONCIERGE_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Env = append(p.cmd.Env, env...)
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	go func() { // until the process ends, for which its owner waits
		defer close(p.done)
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
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	return p, nil
}

// watched is a server's log. A panic in it is a fault, also one that the server
// has survived.
type watched struct {
	io.Writer
	name  string
	fault func(format string, args ...any)
}

// Write is given whole lines.
func (w *watched) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		w.fault("%s panicked: see its log", w.name)
	}
	return w.Writer.Write(line)
}

// await returns the URL that the process listens on.
func (p *process) await(ctx context.Context) (string, error) {
	select {
	case url := <-p.ready:
		return url, nil
	case <-p.done:
		return "", fmt.Errorf("it ended before it listened: %s", p.cmd.ProcessState)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// killed tells whether a signal ended the process. It must have ended.
func (p *process) killed() bool { return p.cmd.ProcessState.ExitCode() == -1 }

// kill ends the process as kill -9 does, and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error says that it has ended already
	<-p.done
}

// stop asks the process to end and waits for that. One that does not end in
// time is killed.
func (p *process) stop(patience time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.kill()
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
		return fmt.Errorf("it did not stop within %s", patience)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("it stopped with %s", p.cmd.ProcessState)
	}
	return nil
}

// build compiles the product with its crash points, as it is compiled
// otherwise.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "crashpoint", "-o", path,
		"github.com/events-concierge/concierge/cmd/concierge")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the product: %w\n%s", err, out)
	}
	return nil
}
