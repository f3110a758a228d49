//go:build !unix

package handover

import (
	"context"
	"errors"
	"os"
)

// Program is how a program is started again.
type Program struct {
	Path string
	Args []string
}

// Self returns the program of this process.
func Self() (Program, error) {
	path, err := os.Executable()
	return Program{path, os.Args[1:]}, err
}

// Replace is an error on this system.
func (l *Listeners) Replace(context.Context, Program) (int, error) {
	return 0, errors.New("a listener can't be handed over on this system: stop the server and start it again")
}

// Signals are none on this system.
type Signals struct{}

// Catch does nothing.
func Catch() *Signals { return &Signals{} }

// Release does nothing.
func (s *Signals) Release() {}

// Run waits until ctx ends.
func (s *Signals) Run(ctx context.Context, reload, replace func()) { <-ctx.Done() }

func openFD(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }
