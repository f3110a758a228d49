// Package host runs the Hosts of a server: it registers users, has each user's
// file opened on demand, gives it its tools and the one [payments.Cashier] of
// the server, and serves it over MCP on stdio. Package server serves it over
// HTTP.
//
// Start with [Open]. Everything that a Hosts keeps is below one directory:
//
//	secret.key         32 random bytes; names users and locks their wallets
//	network            the name of the network that its money is on
//	server.db          users, hashes of their tokens, payment claims, what Hosts were used for
//	removal.lock       held while a user is removed
//	directory.lock     held by all who have the directory open, and against them by a [Rollback]
//	programs/…         copies of the last programs that served it
//	hosts/ab/abcd….db  one user's events, RSVPs, payments and wallet
//	index.db           the public events to come of all of them; see [OpenIndex]
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
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/wallet/crossmint"
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
	// wallet. A Host whose guests pay to an address elsewhere, or to a wallet at
	// Crossmint, signs nothing.
	SignReceipts bool
	// Crossmint, if it is there, opens wallets of Hosts that are kept there, and with
	// AtCrossmint makes those of new users.
	Crossmint   *crossmint.Client
	AtCrossmint bool
	// Lease is for how long a Host is served without another look at whether its
	// user is still there; [Hosts.Remove] waits until no other process can think
	// so. It must be the same for all processes. Default 1 s.
	Lease time.Duration
	// WatchEvery is the pause between two looks at a file that somebody watches.
	// Default 500 ms.
	WatchEvery time.Duration
	// MaxOpen is how many Hosts have their file open at a time, and Idle how long
	// one stays open that nobody uses; see [store.Options].
	MaxOpen int
	Idle    time.Duration
	// Archive, if there is one, copies what is written elsewhere; see [OpenArchive].
	Archive store.Archive
	// Quotas are what each Host may use; the zero value is any amount.
	Quotas Quotas
	// Program, if it is there, is recorded as started, for Command.
	Program *store.Program
	Command string
	// Opened, if it is there, is told of the files that are opened; see [store.Options].
	Opened func(took time.Duration, err error)
	Log    *slog.Logger
	Now    func() time.Time // default time.Now
	Rand   io.Reader        // default crypto/rand.Reader
}

// cacheBytes bounds what is kept in memory of lists of events: those of some
// thousand Hosts.
const cacheBytes = 32 << 20

// Hosts are all users of one data directory. Safe for concurrent use, and by
// several processes at a time.
type Hosts struct {
	Config
	Server  *store.Server
	Cashier *payments.Cashier
	Files   *store.Files
	secret  []byte
	cache   *tools.Cache
	meter   *meter
	// newQuotas are there once SetQuotas was called.
	newQuotas atomic.Pointer[Quotas]
	uses      uses
	stop      func() // ends what notes them
	index     atomic.Pointer[Index]
	watches   watches
	unlock    func() error // the directory
	started   int64        // in the record of starts; 0: this one is not
	owed      owed

	mu     sync.RWMutex
	known  map[string]*known // Hosts that have been asked for; they are small
	closed bool
}

// known is the Host of a user who was there when it was last seen.
type known struct {
	host  *tools.Host
	since time.Time    // that the user has been registered
	seen  atomic.Int64 // nanoseconds since 1970
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
	if c.WatchEvery == 0 {
		c.WatchEvery = 500 * time.Millisecond
	}
	if c.AtCrossmint && c.Crossmint == nil {
		return nil, errors.New("there is no key to make wallets at Crossmint with")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, restoringFile)); err == nil {
		return nil, fmt.Errorf("the restore of %s has not come to its end: run it again", c.Dir)
	}
	unlock, alone, err := lockDirectory(ctx, c.Dir, c.Now)
	if err != nil {
		return nil, err
	}
	h, err := open(ctx, c, alone)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	h.unlock = unlock
	return h, nil
}

