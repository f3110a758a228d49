package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/params"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/metrics"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/store/archive"
)

const (
	gasEvery  = 30 * time.Second // is the pause between two questions for the gas account's balance
	diskEvery = 30 * time.Second
	// diskLeft is what a server needs at least to go on: a log is emptied beside its
	// file, so that for a while both have room.
	diskLeft = 64 << 20
	// settlementGas is more than a settlement costs that deploys no wallet.
	settlementGas = 150_000
	// backupLate is how long ago everything may have been archived last.
	backupLate = 5 * time.Minute
	// headLate is how old the newest block of a public chain may be.
	headLate = 10 * time.Minute
)

// watch is how a server is watched over.
type watch struct {
	metrics *metrics.Metrics
	tracer  trace.TracerProvider    // nil: nothing is traced
	gas     atomic.Pointer[big.Int] // wei, as last seen
	disk    atomic.Pointer[diskSpace]
}

type diskSpace struct{ free, size uint64 }

// newWatch returns what watches over a server that is about to start. end exports what
// was traced last.
func newWatch(ctx context.Context, log *slog.Logger) (w *watch, end func(), err error) {
	b, _ := thisBuild() // what it can't say is empty
	w = &watch{metrics: metrics.New(versionName(), b.Commit, nil)}
	w.tracer, end, err = openTracing(ctx, log)
	return w, end, err
}

// watchFlags are about who may watch.
type watchFlags struct{ operators []string }

func (f *watchFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.operators, "operator", nil, "email of an operator of this server, a registered user who may see /admin once signed in; repeat it or separate by commas")
}

// open finds the operators among the users. One who has no account is none: whoever
// registers the email later may be anybody. That is told to whoever starts the server,
// and not to the log, in which no email is to be.
func (f *watchFlags) open(ctx context.Context, hosts *host.Hosts, notice io.Writer) (all []server.Operator, err error) {
	for i, email := range f.operators {
		id, err := hosts.UserID(email)
		if err != nil {
			return nil, misuse("--operator: %w", err)
		}
		user, err := hosts.Server.User(ctx, id)
		switch {
		case errors.Is(err, store.ErrUserNotFound):
			fmt.Fprintf(notice, "Nobody has an account with the email of --operator number %d: run 'concierge user add EMAIL', and reload the server (SIGHUP) or start it again.\n", i+1)
			continue
		case err != nil:
			return nil, err
		}
		all = append(all, server.Operator{User: user.ID, Since: user.CreatedAt})
	}
	return all, nil
}

// over has a server watched over, and tells it what it needs.
func (w *watch) over(c *server.Config, side *settling, n *networkFlags, hosts *host.Hosts) {
	c.Metrics, c.Tracer, c.MetricsToken = w.metrics, w.tracer, n.secrets.get(secretMetricsToken).Reveal()
	w.chain(c, side, n)
	w.archive(c, hosts)
	w.room(c, hosts.Dir)
}

// chain watches what payments need.
func (w *watch) chain(c *server.Config, side *settling, n *networkFlags) {
	const unavailable = "payment_unavailable"
	c.Checks = append(c.Checks, server.Check{Name: "chain", Code: unavailable, Detail: "The chain can't be reached, so payments can't be taken.",
		Look: func(ctx context.Context) error {
			head, err := side.client.Head(ctx)
			if err == nil && n.name != onDevnet && time.Since(head.Time) > headLate {
				err = server.Plain("the newest block of the node is " + time.Since(head.Time).Truncate(time.Minute).String() + " old")
			}
			return err
		}})
	if side.pool != nil {
		c.Checks = append(c.Checks, server.Check{Name: "facilitator", Code: unavailable, Detail: "No facilitator can be reached, so payments can't be taken.",
			Look: func(context.Context) error {
				if err := side.pool.Ready(); err != nil {
					return fmt.Errorf("%w (%w)", server.Plain("none that settles on this network has answered"), err)
				}
				return nil
			}})
		return
	}
	w.metrics.Lookup("gas_balance_ether", "What the account has that pays for settling, as seen last.", nil, func(emit metrics.Emit) {
		if wei := w.gas.Load(); wei != nil {
			ether, _ := new(big.Rat).SetFrac(wei, big.NewInt(params.Ether)).Float64() // for a graph
			emit(ether)
		}
	})
	w.metrics.Sample(gasEvery, func(ctx context.Context) {
		if wei, err := side.client.GasBalance(ctx, side.gas); err == nil {
			w.gas.Store(wei)
		}
	})
	least := new(big.Int).Mul(big.NewInt(settlementGas), n.ceiling())
	c.Checks = append(c.Checks, server.Check{Name: "gas", Look: func(context.Context) error {
		if wei := w.gas.Load(); wei != nil && wei.Cmp(least) < 0 {
			return server.Plain("the gas account has too little for a settlement at --max-gas-price")
		}
		return nil
	}})
}

// archive watches the archive, if there is one.
func (w *watch) archive(c *server.Config, hosts *host.Hosts) {
	a, ok := hosts.Archive.(*archive.Archiver)
	if !ok {
		return
	}
	begun := time.Now()
	w.metrics.Lookup("backup_timestamp_seconds", "When all that had been written was in the archive (Unix time).", nil, func(emit metrics.Emit) {
		if at := a.Complete(); !at.IsZero() {
			emit(float64(at.Unix()))
		}
	})
	c.Checks = append(c.Checks, server.Check{Name: "backup", Look: func(context.Context) error {
		last := a.Complete()
		if last.IsZero() {
			last = begun
		}
		if late := time.Since(last); late > backupLate {
			return server.Plain("not all that was written is in the archive, for " + late.Truncate(time.Minute).String())
		}
		return nil
	}})
}

// room watches the disk.
func (w *watch) room(c *server.Config, dir string) {
	look := func(context.Context) {
		if free, size, err := store.DiskSpace(dir); err == nil {
			w.disk.Store(&diskSpace{free, size})
		}
	}
	if look(context.Background()); w.disk.Load() == nil {
		return
	}
	w.metrics.Sample(diskEvery, look)
	w.metrics.Lookup("disk_free_bytes", "What is left on the disk of the data directory.", nil, func(emit metrics.Emit) { emit(float64(w.disk.Load().free)) })
	w.metrics.Lookup("disk_size_bytes", "How large that disk is.", nil, func(emit metrics.Emit) { emit(float64(w.disk.Load().size)) })
	c.Checks = append(c.Checks, server.Check{Name: "disk", Code: "store_unavailable", Detail: "The disk of the data directory is full.",
		Look: func(context.Context) error {
			if free, _, err := store.DiskSpace(dir); err == nil && free < diskLeft {
				return server.Plain("less than 64 MiB are left")
			}
			return nil
		}})
}

// run samples until stop.
func (w *watch) run(ctx context.Context) (stop func()) { return tend(ctx, w.metrics.Run) }
