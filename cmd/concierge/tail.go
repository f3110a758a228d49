package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/admin"
	"github.com/events-concierge/concierge/server/host"
)

// lookEvery is the pause between two looks at whether a server is back.
const lookEvery = 200 * time.Millisecond

type tailOptions struct {
	data   string
	status []string
	method string
	user   string
	tool   string
	level  string
	format string
	last   int
	follow bool
}

func newTail() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow what a running server does: its requests, and its warnings",
		Long: "Shows the requests that a running server answers, as they come, with its warnings and errors. It asks the\n" +
			"server on this machine through a socket in the data directory. When the server is restarted it waits, goes\n" +
			"on from where it was, and says what it has missed. Ctrl-C ends it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := o.query(cmd.Context())
			if err != nil {
				return err
			}
			c, err := admin.NewClient(o.data)
			if err != nil {
				return err
			}
			t := tail{client: c, query: q, notes: cmd.ErrOrStderr(), show: newRecordPrinter(cmd.OutOrStdout(), o.format).print}
			if err := t.run(cmd.Context()); !errors.Is(err, admin.ErrNoServer) {
				return err
			}
			return fmt.Errorf("no server is running on %s: nobody answers at %s. Start one ('concierge serve'), or name its data directory (--data)", o.data, c.Path())
		},
	}
	cmd.Flags().StringVar(&o.data, "data", "./data", "data directory of the server")
	cmd.Flags().StringSliceVar(&o.status, "status", nil, "ok, error (a status of 400 and above, or a tool's error), a class such as 4xx, or a status such as 500; of several, any")
	cmd.Flags().StringVar(&o.method, "method", "", "an HTTP method such as POST")
	cmd.Flags().StringVar(&o.user, "user", "", "whose Host: an email, or an id as 'user list' shows it")
	cmd.Flags().StringVar(&o.tool, "tool", "", "a tool such as rsvp_to_event")
	cmd.Flags().StringVar(&o.level, "level", "", "least level: debug (with probes and refused floods), info, warn or error (default: all requests but these, and what else is a warning)")
	cmd.Flags().StringVar(&o.format, "format", "pretty", "pretty or json, one object a line")
	cmd.Flags().IntVarP(&o.last, "last", "n", 10, "how many records of before are shown first")
	cmd.Flags().BoolVar(&o.follow, "follow", true, "wait for more")
	return cmd
}

// query makes a query of the flags.
func (o *tailOptions) query(ctx context.Context) (q admin.Query, err error) {
	q = admin.Query{Filter: admin.Filter{Status: o.status, Method: o.method, Tool: o.tool}, Place: admin.Place{Last: o.last}, Once: !o.follow}
	switch {
	case o.format != "pretty" && o.format != "json":
		return q, misuse("--format %q: want pretty or json", o.format)
	case o.last < 0 || o.last > 10_000:
		return q, misuse("-n %d: want a number from 0 to 10000", o.last)
	case o.level != "":
		q.Level = new(slog.Level)
		if q.Level.UnmarshalText([]byte(o.level)) != nil {
			return q, misuse("--level %q: want debug, info, warn or error", o.level)
		}
	}
	if err := q.Valid(); err != nil {
		return q, misuse("--%w", err)
	}
	if o.user == "" {
		return q, nil
	}
	if q.User = o.user; !host.IsUserID(o.user) {
		q.User, err = o.userID(ctx)
	}
	return q, err
}

// userID turns the email into the id that records have: no email ever goes to the
// server.
func (o *tailOptions) userID(ctx context.Context) (id string, err error) {
	if !strings.Contains(o.user, "@") {
		return "", misuse("--user %q: want an email, or an id as 'user list' shows it", o.user)
	}
	if _, err := os.Stat(filepath.Join(o.data, "server.db")); err != nil {
		return "", fmt.Errorf("%s is no data directory of a server (--data): %w", o.data, err)
	}
	err = withHosts(ctx, o.data, func(h *host.Hosts) error {
		id, err = userID(h, o.user)
		return err
	})
	return id, err
}

// tail follows a server, and the one that comes after it.
type tail struct {
	client *admin.Client
	query  admin.Query
	notes  io.Writer

	mu   sync.Mutex // held while something is shown: for a while two servers may be followed
	show func(line []byte) error
}

// run follows until ctx ends, which is no error. Errors: [admin.ErrNoServer] if there
// was none to begin with.
func (t *tail) run(ctx context.Context) error {
	following, stop := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer stop()
	stream, err := t.client.Logs(following, t.query)
	for err == nil && stream != nil {
		ended, from := make(chan error, 1), stream
		reading.Go(func() { ended <- t.read(from) })
		stream, err = t.next(following, from, ended)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// next returns what to follow after a stream: that of the process to which the server
// hands over, beside the one before, or whatever there is when the stream has ended. It
// returns nil if no more is wanted.
func (t *tail) next(ctx context.Context, stream *admin.Stream, ended <-chan error) (*admin.Stream, error) {
	if t.query.Once {
		return nil, <-ended
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return nil, err
			}
			t.query.Place = stream.Place()
			return t.again(ctx)
		case <-look.C:
		}
		if !stream.Replaced() {
			continue
		}
		q := t.query
		q.Place = admin.Place{Run: stream.Run}
		switch after, err := t.client.Logs(ctx, q); {
		case err != nil: // it is looked at again, or the stream ends as well
		case after.Run == stream.Run:
			_ = after.Close()
		default:
			fmt.Fprintln(t.notes, "The server hands over to a new process. What follows is all since the start of that, and what the old one still does.")
			return after, nil
		}
	}
}

// read shows records until the stream ends. The error is of showing them: whoever
// reads may have gone.
func (t *tail) read(stream *admin.Stream) error {
	defer stream.Close()
	for {
		line, err := stream.Next()
		if err != nil { // of whatever kind: what came is shown, and the rest is asked for again
			return nil
		}
		t.mu.Lock()
		err = t.show(line)
		t.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// again waits for a server to be back.
func (t *tail) again(ctx context.Context) (*admin.Stream, error) {
	told := false
	for {
		stream, err := t.client.Logs(ctx, t.query)
		switch {
		case err == nil:
			t.welcome(stream)
			return stream, nil
		case ctx.Err() != nil || !errors.Is(err, admin.ErrNoServer):
			return nil, err
		case !told:
			fmt.Fprintln(t.notes, "The server is gone; waiting for it to come back. Ctrl-C ends this.")
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

func (t *tail) welcome(stream *admin.Stream) {
	if stream.Run == t.query.Run {
		fmt.Fprintln(t.notes, "Connected again to the same server: nothing is missing but what it says.")
		return
	}
	fmt.Fprintln(t.notes, "The server was started anew. What follows is all since its start; of what the last one did at its end some may be missing.")
}
