package chat

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

// conversation is one that somebody is in, or in which a turn is under way.
type conversation struct {
	agent *Agent
	key   [sha256.Size]byte
	uses  int // by listeners, and by the turn; guarded by agent.mu

	mu     sync.Mutex // held while something is said, for all tabs to hear it in one order
	chat   store.Chat // ID 0: nothing has been said yet
	tabs   map[listener]struct{}
	cancel context.CancelFunc // of the turn under way; nil: there is none
	over   chan struct{}      // closed when that turn is over
	clicks []store.ChatMessage
	looked bool          // for payments that an earlier process began
	wallet wallet.Signer // nil: not needed yet

	desk  *guest.Desk // of the one turn that is under way
	trace *tracer     // what the desk reaches Hosts by
}

// listener hears what is said in a conversation. Its methods are called with mu
// locked.
type listener interface {
	send(Message)
	leave() // for the agent is stopping
}

// join adds a listener, and tells it what has been said.
func (c *conversation) join(ctx context.Context, l listener, v *Visitor) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tabs) >= maxTabs {
		return errTooManyT
	}
	history := Message{Type: kindHistory, Busy: c.cancel != nil}
	kept, err := c.messages(ctx)
	if err != nil {
		return err
	}
	for _, m := range kept {
		if m.Kind == kindTool {
			continue
		}
		out := c.agent.shown(m)
		if m.Kind == kindApproval {
			out.State = c.state(ctx, m.Approval)
		}
		history.Messages = append(history.Messages, out)
	}
	c.tabs[l] = struct{}{}
	l.send(history)
	if !c.looked {
		c.looked = true
		c.resume(ctx, kept, v)
	}
	return nil
}

func (c *conversation) messages(ctx context.Context) ([]store.ChatMessage, error) {
	if c.chat.ID == 0 {
		return nil, nil
	}
	return c.agent.Chats.Messages(ctx, c.chat.ID)
}

// state is what became of a question.
func (c *conversation) state(ctx context.Context, approval int64) string {
	a, err := c.agent.Purse.Approval(ctx, approval)
	if err != nil {
		return string(store.ApprovalExpired)
	}
	return string(a.State)
}

func (c *conversation) part(l listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tabs, l)
}

// stop ends the connections.
func (c *conversation) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.tabs {
		l.leave()
	}
}

// tell sends what is not kept to all tabs.
func (c *conversation) tell(m Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broadcast(m)
}

func (c *conversation) broadcast(m Message) {
	for l := range c.tabs {
		l.send(m)
	}
}

// keep adds a message to the conversation and sends it to all tabs.
func (c *conversation) keep(ctx context.Context, m store.ChatMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keepLocked(ctx, m)
}

func (c *conversation) keepLocked(ctx context.Context, m store.ChatMessage) (err error) {
	ctx = context.WithoutCancel(ctx) // what has happened is to be found again
	if err := c.need(ctx); err != nil {
		return err
	}
	if m, err = c.agent.Chats.Say(ctx, c.chat.ID, m); err != nil {
		return err
	}
	if m.Kind == kindTool {
		return nil
	}
	out := c.agent.shown(m)
	if m.Kind == kindApproval {
		out.State = c.state(ctx, m.Approval)
	}
	c.broadcast(out)
	return nil
}

// need begins the conversation in the file, if it has not begun. It is called with
// mu locked.
func (c *conversation) need(ctx context.Context) (err error) {
	if c.chat.ID == 0 {
		c.chat, err = c.agent.Chats.AddChat(ctx, c.key)
	}
	return err
}

// errBusy and the others are told to who asked.
var (
	errBusy       = errors.New("one thing at a time: wait for the answer, or cancel")
	errNoApproval = errors.New("there is no such question here, or it has expired")
)

// handle does what a client asks for.
func (c *conversation) handle(ctx context.Context, r Request, v *Visitor) error {
	switch r.Type {
	case AskSay:
		return c.say(ctx, r.Text, v)
	case AskApprove:
		return c.answer(ctx, r.Approval, true, v)
	case AskDeny:
		return c.answer(ctx, r.Approval, false, v)
	case AskConnect, AskShow, AskBook, AskUnbook:
		return c.press(ctx, r, v)
	case AskTrace: // which needs a connection
		return errRequest
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
	return nil
}

func (c *conversation) say(ctx context.Context, text string, v *Visitor) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		return errBusy
	}
	return c.begin(v, func() error {
		return c.keepLocked(ctx, store.ChatMessage{Role: store.RolePerson, Kind: kindSaid, Text: text})
	}, func(t *turn) { t.answer(text) })
}

