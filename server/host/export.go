package host

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// Export says where to write everything of a user: a ZIP file, readable by its
// owner alone, that is whole and on the disk or not there.
type Export struct {
	Path string // that must not be there yet
	// Passphrase locks the keystore of the user's wallet, which is in the export if
	// this server holds the wallet; it may not be empty then.
	Passphrase string
	Strength   wallet.Strength // of the keystore
}

// ErrNoPassphrase: there is a wallet to export, and nothing to lock it with.
var ErrNoPassphrase = errors.New("the export has the wallet's key in it, so it needs a passphrase")

// exportNote is in every export.
const exportNote = `user.json      the account
events.jsonl   its events, one a line, as the server's API shows them
rsvps.jsonl    their RSVPs, one a line, with payments and refunds
host.db        all of it as the server had it: an SQLite database
wallet.json    the wallet that guests paid to, if the server held its key: a keystore
               (Web3 Secret Storage), to be opened by any Ethereum wallet with the
               passphrase that was given for the export. The wallet inside of
               host.db opens on that server alone.
`

// export writes a user's export.
func (h *Hosts) export(ctx context.Context, u store.User, file *store.Host, e Export) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("export: %w", err)
		}
	}()
	if e.Path == "" {
		return errors.New("it has no name")
	}
	if _, err := os.Lstat(e.Path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s is there already: choose another name", e.Path), err)
	}
	keystore, err := h.keystore(ctx, u.ID, file, e)
	if err != nil {
		return err
	}
	dir := filepath.Dir(e.Path)
	work, err := os.MkdirTemp(dir, ".export-*") // mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	copied, zipped := filepath.Join(work, "host.db"), filepath.Join(work, "export.zip")
	if err := file.Copy(ctx, copied); err != nil {
		return err
	}
	out, err := os.OpenFile(zipped, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = h.writeExport(ctx, out, u, file, copied, keystore)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := os.Link(zipped, e.Path); err != nil { // which never writes over another
		return err
	}
	return store.SyncDir(dir)
}

// keystore is the user's wallet under the export's passphrase; nil if its key is not
// here.
func (h *Hosts) keystore(ctx context.Context, user string, file *store.Host, e Export) ([]byte, error) {
	p, err := h.kept(ctx, user, file)
	switch {
	case err != nil || p.key == nil:
		return nil, err
	case e.Passphrase == "":
		return nil, ErrNoPassphrase
	}
	return p.key.Seal(e.Passphrase, e.Strength)
}

func (h *Hosts) writeExport(ctx context.Context, out io.Writer, u store.User, file *store.Host, copied string, keystore []byte) error {
	z := zip.NewWriter(out)
	part := func(name string, write func(io.Writer) error) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: h.Now()})
		if err == nil {
			err = write(w)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	text := func(b []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(b); return err }
	}
	host := &tools.Host{User: u.ID, Cache: h.cache, PayTo: u.WalletAddress, Store: file, Now: h.Now, Rand: h.Rand}
	err := errors.Join(
		part("README.txt", text([]byte(exportNote))),
		part("user.json", func(w io.Writer) error { return h.exportUser(ctx, w, u) }),
		part("events.jsonl", func(w io.Writer) error {
			return eachEvent(ctx, host, func(e tools.Event) error { return json.NewEncoder(w).Encode(e) })
		}),
		part("rsvps.jsonl", func(w io.Writer) error {
			return eachEvent(ctx, host, func(e tools.Event) error { return exportRSVPs(ctx, w, host, e.ID) })
		}),
		part("host.db", func(w io.Writer) error { return copyFile(w, copied) }),
	)
	if keystore != nil {
		err = errors.Join(err, part("wallet.json", text(keystore)))
	}
	return errors.Join(err, z.Close())
}

func (h *Hosts) exportUser(ctx context.Context, w io.Writer, u store.User) error {
	tokens, err := h.Server.Tokens(ctx, u.ID)
	if err != nil {
		return err
	}
	type token struct {
		Name  string      `json:"name"`
		Scope store.Scope `json:"scope"`
	}
	out := struct {
		User          string  `json:"user"`
		WalletAddress string  `json:"wallet_address"`
		CreatedAt     string  `json:"created_at"`
		ExportedAt    string  `json:"exported_at"`
		Tokens        []token `json:"tokens"`
	}{User: u.ID, WalletAddress: u.WalletAddress.String(), CreatedAt: u.CreatedAt.Format(time.RFC3339), ExportedAt: h.Now().UTC().Format(time.RFC3339)}
	for _, t := range tokens {
		out.Tokens = append(out.Tokens, token{t.Name, t.Scope})
	}
	return json.NewEncoder(w).Encode(out)
}

// eachEvent calls f for every event of a Host, past and to come.
func eachEvent(ctx context.Context, h *tools.Host, f func(tools.Event) error) error {
	for cursor := ""; ; {
		page, err := h.ListAllEvents(ctx, tools.ListEventsInput{From: "0001-01-01T00:00:01Z", Limit: 100, Cursor: cursor})
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := f(e); err != nil {
				return err
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return nil
		}
	}
}

func exportRSVPs(ctx context.Context, w io.Writer, h *tools.Host, event string) error {
	for cursor := ""; ; {
		page, err := h.ListRSVPs(ctx, tools.ListRSVPsInput{EventID: event, Limit: 100, Cursor: cursor})
		if err != nil {
			return err
		}
		for _, r := range page.RSVPs {
			if err := json.NewEncoder(w).Encode(r); err != nil {
				return err
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return nil
		}
	}
}

// copyFile reads a copy of a database, which nobody has open.
func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}
