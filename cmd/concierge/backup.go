package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store/archive"
)

// archiveEvery is the pause between two looks at what was written.
const archiveEvery = time.Second

// secretNotice is what nobody should learn when it is too late.
const secretNotice = "secret.key is not in the archive: keep a copy of it elsewhere. Without it nothing can be restored; who has both has the wallets."

// backupFlags are about an archive that is written to.
type backupFlags struct {
	url        string
	keep       time.Duration
	withSecret bool
	secrets    *credentials
}

// keepByDefault is what Cloudflare keeps of a Durable Object.
const keepByDefault = 30 * 24 * time.Hour

// keepAtLeast is the shortest time to go back that makes sense.
const keepAtLeast = time.Hour

func (f *backupFlags) valid() error {
	if f.keep < keepAtLeast {
		return misuse("how long to keep: %v is too short, want at least %v", f.keep, keepAtLeast)
	}
	return nil
}

// open opens the archive of a data directory.
func (f *backupFlags) open(ctx context.Context, data, network string, log *slog.Logger) (*archive.Archiver, error) {
	if err := f.valid(); err != nil {
		return nil, err
	}
	to, name, err := archive.Open(f.url, f.secrets.bucket())
	if err != nil {
		return nil, err
	}
	return host.OpenArchive(ctx, archive.Config{Dir: data, Name: name, To: to, Keep: f.keep, Log: log}, network, f.withSecret)
}

// keepArchiving archives what is written until stop, which makes a last pass.
func keepArchiving(ctx context.Context, a *archive.Archiver) (stop func() error) {
	end := tend(ctx, func(ctx context.Context) { a.Run(ctx, archiveEvery) })
	return func() error {
		end()
		return a.Close()
	}
}

const placeHelp = "directory, or s3://bucket/prefix"

func newBackup() *cobra.Command {
	var o backupFlags
	var data string
	var asJSON bool
	var logs logFlags
	var key secretFlags
	cmd := &cobra.Command{
		Use:   "backup --to PLACE",
		Short: "Put what is new in a data directory into an archive, once",
		Long: "Puts what is new in all files of a data directory into an archive, also beside a running server, and\n" +
			"removes what is too old to be kept. 'serve --backup' does it all the time, so that every second can be\n" +
			"restored. A bucket's credentials are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or are the secrets\n" +
			"aws-access-key-id and aws-secret-access-key), its place in AWS_REGION, or AWS_ENDPOINT_URL.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logs.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if o.url == "" {
				return misuse("--to is missing: a " + placeHelp)
			}
			if _, err := os.Stat(filepath.Join(data, "server.db")); err != nil {
				return fmt.Errorf("%s is no data directory of a server (--data): %w", data, err)
			}
			if o.secrets, err = key.open(data, log, bucketSecrets()...); err != nil {
				return err
			}
			return o.backup(cmd.Context(), data, log, cmd.OutOrStdout(), asJSON)
		},
	}
	cmd.Flags().StringVar(&data, "data", "./data", "data directory")
	cmd.Flags().StringVar(&o.url, "to", "", placeHelp)
	cmd.Flags().DurationVar(&o.keep, "keep", keepByDefault, "how far back can be gone")
	cmd.Flags().BoolVar(&o.withSecret, "with-secret", false, "put secret.key into the archive as well: who can read that then has the wallets")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	key.add(cmd)
	logs.add(cmd, "warn")
	return cmd
}

// backedUp is what one round did.
type backedUp struct {
	Files    int   `json:"files"`
	Changed  int   `json:"changed"`
	Bases    int   `json:"bases"`
	Segments int   `json:"segments"`
	Bytes    int64 `json:"bytes"`
	Failed   int   `json:"failed"`
}

func (f *backupFlags) backup(ctx context.Context, data string, log *slog.Logger, out io.Writer, asJSON bool) (err error) {
	a, err := f.open(ctx, data, "", log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	var n backedUp
	err = a.Round(ctx, func(file string, s archive.Shipped, err error) {
		n.Files++
		if err != nil {
			n.Failed++
			log.Error("backup", "file", file, "err", err)
		}
		if s != (archive.Shipped{}) {
			n.Changed++
		}
		n.Bases, n.Segments, n.Bytes = n.Bases+s.Bases, n.Segments+s.Segments, n.Bytes+s.Bytes
	})
	if asJSON {
		err = errors.Join(err, printJSON(out, n))
	} else {
		fmt.Fprintf(out, "%d files, %d of them changed: %d bases and %d segments, %d bytes\n", n.Files, n.Changed, n.Bases, n.Segments, n.Bytes)
		if !f.withSecret {
			fmt.Fprintln(out, secretNotice)
		}
	}
	if n.Failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d files could not be archived; the rest was", n.Failed, n.Files))
	}
	return err
}
