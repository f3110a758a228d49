//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// endOf is what the shell prints behind each block, with its number.
const endOf = "=== end of block "

// operator runs pages.
type operator struct {
	program, next string
	out           io.Writer
	keep          bool // the directories
}

// page runs a page in a directory of its own.
func (o *operator) page(ctx context.Context, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	moved, err := elsewhere(string(text), freePort)
	if err != nil {
		return err
	}
	todo, err := steps(moved)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	dir, err := os.MkdirTemp("", "operator-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintf(o.out, "%s is run in %s\n", name, dir)
	} else {
		defer os.RemoveAll(dir)
	}
	if err := o.furnish(dir); err != nil {
		return err
	}
	began := time.Now()
	if err := o.shell(ctx, dir, name, todo); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(o.out, "ok   %s: %d blocks in %.1f s\n", name, len(todo), time.Since(began).Seconds())
	return nil
}

// furnish puts there what the reader of a page has: a release in bin, and the next one.
func (o *operator) furnish(dir string) error {
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	return errors.Join(copyProgram(o.program, filepath.Join(dir, "bin", "concierge")),
		copyProgram(o.next, filepath.Join(dir, "concierge-next")))
}

func copyProgram(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// environment is that of somebody who has just logged in: nothing of ours.
func environment(dir string) []string {
	return []string{"HOME=" + dir, "PATH=" + filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(),
		"LANG=C.UTF-8", "TZ=UTC", "NO_COLOR=1"}
}

// shell runs the steps in one shell and looks at what each prints. What the page
// has left running ends with it.
func (o *operator) shell(ctx context.Context, dir, name string, todo []step) error {
	var script strings.Builder
	for i, s := range todo {
		fmt.Fprintf(&script, "%s\nprintf '\\n%s%%d\\n' %d\n", s.script, endOf, i)
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script.String())
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, environment(dir), &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = write, write
	err = errors.Join(cmd.Start(), write.Close())
	if err != nil {
		return err
	}
	group := -cmd.Process.Pid
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	defer stop()
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = syscall.Kill(group, syscall.SIGTERM) // what the page has left running; it may hold the pipe
		ended <- err
	}()
	err = o.follow(read, name, todo)
	if err != nil {
		_ = syscall.Kill(group, syscall.SIGTERM)
	}
	end := <-ended
	settle(group)
	switch {
	case ctx.Err() != nil:
		return errors.Join(context.Cause(ctx), err)
	case err != nil:
		return err
	}
	return end
}

// settle waits until no process of a group is left, and kills what stays for long.
func settle(group int) {
	deadline := time.Now().Add(20 * time.Second)
	for syscall.Kill(group, 0) == nil {
		if time.Now().After(deadline) {
			_ = syscall.Kill(group, syscall.SIGKILL)
			return
		}
		time.Sleep(50 * time.Millisecond) // there is no wait for who is not our child
	}
}

// follow reads what the shell prints, block by block.
func (o *operator) follow(shell io.Reader, name string, todo []step) error {
	lines := bufio.NewScanner(shell)
	lines.Buffer(nil, 4<<20)
	var printed strings.Builder
	next, began := 0, time.Now()
	for next < len(todo) && lines.Scan() {
		if lines.Text() != fmt.Sprint(endOf, next) {
			printed.WriteString(lines.Text() + "\n")
			continue
		}
		s, got := todo[next], strings.TrimSuffix(printed.String(), "\n")
		if s.checked && !matches(s.shown, got) {
			return fmt.Errorf("line %d (%s): it prints\n%s\nand the page shows\n%s", s.line, s.heading, got, s.shown)
		}
		fmt.Fprintf(o.out, "  %5.1f s  %s:%d  %s\n", time.Since(began).Seconds(), name, s.line, s.heading)
		printed.Reset()
		next, began = next+1, time.Now()
	}
	if next == len(todo) {
		return nil
	}
	s := todo[next]
	return errors.Join(lines.Err(), fmt.Errorf("line %d (%s) failed:\n%s\nIt printed:\n%s", s.line, s.heading, s.script, printed.String()))
}

// freePort is one that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