// answer takes the person's answer to a question of this conversation.
func (c *conversation) answer(ctx context.Context, approval int64, yes bool, v *Visitor) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, err := c.agent.Purse.Approval(ctx, approval)
	if errors.Is(err, store.ErrNoApproval) {
		return errNoApproval
	}
	if err != nil {
		return err
	}
	w, err := c.openWallet()
	if err != nil {
		return err
	}
	if w == nil || asked.Payer != w.Address() { // another's
		return errNoApproval
	}
	kept, err := c.messages(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(kept, func(m store.ChatMessage) bool { return m.Kind == kindApproval && m.Approval == approval })
	if i < 0 { // so the person has not seen what it is about
		return errNoApproval
	}
	if yes && (asked.State == store.ApprovalApproved || asked.State == store.ApprovalUsed) { // a second click
		c.broadcast(Message{Type: kindAnswered, Approval: approval, State: string(asked.State)})
		return nil
	}
	answered, err := c.agent.Purse.Answer(context.WithoutCancel(ctx), approval, yes)
	if errors.Is(err, store.ErrNoApproval) {
		return errNoApproval
	}
	if err != nil {
		return err
	}
	c.broadcast(Message{Type: kindAnswered, Approval: approval, State: string(answered.State)})
	if yes {
		return c.click(v, kept[i])
	}
	return nil
}

// click has what was approved be done, after the turn under way. It is called
// with mu locked.
func (c *conversation) click(v *Visitor, question store.ChatMessage) error {
	if !slices.ContainsFunc(c.clicks, func(m store.ChatMessage) bool { return m.Approval == question.Approval }) {
		c.clicks = append(c.clicks, question)
	}
	if c.cancel != nil {
		return nil // that turn goes on with it
	}
	return c.begin(v, func() error { return nil }, func(*turn) {})
}

// begin begins a turn, unless first fails. It is called with mu locked.
func (c *conversation) begin(v *Visitor, first func() error, do func(*turn)) error {
	a := c.agent
	if err := a.beginTurn(c); err != nil {
		return err
	}
	if err := first(); err != nil {
		a.endTurn(c)
		return err
	}
	ctx, cancel := context.WithTimeout(a.open, maxTurn)
	c.cancel, c.over = cancel, make(chan struct{})
	go func() {
		defer a.endTurn(c)
		c.run(ctx, v, do)
	}()
	return nil
}

// run does a turn, and what was clicked meanwhile.
func (c *conversation) run(ctx context.Context, v *Visitor, do func(*turn)) {
	t := &turn{conversation: c, ctx: ctx, visitor: v, asked: map[int64]bool{}}
	t.guarded(do)
	for {
		c.mu.Lock()
		if len(c.clicks) == 0 {
			c.cancel()
			c.cancel = nil
			c.broadcast(Message{Type: kindDone})
			close(c.over)
			c.mu.Unlock()
			return
		}
		next := c.clicks[0]
		c.clicks = c.clicks[1:]
		c.cancel()
		t.ctx, c.cancel = context.WithTimeout(c.agent.open, maxTurn)
		c.mu.Unlock()
		t.guarded(func(t *turn) { t.pay(next) })
	}
}

// openWallet returns the wallet of the conversation, or nil if it has none yet.
// It is called with mu locked.
func (c *conversation) openWallet() (wallet.Signer, error) {
	if c.agent.Wallet != nil {
		return c.agent.Wallet, nil
	}
	if c.wallet != nil || c.chat.Wallet == nil {
		return c.wallet, nil
	}
	w, err := wallet.Unseal(c.chat.Wallet, c.agent.Passphrase(c.chat.ID))
	if err != nil {
		return nil, fmt.Errorf("open the wallet of a conversation: %w", err)
	}
	c.wallet = w
	return w, nil
}

// needWallet is openWallet that makes one. It is called with mu locked.
func (c *conversation) needWallet(v *Visitor) (_ wallet.Signer, isNew bool, err error) {
	if w, err := c.openWallet(); w != nil || err != nil {
		return w, false, err
	}
	if err := v.Wallet(); err != nil {
		return nil, false, err
	}
	w, err := wallet.New(c.agent.Rand)
	if err != nil {
		return nil, false, err
	}
	sealed, err := w.Seal(c.agent.Passphrase(c.chat.ID), wallet.Light)
	if err != nil {
		return nil, false, err
	}
	if c.chat.Wallet, err = c.agent.Chats.KeepWallet(context.WithoutCancel(c.agent.life), c.chat.ID, sealed); err != nil {
		return nil, false, err
	}
	kept, err := c.openWallet()
	return kept, true, err
}

// fund gives play money to a wallet that has none.
func (c *conversation) fund(ctx context.Context, address x402.Address) error {
	if c.agent.Fund == nil {
		return nil
	}
	return c.agent.Fund(ctx, address)
}