// open opens a data directory that is locked.
func open(ctx context.Context, c Config, alone time.Time) (*Hosts, error) {
	if _, err := os.Stat(filepath.Join(c.Dir, rollingBackFile)); err == nil {
		return nil, fmt.Errorf("the rollback of %s has not come to its end: run it again", c.Dir)
	}
	if err := claimNetwork(filepath.Join(c.Dir, networkFile), c.Network); err != nil {
		return nil, err
	}
	secret, err := loadSecret(c.Dir, c.Rand)
	if err != nil {
		return nil, fmt.Errorf("server secret: %w", err)
	}
	path, schema := filepath.Join(c.Dir, serverFile), 0
	if c.Program != nil { // before the file is open
		if schema, _, err = store.ServerVersion(ctx, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	server, err := store.OpenServer(ctx, path, store.Options{Now: c.Now, Archive: c.Archive,
		Secret: derive(secret, "spent", "")})
	if err != nil {
		return nil, err
	}
	files := store.NewFiles(store.Options{Now: c.Now, Log: c.Log, MaxOpen: c.MaxOpen, Idle: c.Idle, Archive: c.Archive, Existing: true, Opened: c.Opened})
	h := &Hosts{Config: c, Server: server, Files: files, secret: secret, known: map[string]*known{},
		cache: tools.NewCache(cacheBytes), meter: &meter{server: server, now: c.Now, tallies: map[dayOf]*tally{}}}
	p := c.Payments
	p.Claims, p.Debtors, p.Ledger, p.Wallet = server.Claims(), server, h.ledger, h.wallet
	p.Log, p.Now, p.Rand = c.Log, c.Now, c.Rand
	h.Cashier = payments.New(p)
	if err := h.recordStart(ctx, schema, alone); err != nil {
		return nil, errors.Join(err, files.Close(), server.Close())
	}
	noting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { h.keepUses(noting) })
	h.stop = func() { cancel(); done.Wait() }
	return h, nil
}

// Host returns a user's Host. Its file is opened when something needs it. Errors:
// [store.ErrUserNotFound].
func (h *Hosts) Host(ctx context.Context, user string) (*tools.Host, error) {
	h.mu.RLock()
	k, closed := h.known[user], h.closed
	h.mu.RUnlock()
	if closed {
		return nil, errors.New("the server is stopping")
	}
	if k != nil {
		there, err := h.there(ctx, k)
		switch {
		case err != nil:
			return nil, err
		case there:
			return k.host, nil
		}
		if err := h.retire(ctx, k); err != nil {
			return nil, err
		}
	}
	k, err := h.newHost(ctx, user)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if first := h.known[user]; first != nil && first.since.Equal(k.since) {
		return first.host, nil
	}
	h.known[user] = k
	return k.host, nil
}

// there reports whether the user of a Host is still there, as far as is known
// within the lease.
func (h *Hosts) there(ctx context.Context, k *known) (bool, error) {
	now := h.Now()
	if age := now.UnixNano() - k.seen.Load(); age >= 0 && age < int64(h.Lease) {
		return true, nil
	}
	switch u, err := h.Server.User(ctx, k.host.User); {
	case errors.Is(err, store.ErrUserNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !u.CreatedAt.Equal(k.since): // removed, and registered anew
		return false, nil
	}
	k.seen.Store(now.UnixNano())
	return true, nil
}

// retire forgets the Host of a user who is gone, and closes its file when nobody
// is at work with it any more: it may be another's by now.
func (h *Hosts) retire(ctx context.Context, k *known) error {
	h.mu.Lock()
	if h.known[k.host.User] == k {
		delete(h.known, k.host.User)
	}
	h.mu.Unlock()
	return h.Files.Alone(ctx, h.path(k.host.User), func() error { return nil })
}

func (h *Hosts) newHost(ctx context.Context, user string) (*known, error) {
	k := &known{}
	k.seen.Store(h.Now().UnixNano())
	u, err := h.Server.User(ctx, user)
	if err != nil {
		return nil, err
	}
	// Here, and never later: the file of who is gone must not come back.
	if err := h.Files.Make(h.path(user)); err != nil {
		return nil, fmt.Errorf("make the file of %s: %w", user, err)
	}
	k.since = u.CreatedAt
	if k.host, err = h.hostOf(ctx, u); err != nil {
		return nil, err
	}
	k.host.Changed = func(ctx context.Context) { h.changed(ctx, u) }
	return k, nil
}

func (h *Hosts) hostOf(ctx context.Context, u store.User) (*tools.Host, error) {
	host := &tools.Host{User: u.ID, PayTo: u.WalletAddress, Store: h.Files.Host(h.path(u.ID)), Cashier: h.Cashier,
		Cache: h.cache, Quota: &quota{hosts: h, user: u.ID}, Now: h.Now, Rand: h.Rand}
	if !h.SignReceipts {
		return host, nil
	}
	var err error
	if host.Notary, err = h.notary(ctx, host); err != nil { // it stays: to unseal takes longer than to sign
		return nil, fmt.Errorf("open the wallet of %s: %w", u.ID, err)
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

// Close waits for payments under way, at most until ctx ends, and closes all
// files. Calls of Hosts must have ended before.
func (h *Hosts) Close(ctx context.Context) error {
	h.watches.close()
	err := h.Cashier.Close(ctx)
	h.stop()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	if noteErr := h.noteUses(ctx); !errors.Is(noteErr, store.ErrClosed) { // closed before
		err = errors.Join(err, noteErr)
	}
	if h.started != 0 {
		if stopErr := h.Server.Stopped(context.WithoutCancel(ctx), h.started); !errors.Is(stopErr, store.ErrClosed) { // closed before
			err = errors.Join(err, stopErr)
		}
	}
	return errors.Join(err, h.meter.keep(context.WithoutCancel(ctx)), h.Files.Close(), h.Server.Close(), h.unlock())
}
