package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// owner is a registered user.
type owner struct {
	User   string       `json:"user"`
	Token  string       `json:"owner_token"`
	Wallet x402.Address `json:"wallet_address"`
	// Apart is whether the owner has the wallet's key, and the server has not.
	Apart bool `json:"-"`
}

// event is one that guests can book.
type event struct {
	owner     owner
	id        string
	full      int         // how often guests were told that it is
	calledOff atomic.Bool // the owner has cancelled it, or has begun to
}

// programme has the events that are on sale: few enough for guests to get into
// each other's way.
type programme struct {
	client *client
	owners []owner

	mu     sync.Mutex
	random *rand.Rand
	onSale []*event
}

const (
	onSaleAtOnce = 8
	fullEnough   = 6 // times that an event is full until another takes its place
)

// prices of a seat, in dollars.
var prices = []string{"0.000001", "0.01", "0.05", "1.00", "2.50", "49.99", "1000.00"}

// register makes the users. The last of several has a wallet elsewhere.
func (p *programme) register(ctx context.Context, n int, elsewhere x402.Address) error {
	for i := range n {
		o := owner{Apart: n > 1 && i == n-1}
		body := map[string]string{"email": fmt.Sprintf("host%d@example.org", i)}
		if o.Apart {
			body["wallet_address"] = elsewhere.String()
		}
		if err := p.client.insist(ctx, "/api/users", "", body, &o); err != nil {
			return fmt.Errorf("register a user: %w", err)
		}
		p.owners = append(p.owners, o)
	}
	return nil
}

// pick returns an event to book, making one where too few are on sale.
func (p *programme) pick(ctx context.Context) (*event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.onSale) < onSaleAtOnce {
		e := &event{owner: p.owners[p.random.IntN(len(p.owners))]}
		body := map[string]any{"title": "An evening", "capacity": 2 + p.random.IntN(14), "price": prices[p.random.IntN(len(prices))],
			"starts_at": time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)}
		var created struct {
			ID string `json:"id"`
		}
		if err := p.client.insist(ctx, "/api/users/"+e.owner.User+"/events", e.owner.Token, body, &created); err != nil {
			return nil, fmt.Errorf("create an event: %w", err)
		}
		e.id = created.ID
		p.onSale = append(p.onSale, e)
	}
	return p.onSale[p.random.IntN(len(p.onSale))], nil
}

// soldOut notes that a guest was told that e is full. Seats may come back, so
// it is believed when it was said often.
func (p *programme) soldOut(e *event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.full++; e.full >= fullEnough {
		p.withdraw(e)
	}
}

// callOff has the owner cancel an event, and takes it off sale when that is
// done; guests go on booking it until then.
func (p *programme) callOff(ctx context.Context, e *event) error {
	if e.calledOff.Swap(true) {
		return nil
	}
	for {
		t, failed := p.client.callTool(ctx, p.client.anywhere(), e.owner, "cancel_event", map[string]any{"event_id": e.id}, nil)
		if failed == nil && !t.IsError {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.withdraw(e)
			return nil
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// withdraw takes an event off sale; the caller has the lock.
func (p *programme) withdraw(e *event) {
	if i := slices.Index(p.onSale, e); i >= 0 {
		p.onSale = slices.Delete(p.onSale, i, i+1)
	}
}

// insist calls an owner's route until it is answered with 201. An answer that
// is lost may have made something, of which nobody will know: a user who then
// exists is an error, an event is not.
func (c *client) insist(ctx context.Context, path, token string, body, into any) error {
	for {
		resp, err := c.post(ctx, c.anywhere(), path, body, bearer(token))
		if err == nil && resp.status == http.StatusCreated {
			return resp.decode(into)
		}
		if err == nil && resp.status < 500 {
			return fmt.Errorf("%s answers %d: %.300s", path, resp.status, resp.body)
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}
