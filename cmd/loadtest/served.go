package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/events-concierge/concierge/cmd/internal/process"
)

// served is a running server.
type served struct {
	name string
	addr string
	*process.Process
	ready time.Duration // from its start until it listened
}

// serve starts a server and waits until it listens.
func serve(ctx context.Context, name, program string, env []string, args ...string) (*served, error) {
	var log bytes.Buffer // read after the process has ended
	start := time.Now()
	p, err := process.Start(program, args, env, &log)
	if err != nil {
		return nil, err
	}
	at, err := p.Await(ctx)
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("%s: %w\n%s", name, err, tail(log.Bytes()))
	}
	ready := time.Since(start)
	u, err := url.Parse(at)
	if err != nil {
		p.Kill()
		return nil, err
	}
	return &served{name: name, addr: u.Host, Process: p, ready: ready}, nil
}

func tail(log []byte) []byte { return log[max(0, len(log)-2000):] }

// stop ends the server.
func (s *served) stop() error {
	if err := s.Stop(time.Minute); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// ticks is how Linux counts processor time in /proc.
const ticks = time.Second / 100

// cpu is the processor time that the server has used, zero where the system
// does not tell.
func (s *served) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The name of the program, in brackets, may have spaces.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * ticks
}

// memory is how many bytes of it are in memory, zero where the system does not
// tell.
func (s *served) memory() int64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.Cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// copyFile copies a file over another, both of which nobody has open.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
