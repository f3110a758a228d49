package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store/archive"
)

// restoreOptions say what is restored from where.
type restoreOptions struct {
	from, data, user, to string
	list, asJSON         bool
	key                  secretFlags
}

func newRestore() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore --from PLACE",
		Short: "Put a data directory, or one user's Host, back to what it was",
		Long: "Makes a data directory of what an archive has, as it was at a time, or puts one user's Host (--user) in\n" +
			"an existing one back to it. What was paid since is then found on the chain by the server: it is owed, and\n" +
			"goes back. Nothing is lost when a restore fails: run it again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.from == "" {
				return misuse("--from is missing: a " + placeHelp)
			}
			to, err := o.time()
			if err != nil {
				return err
			}
			keys, err := o.key.open(o.data, slog.New(slog.DiscardHandler), bucketSecrets()...)
			if err != nil {
				return err
			}
			b, _, err := archive.Open(o.from, keys.bucket())
			if err != nil {
				return err
			}
			if o.list {
				return o.show(cmd.Context(), b, cmd.OutOrStdout())
			}
			return o.restore(cmd.Context(), b, to, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&o.from, "from", "", placeHelp)
	cmd.Flags().StringVar(&o.data, "data", "./data", "data directory")
	cmd.Flags().StringVar(&o.user, "user", "", "email or id of the user whose Host is put back, and nothing else")
	cmd.Flags().StringVar(&o.to, "to", "", "a time such as 2026-06-01T12:00:00Z (default: the newest)")
	o.key.add(cmd)
	cmd.Flags().BoolVar(&o.list, "list", false, "restore nothing: show what the archive has")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	return cmd
}

func (o *restoreOptions) time() (time.Time, error) {
	if o.to == "" {
		return time.Time{}, nil
	}
	to, err := time.Parse(time.RFC3339, o.to)
	switch {
	case err != nil:
		return to, misuse("--to %q: want a time such as 2026-06-01T12:00:00Z", o.to)
	case to.After(time.Now()):
		return to, misuse("--to %s is not over yet", o.to)
	}
	return to, nil
}

// id returns the user's id. An email is told by the secret of the data directory.
func (o *restoreOptions) id(h *host.Hosts) (string, error) {
	if !strings.Contains(o.user, "@") {
		if len(o.user) != 26 || strings.Trim(o.user, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			return "", misuse("--user %q: want an email, or an id of 26 letters and digits", o.user)
		}
		return o.user, nil
	}
	id, err := h.UserID(o.user)
	if err != nil {
		return "", misuse("--user: %v", err)
	}
	return id, nil
}

// restored is what came of it.
type restored struct {
	Point   string   `json:"point"` // RFC 3339
	Users   int      `json:"users"`
	Missing []string `json:"missing,omitempty"`
	Aside   string   `json:"replaced,omitempty"`
}

func (o *restoreOptions) restore(ctx context.Context, b archive.Backend, to time.Time, out io.Writer) (err error) {
	var r host.Restored
	if o.user == "" {
		r, err = host.RestoreAll(ctx, b, o.data, to)
	} else {
		err = o.inside(ctx, func(h *host.Hosts, id string) error {
			r, err = h.RestoreUser(ctx, b, id, to)
			return err
		})
	}
	if errors.Is(err, archive.ErrRange) {
		err = fmt.Errorf("--to %s: %w", o.to, err)
	}
	if err != nil {
		return err
	}
	said := restored{r.Point.Format(time.RFC3339Nano), r.Users, r.Missing, r.Aside}
	if o.asJSON {
		return printJSON(out, said)
	}
	fmt.Fprintf(out, "restored to %s, %d Hosts\n", said.Point, said.Users)
	for _, user := range r.Missing {
		fmt.Fprintf(out, "the archive has no file of user %s from then\n", user)
	}
	if r.Aside != "" {
		fmt.Fprintf(out, "the file of before is %s\n", r.Aside)
	}
	_, err = fmt.Fprintln(out, "A server on this directory now finds on the chain what was paid since; 'concierge doctor' shows how far it is.")
	return err
}

// inside opens the data directory for the user in it.
func (o *restoreOptions) inside(ctx context.Context, do func(h *host.Hosts, id string) error) error {
	return withHosts(ctx, o.data, func(h *host.Hosts) error {
		id, err := o.id(h)
		if err != nil {
			return err
		}
		return do(h, id)
	})
}

// listed is what an archive has.
type listed struct {
	Users  int    `json:"users"`
	Oldest string `json:"oldest"` // RFC 3339
	Newest string `json:"newest"`
}

func (o *restoreOptions) show(ctx context.Context, b archive.Backend, out io.Writer) (err error) {
	id := ""
	switch {
	case strings.Contains(o.user, "@"):
		err = o.inside(ctx, func(_ *host.Hosts, user string) error {
			id = user
			return nil
		})
	case o.user != "":
		id, err = o.id(nil)
	}
	if err != nil {
		return err
	}
	span, users, err := host.ListArchive(ctx, b, id)
	if err != nil {
		return err
	}
	said := listed{users, span.Oldest.Format(time.RFC3339Nano), span.Newest.Format(time.RFC3339Nano)}
	if o.asJSON {
		return printJSON(out, said)
	}
	_, err = fmt.Fprintf(out, "users   %d\noldest  %s\nnewest  %s\n", said.Users, said.Oldest, said.Newest)
	return err
}
