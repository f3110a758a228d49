// Command loadtest measures what the product can do, beside what the same
// machine gives without it in the same run: bare servers that have the same
// answer in memory, and SQLite's own commits on the same disk.
//
//	go run ./cmd/loadtest -program bin/concierge
//
// It starts the servers as processes of their own, checks every answer, and
// prints a table. docs/explanation/performance.md explains it. Exit codes: 0 all bars are
// met, 1 some are not or something went wrong, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	program    string
	only       string
	json       string
	rounds     int
	each       time.Duration
	clients    int
	gogc       int
	slack      float64
	events     int
	hosts      int
	eventsEach int
	payments   int
	users      int
	touched    int
	soak       time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	var o options
	var kind, toolName, answerFile, instantDir string
	flags := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.program, "program", "bin/concierge", "the product")
	flags.StringVar(&o.only, "only", "", "which parts to run, such as calls,paid (default: all)")
	flags.StringVar(&o.json, "json", "", "a file for the figures as JSON")
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured; medians count")
	flags.DurationVar(&o.each, "each", 2*time.Second, "how long one measurement takes")
	flags.IntVar(&o.clients, "clients", 32, "how many clients call at a time")
	flags.IntVar(&o.gogc, "gogc", 400, "the garbage collector's percent, of all servers")
	flags.Float64Var(&o.slack, "slack", 1, "by how much a bar may be missed, as a factor")
	flags.IntVar(&o.events, "events", 1000, "events of the one Host")
	flags.IntVar(&o.hosts, "hosts", 1000, "Hosts that are called in turn")
	flags.IntVar(&o.eventsEach, "events-each", 100, "events of each of them")
	flags.IntVar(&o.payments, "payments", 3000, "paid bookings a round")
	flags.IntVar(&o.users, "users", 100_000, "registered users")
	flags.IntVar(&o.touched, "touched", 20_000, "and how many of them are called")
	flags.DurationVar(&o.soak, "for", 10*time.Minute, "how long -only soak calls, which is run by its name alone")
	flags.StringVar(&kind, "baseline", "", "be a baseline: net/http, mcp-go or go-sdk")
	flags.StringVar(&toolName, "tool", "", "the baseline's tool")
	flags.StringVar(&answerFile, "answer", "", "the file that has the baseline's answer")
	flags.StringVar(&instantDir, "instant", "", "be the product on this data directory, on a chain that takes no time")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	switch {
	case flags.NArg() > 0:
		flags.Usage()
		return 2
	case o.valid() != nil:
		fmt.Fprintln(errOut, "loadtest:", o.valid())
		return 2
	case kind != "":
		err = baseline(ctx, kind, toolName, answerFile)
	case instantDir != "":
		err = serveInstant(ctx, instantDir)
	default:
		err = measure(ctx, o, out)
	}
	if err != nil {
		fmt.Fprintln(errOut, "loadtest:", err)
		return 1
	}
	return 0
}

// wants reports whether a scenario is to be run.
func (o options) wants(name string) bool {
	return o.only == "" && name != "soak" || slices.Contains(strings.Split(o.only, ","), name)
}

// valid says what is wrong with the command line.
func (o options) valid() error {
	for name := range strings.SplitSeq(o.only, ",") {
		if name != "" && !slices.ContainsFunc(scenarios(), func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("-only: there is no %q", name)
		}
	}
	if o.rounds < 1 || o.clients < 1 || o.touched > o.users || o.hosts < 2 || o.eventsEach < 1 || o.slack < 1 || o.soak < minutes*time.Second {
		return errors.New("-rounds, -clients and -events-each must be at least 1, -hosts at least 2, -slack at least 1, -for at least 10s, and -touched at most -users")
	}
	return nil
}

// measure runs the scenarios and prints what they found.
func measure(ctx context.Context, o options, out io.Writer) (err error) {
	b := &bench{options: o, out: out}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "loadtest-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(), os.RemoveAll(b.dir)) }()
	for _, s := range scenarios() {
		if !o.wants(s.name) {
			continue
		}
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Fprintln(out)
	if err := show(out, b.figures); err != nil {
		return err
	}
	if o.json != "" {
		if err := b.write(o.json); err != nil {
			return err
		}
	}
	missed := 0
	for _, f := range b.figures {
		if !f.Met {
			missed++
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d figures miss their bar", missed, len(b.figures))
	}
	return nil
}

func (b *bench) write(name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return showJSON(f, b.figures)
}
