// Package host runs the Hosts of a server: it registers users, has each user's
// file opened on demand, gives it its tools and the one [payments.Cashier] of
// the server, and serves it over MCP on stdio. Package server serves it over
// HTTP.
//
// Start with [Open]. Everything that a Hosts keeps is below one directory:
//
//	secret.key         32 random bytes; names users and locks their wallets
//	network            the name of the network that its money is on
//	server.db          users, owner-token hashes, payment claims
//	hosts/ab/abcd….db  one user's events, RSVPs, payments and wallet
//
// [OpenArchive] has copies of it kept elsewhere, from which [RestoreAll] makes it
// again, and [Hosts.RestoreUser] one user's file.
package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// Config is what [Open] needs.
type Config struct {
	// Dir is the data directory; it is made if it is not there.
	Dir string
	// Network names the chain that money is on, such as "devnet". A directory
	// belongs to the first network that it is opened with: play money and real
	// money must not meet in one ledger. Empty: no payments will be taken.
	Network string
	// Payments has the network's side of the Cashier. Claims, Debtors, Ledger,
	// Wallet, Log, Now and Rand are set by Open.
	Payments payments.Config
	// SignReceipts has the Hosts sign their offers and receipts, each with its own
	// wallet. A Host whose guests pay to an address elsewhere signs nothing.
	SignReceipts bool
	// MaxOpen is how many Hosts have their file open at a time, and Idle how long
	// one stays open that nobody uses; see [store.Options].
	MaxOpen int
	Idle    time.Duration
	// Archive, if there is one, copies what is written elsewhere; see [OpenArchive].
	Archive store.Archive
	Log     *slog.Logger
	Now     func() time.Time // default time.Now
	Rand    io.Reader        // default crypto/rand.Reader
}

// Hosts are all users of one data directory. Safe for concurrent use, and by
// several processes at a time.
type Hosts struct {
	Config
	Server  *store.Server
	Cashier *payments.Cashier
	Files   *store.Files
	secret  []byte

	mu     sync.RWMutex
	known  map[string]*tools.Host // Hosts that have been asked for; they are small
	closed bool
}

// Open opens the data directory. Close it to wait for payments under way.
func Open(ctx context.Context, c Config) (*Hosts, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, restoringFile)); err == nil {
		return nil, fmt.Errorf("the restore of %s has not come to its end: run it again", c.Dir)
	}
	if err := claimNetwork(filepath.Join(c.Dir, networkFile), c.Network); err != nil {
		return nil, err
	}
	secret, err := loadSecret(c.Dir, c.Rand)
	if err != nil {
		return nil, fmt.Errorf("server secret: %w", err)
	}
	server, err := store.OpenServer(ctx, filepath.Join(c.Dir, serverFile), store.Options{Now: c.Now, Archive: c.Archive})
	if err != nil {
		return nil, err
	}
	files := store.NewFiles(store.Options{Now: c.Now, Log: c.Log, MaxOpen: c.MaxOpen, Idle: c.Idle, Archive: c.Archive})
	h := &Hosts{Config: c, Server: server, Files: files, secret: secret, known: map[string]*tools.Host{}}
	p := c.Payments
	p.Claims, p.Debtors, p.Ledger, p.Wallet = server.Claims(), server, h.ledger, h.wallet
	p.Log, p.Now, p.Rand = c.Log, c.Now, c.Rand
	h.Cashier = payments.New(p)
	return h, nil
}

// Host returns a user's Host. Its file is opened when something needs it. Errors:
// [store.ErrUserNotFound].
func (h *Hosts) Host(ctx context.Context, user string) (*tools.Host, error) {
	h.mu.RLock()
	host, closed := h.known[user], h.closed
	h.mu.RUnlock()
	switch {
	case closed:
		return nil, errors.New("the server is stopping")
	case host != nil:
		return host, nil
	}
	host, err := h.newHost(ctx, user)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if first := h.known[user]; first != nil {
		return first, nil
	}
	h.known[user] = host
	return host, nil
}

func (h *Hosts) newHost(ctx context.Context, user string) (*tools.Host, error) {
	u, err := h.Server.User(ctx, user)
	if err != nil {
		return nil, err
	}
	host := &tools.Host{User: u.ID, PayTo: u.WalletAddress, Store: h.Files.Host(h.path(user)), Cashier: h.Cashier, Now: h.Now, Rand: h.Rand}
	if !h.SignReceipts {
		return host, nil
	}
	// It stays: to unseal takes longer than to sign.
	switch w, err := h.unseal(ctx, host); {
	case err == nil:
		host.Notary = w
	case !errors.Is(err, payments.ErrNoWallet):
		return nil, fmt.Errorf("open the wallet of %s: %w", user, err)
	}
	return host, nil
}

func (h *Hosts) path(user string) string {
	return filepath.Join(h.Dir, filepath.FromSlash(fileOf(user)))
}

func (h *Hosts) ledger(ctx context.Context, user string) (payments.Ledger, func(), error) {
	host, err := h.Host(ctx, user)
	if err != nil {
		return nil, nil, err
	}
	return host.Store, func() {}, nil
}

// wallet opens the wallet of a user's Host. Errors: [payments.ErrNoWallet].
func (h *Hosts) wallet(ctx context.Context, user string) (payments.Signer, error) {
	host, err := h.Host(ctx, user)
	if err != nil {
		return nil, err
	}
	return h.unseal(ctx, host)
}

// unseal opens the wallet that a Host's guests pay to, if it is kept here.
// Errors: [payments.ErrNoWallet].
func (h *Hosts) unseal(ctx context.Context, host *tools.Host) (*wallet.Local, error) {
	sealed, err := host.Store.SealedWallet(ctx)
	switch {
	case err != nil:
		return nil, err
	case sealed == nil:
		return nil, payments.ErrNoWallet
	}
	w, err := wallet.Unseal(sealed, h.passphrase(host.User))
	switch {
	case err != nil:
		return nil, err
	case w.Address() != host.PayTo:
		return nil, payments.ErrNoWallet
	}
	return w, nil
}

// Close waits for payments under way, at most until ctx ends, and closes all
// files. Calls of Hosts must have ended before.
func (h *Hosts) Close(ctx context.Context) error {
	err := h.Cashier.Close(ctx)
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	return errors.Join(err, h.Files.Close(), h.Server.Close())
}
