// Package host runs the Hosts of a server: it registers users, opens each
// user's file on demand, gives it its tools and the one [payments.Cashier] of
// the server, and serves it over MCP on stdio. Package server serves it over
// HTTP.
//
// Start with [Open]. Everything that a Hosts keeps is below one directory:
//
//	secret.key         32 random bytes; names users and locks their wallets
//	network            the name of the network that its money is on
//	server.db          users, hashes of their tokens, payment claims
//	removal.lock       held while a user is removed
//	hosts/ab/abcd….db  one user's events, RSVPs, payments and wallet
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
	"sync/atomic"
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
	// Lease is for how long a Host that is open is served without another look at
	// whether its user is still there; [Hosts.Remove] waits until no other process
	// can think so. It must be the same for all processes. Default 1 s.
	Lease time.Duration
	Log   *slog.Logger
	Now   func() time.Time // default time.Now
	Rand  io.Reader        // default crypto/rand.Reader
}

// Hosts are all users of one data directory. Safe for concurrent use, and by
// several processes at a time.
type Hosts struct {
	Config
	Server  *store.Server
	Cashier *payments.Cashier
	secret  []byte
	uses    uses
	stop    func() // ends what notes them

	mu     sync.Mutex
	open   map[string]*entry
	closed bool
}

// entry is one Host, or the attempt to open it.
type entry struct {
	ready chan struct{} // closed when host and since, or err, is set
	host  *tools.Host
	since time.Time // that the user has been registered
	err   error
	seen  atomic.Int64 // when the user was last found there, in nanoseconds since 1970
}

// Open opens the data directory. Close it to wait for payments under way.
func Open(ctx context.Context, c Config) (*Hosts, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Lease == 0 {
		c.Lease = time.Second
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := claimNetwork(filepath.Join(c.Dir, "network"), c.Network); err != nil {
		return nil, err
	}
	secret, err := loadSecret(c.Dir, c.Rand)
	if err != nil {
		return nil, fmt.Errorf("server secret: %w", err)
	}
	server, err := store.OpenServer(ctx, filepath.Join(c.Dir, "server.db"), store.Options{Now: c.Now, Secret: derive(secret, "spent", "")})
	if err != nil {
		return nil, err
	}
	h := &Hosts{Config: c, Server: server, secret: secret, open: map[string]*entry{}}
	p := c.Payments
	p.Claims, p.Debtors, p.Ledger, p.Wallet = server.Claims(), server, h.ledger, h.wallet
	p.Log, p.Now, p.Rand = c.Log, c.Now, c.Rand
	h.Cashier = payments.New(p)
	noting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { h.keepUses(noting) })
	h.stop = func() { cancel(); done.Wait() }
	return h, nil
}

// Host returns a user's Host, opening it if need be. Errors:
// [store.ErrUserNotFound], and whatever keeps its file from being opened; the
// next call tries again.
func (h *Hosts) Host(ctx context.Context, user string) (*tools.Host, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, errors.New("the server is stopping")
	}
	e := h.open[user]
	if e == nil {
		e = &entry{ready: make(chan struct{})}
		h.open[user] = e
		h.mu.Unlock()
		// Others wait for this attempt, so it must not die with this caller.
		e.seen.Store(h.Now().UnixNano())
		e.host, e.since, e.err = h.openHost(context.WithoutCancel(ctx), user)
		if e.err != nil {
			h.drop(user, e)
		}
		close(e.ready)
		return e.host, e.err
	}
	h.mu.Unlock()
	select {
	case <-e.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.err != nil {
		return nil, e.err
	}
	switch there, err := h.there(ctx, e); {
	case err != nil:
		return nil, err
	case !there:
		if err := h.retire(user, e); err != nil {
			h.Log.Warn("a removed host did not close", "user", user, "err", err)
		}
		return h.Host(ctx, user) // they may have come back
	}
	return e.host, nil
}

// there reports whether the user of an open Host is still there, as far as is
// known within the lease.
func (h *Hosts) there(ctx context.Context, e *entry) (bool, error) {
	now := h.Now()
	if age := now.UnixNano() - e.seen.Load(); age >= 0 && age < int64(h.Lease) {
		return true, nil
	}
	switch u, err := h.Server.User(ctx, e.host.User); {
	case errors.Is(err, store.ErrUserNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !u.CreatedAt.Equal(e.since): // removed, and registered anew
		return false, nil
	}
	e.seen.Store(now.UnixNano())
	return true, nil
}

// drop takes a Host out of those that are open.
func (h *Hosts) drop(user string, e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[user] == e {
		delete(h.open, user)
	}
}

// retire closes the Host of a user who is gone. Who is still at work with it is
// told that it is closed: its file must not be used, or made again.
func (h *Hosts) retire(user string, e *entry) error {
	h.drop(user, e)
	return e.host.Store.Close()
}

func (h *Hosts) openHost(ctx context.Context, user string) (*tools.Host, time.Time, error) {
	u, err := h.Server.User(ctx, user)
	if err != nil {
		return nil, time.Time{}, err
	}
	host, err := h.openFile(ctx, u)
	return host, u.CreatedAt, err
}

func (h *Hosts) openFile(ctx context.Context, u store.User) (*tools.Host, error) {
	user := u.ID
	file, err := store.OpenHost(ctx, h.path(user), store.Options{Now: h.Now, Existing: true})
	if errors.Is(err, store.ErrNoFile) { // it was never used; or it was deleted just now
		if _, err = h.Server.User(ctx, user); err == nil {
			file, err = store.OpenHost(ctx, h.path(user), store.Options{Now: h.Now})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the host of %s: %w", user, err)
	}
	host := &tools.Host{User: u.ID, PayTo: u.WalletAddress, Store: file, Cashier: h.Cashier, Now: h.Now, Rand: h.Rand}
	if !h.SignReceipts {
		return host, nil
	}
	// For as long as the Host is open: to unseal takes longer than to sign.
	switch w, err := h.unseal(ctx, host); {
	case err == nil:
		host.Notary = w
	case !errors.Is(err, payments.ErrNoWallet):
		return nil, errors.Join(fmt.Errorf("open the wallet of %s: %w", user, err), file.Close())
	}
	return host, nil
}

func (h *Hosts) path(user string) string {
	return filepath.Join(h.Dir, "hosts", user[:2], user+".db")
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
	h.stop()
	h.mu.Lock()
	h.closed = true
	var last []*entry
	for _, e := range h.open {
		last = append(last, e)
	}
	h.mu.Unlock()
	for _, e := range last {
		<-e.ready
		if e.host != nil {
			err = errors.Join(err, e.host.Store.Close())
		}
	}
	if noteErr := h.noteUses(ctx); !errors.Is(noteErr, store.ErrClosed) { // closed before
		err = errors.Join(err, noteErr)
	}
	return errors.Join(err, h.Server.Close())
}
