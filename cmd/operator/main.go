//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	program := flag.String("program", "bin/concierge", "the release that the reader has, as `FILE`")
	limit := flag.Duration("limit", 10*time.Minute, "how long all of it may take")
	next := flag.String("next", "", "the release that comes next, as `FILE`; without, it is built")
	keep := flag.Bool("keep", false, "leave the directories behind")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: operator [-program FILE] [-next FILE] [-limit 10m] [-keep] PAGE...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if err := run(ctx, operator{program: *program, next: *next, out: os.Stdout, keep: *keep}, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

// run runs the pages with a next release that is built before, unless there is one.
func run(ctx context.Context, o operator, pages []string) error {
	if o.next == "" {
		dir, err := os.MkdirTemp("", "operator-next-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if o.next, err = buildNext(ctx, dir); err != nil {
			return err
		}
	}
	for _, page := range pages {
		if err := o.page(ctx, page); err != nil {
			return err
		}
	}
	return nil
}
