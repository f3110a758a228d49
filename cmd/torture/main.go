// Command torture lets the product run as it does in the field, breaks whatever
// can break around it, and then holds its books against the chain.
//
// It starts one `concierge devnet` and two `concierge serve` on one data
// directory, with proxies of its own between the servers and the chain and
// between the servers and a facilitator. The proxies lose, delay, cut, repeat and
// falsify what passes through them. The servers are killed, from outside at any
// moment and from inside at every step of a payment (package crashpoint).
// Guests pay over real HTTP, hang up, come back, and cheat. When enough has
// happened, the faults end, the servers finish what is open, and what the chain
// says is compared with the Hosts' files and with what each guest was told.
//
// It needs the Go command, and is run in the module:
//
//	go run ./cmd/torture -payments 2000 -kills 50 -seed 7
//
// Exit codes: 0 everything agrees, 1 something does not (or could not be
// found out), 2 wrong usage. See docs/how-to/development.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	payments int
	kills    int
	hosts    int
	guests   int
	seed     uint64
	window   time.Duration
	limit    time.Duration
	dir      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

func run(ctx context.Context, args []string, out io.Writer) int {
	var o options
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.payments, "payments", 2000, "payments that must have been taken before it ends")
	flags.IntVar(&o.kills, "kills", 50, "kills of a server before it ends, at least; every named step is hit")
	flags.IntVar(&o.hosts, "hosts", 5, "how many Hosts there are")
	flags.IntVar(&o.guests, "guests", 48, "how many guests there are at a time")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what all chance is made from")
	flags.DurationVar(&o.window, "window", 50*time.Second, "how long most authorizations live, at least 15s")
	flags.DurationVar(&o.limit, "limit", 30*time.Minute, "when to give up")
	flags.StringVar(&o.dir, "dir", "", "a new directory for data and logs, which is kept (default: a temporary one, kept after a failure)")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || o.payments < 1 || o.kills < 0 || o.hosts < 1 || o.guests < 1 || o.window < 15*time.Second {
		flags.Usage()
		return 2
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("it is not over after %s", o.limit))
	defer cancel()
	w := newWorld(o, out)
	err := w.torture(ctx)
	w.report(err)
	if err != nil || len(w.faults) > 0 {
		fmt.Fprintf(out, "\nFAILED. The seed is %d; logs and data are in %s.\n", o.seed, w.dir)
		return 1
	}
	if o.dir == "" {
		err = os.RemoveAll(w.dir)
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	fmt.Fprintf(out, "\nEverything agrees (seed %d).\n", o.seed)
	return 0
}
