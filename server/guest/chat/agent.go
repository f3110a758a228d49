package chat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

const (
	maxSockets = 1024 // at a time, and an eighth of the descriptors that there may be
	maxTabs    = 8    // of one conversation
	maxTurns   = 64   // at a time: each may wait for Hosts and a model
)

// Config is what [New] needs.
type Config struct {
	Chats *store.Chats
	// Purse keeps what all conversations spend, by their wallets' addresses.
	Purse *store.Purse
	// Policy says what one conversation may spend. Whatever it says, its person is
	// asked about each payment.
	Policy guest.Policies
	Chain  guest.Chain // nil: balances are not known
	// Wallet pays for all conversations. Nil: each has one of its own.
	Wallet wallet.Signer
	// Passphrase seals the wallet of a conversation; only this server knows it.
	// Without use where there is a Wallet.
	Passphrase func(chat int64) string
	// Fund gives play money to a wallet that has none. Nil: people bring their own.
	Fund func(context.Context, x402.Address) error
	// Transport reaches Hosts. It must not reach what strangers may not.
	Transport http.RoundTripper
	// Explorer is the beginning of the address at which a transaction is seen; ""
	// if there is none. It may be a path of this server.
	Explorer string
	// Model reads what people say. Nil: rules do.
	Model   *Model
	Version string
	Log     *slog.Logger

	Now   func() time.Time // default time.Now
	Rand  io.Reader        // default crypto/rand.Reader
	Pause func(ctx context.Context, d time.Duration) error
}

// Agent has all conversations of a server. Safe for concurrent use.
type Agent struct {
	Config
	most  int             // listeners at a time
	turns chan struct{}   // has room for those that are under way
	open  context.Context // ends when Close begins
	shut  context.CancelFunc
	life  context.Context // of what a click has begun: ends when Close gives up
	end   context.CancelFunc
	work  sync.WaitGroup // listeners, and turns

	traced atomic.Int64 // bytes that are kept for who begins to look at exchanges

	mu      sync.Mutex
	live    map[[sha256.Size]byte]*conversation
	sockets int
	closing bool
}

// New returns the agent.
func New(c Config) *Agent {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	c.Policy = asking{c.Policy}
	a := &Agent{Config: c, most: maxSockets, turns: make(chan struct{}, maxTurns), live: map[[sha256.Size]byte]*conversation{}}
	if may := store.DescriptorLimit() / 8; may > 0 {
		a.most = min(a.most, may)
	}
	a.life, a.end = context.WithCancel(context.Background())
	a.open, a.shut = context.WithCancel(a.life)
	return a
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// asking is a policy under which the person is asked about every payment.
type asking struct{ guest.Policies }

// Current implements [guest.Policies].
func (a asking) Current() (guest.Policy, error) {
	p, err := a.Policies.Current()
	p.AskAbove = new(x402.Amount)
	return p, err
}

// NewToken returns what a browser is to be known by: 256 random bits, of which
// only a hash is kept.
func (a *Agent) NewToken() (string, error) {
	var raw [32]byte
	if _, err := io.ReadFull(a.Rand, raw[:]); err != nil {
		return "", fmt.Errorf("make a session: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// Known reports whether a token is one that has been given out and not forgotten.
func (a *Agent) Known(ctx context.Context, token string) (bool, error) {
	key := sha256.Sum256([]byte(token))
	a.mu.Lock()
	_, live := a.live[key]
	a.mu.Unlock()
	if live {
		return true, nil
	}
	_, err := a.Chats.Chat(ctx, key)
	if errors.Is(err, store.ErrNoChat) {
		return false, nil
	}
	return err == nil, err
}

var (
	errClosing  = errors.New("the server is stopping; connect again in a moment")
	errTooMany  = errors.New("too many people are here at the moment; try again in a minute")
	errTooManyT = fmt.Errorf("this conversation is open in %d places already", maxTabs)
)

// enter makes room for one more listener.
func (a *Agent) enter() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closing:
		return errClosing
	case a.sockets >= a.most:
		return errTooMany
	}
	a.sockets++
	a.work.Add(1)
	return nil
}

func (a *Agent) leave() {
	a.mu.Lock()
	a.sockets--
	a.mu.Unlock()
	a.work.Done()
}

// use returns the conversation of a token, which stays live until release.
func (a *Agent) use(ctx context.Context, token string) (*conversation, error) {
	key := sha256.Sum256([]byte(token))
	chat, err := a.Chats.Chat(ctx, key) // without a row nothing has been said yet
	if err != nil && !errors.Is(err, store.ErrNoChat) {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.live[key]
	if c == nil {
		c = &conversation{agent: a, key: key, chat: chat, tabs: map[listener]struct{}{}, trace: newTracer(a.Transport, &a.traced, a.Now)}
		a.live[key] = c
	}
	c.uses++
	return c, nil
}

// release ends a use. Who uses a conversation last puts its desk away.
func (a *Agent) release(c *conversation) {
	a.mu.Lock()
	c.uses--
	last := c.uses == 0
	if last {
		delete(a.live, c.key)
	}
	a.mu.Unlock()
	if last && c.desk != nil {
		_ = c.desk.Close() // connections that nobody uses
	}
	if last {
		c.trace.close()
	}
}

// beginTurn makes room for a turn, until endTurn.
func (a *Agent) beginTurn(c *conversation) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return errClosing
	}
	select {
	case a.turns <- struct{}{}:
	default:
		return errTooMany
	}
	c.uses++
	a.work.Add(1)
	return nil
}

func (a *Agent) endTurn(c *conversation) {
	<-a.turns
	a.release(c)
	a.work.Done()
}

// Close ends all connections, lets what clicks have begun come to its end, until
// ctx does, and waits for all of it.
func (a *Agent) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closing = true
	live := slices.Collect(maps.Values(a.live))
	a.mu.Unlock()
	a.shut()
	for _, c := range live {
		c.stop()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.work.Wait()
	}()
	select {
	case <-done:
		a.end()
		return nil
	case <-ctx.Done():
		a.end()
		<-done
		return fmt.Errorf("the agent's conversations did not end in time: %w", ctx.Err())
	}
}
