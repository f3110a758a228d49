package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// atTerminal reports whether there is a person to ask.
func atTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// ask has a person type a passphrase, which is not shown. It ends with ctx, though
// the terminal then goes on waiting: the process is about to end.
func ask(ctx context.Context, notice io.Writer, question string) (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(notice, question)
	defer fmt.Fprintln(notice)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return string(l.text), l.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}

// askTwice asks for a new passphrase: a mistake in it would lose what it locks.
func askTwice(ctx context.Context, ask func(context.Context, io.Writer, string) (string, error), notice io.Writer, question string) (string, error) {
	first, err := ask(ctx, notice, question)
	if err != nil {
		return "", err
	}
	second, err := ask(ctx, notice, "The same again: ")
	switch {
	case err != nil:
		return "", err
	case first != second:
		return "", errors.New("the two passphrases are not the same; nothing is done")
	case first == "":
		return "", errors.New("an empty passphrase locks nothing; nothing is done")
	}
	return first, nil
}
