package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

const (
	maxTurn = 3 * time.Minute // but for what a click has begun
	maxURL  = 1000            // bytes
	// longestPayment is how long a booking that was clicked for is waited for; an
	// authorization lives no longer.
	longestPayment = 10 * time.Minute
)

// turn is what the agent does about one message, or one click.
type turn struct {
	*conversation
	ctx     context.Context // ends when the person cancels
	visitor *Visitor
	asked   map[int64]bool // questions that were shown

	events []listed // the last list; nil: not looked for
}

// guarded does something that must not end the process.
func (t *turn) guarded(do func(*turn)) {
	defer func() {
		if p := recover(); p != nil {
			t.agent.Log.Error("the agent panicked", "panic", p, "stack", string(debug.Stack()))
			t.fail("internal", "Something went wrong on the server. Nothing was paid that is not in your spending.")
		}
	}()
	do(t)
}

// answer answers a message.
func (t *turn) answer(text string) {
	if t.agent.Model == nil || !t.think() {
		t.follow(parse(text))
	}
	t.ended()
}

// ended tells why an answer ends, if not because it is complete.
func (t *turn) ended() {
	switch err := t.ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		t.fail("timeout", "That took too long.")
	case err != nil && t.agent.open.Err() == nil:
		t.say("Cancelled.")
	}
}

func (t *turn) say(text string)      { t.show(kindText, text, nil) }
func (t *turn) progress(text string) { t.tell(Message{Type: kindProgress, Text: text}) }

// show keeps a message of the agent, and sends it.
func (t *turn) show(kind, text string, data any) { t.showAbout(0, kind, text, data) }

// showAbout is show for a message about a question.
func (t *turn) showAbout(approval int64, kind, text string, data any) {
	m := store.ChatMessage{Role: store.RoleAgent, Kind: kind, Text: text, Approval: approval}
	var err error
	if data != nil {
		m.Data, err = json.Marshal(data)
	}
	if err == nil {
		err = t.keep(t.ctx, m)
	}
	if err != nil {
		t.agent.Log.Error("what the agent says can't be kept", "kind", kind, "err", err)
		t.tell(Message{Type: kindError, Code: "internal", Text: "Something went wrong on the server; connect again to see what was done."})
	}
}

func (t *turn) fail(code, text string) { t.show(kindError, text, code) }

// at returns the desk, with the wallet if that is needed.
func (t *turn) at(paying bool) (*guest.Desk, error) {
	t.mu.Lock()
	w, err := t.openWallet()
	isNew := false
	if paying && err == nil {
		w, isNew, err = t.needWallet(t.visitor)
	}
	hosts := t.chat.Hosts
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if t.desk != nil && (w == nil || t.desk.Wallet != nil) {
		return t.desk, nil
	}
	if t.desk != nil {
		_ = t.desk.Close() // it has no wallet, so nothing was paid there
	}
	a := t.agent
	c := guest.Config{Policy: a.Policy, Purse: a.Purse, Chain: a.Chain, Version: a.Version, Now: a.Now, Rand: a.Rand, Pause: a.Pause, Transport: t.trace}
	if w != nil {
		c.Wallet = w
		if err := t.fund(t.ctx, w.Address()); err != nil {
			a.Log.Warn("a wallet can't be funded", "payer", w.Address().String(), "err", err)
		}
	}
	if isNew {
		t.progress("I made a wallet for this conversation: " + w.Address().String())
	}
	t.desk = guest.NewDesk(c)
	for _, u := range hosts {
		if _, err := t.desk.Add(u); err != nil {
			return nil, err
		}
	}
	return t.desk, nil
}

var errURL = errors.New("that is not the address of a Host: one looks like https://events.example.org/mcp/users/…")

// connect adds a Host, if there is one, and returns what all of them offer.
func (t *turn) connect(address string) (guest.Found, error) {
	if err := t.add(address); err != nil {
		return guest.Found{}, err
	}
	return t.desk.FindEvents(t.ctx, guest.Query{})
}

// add adds a Host, if there is one.
func (t *turn) add(address string) error {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errURL
	}
	desk, err := t.at(false)
	if err != nil {
		return err
	}
	h, err := desk.Add(u.String())
	if err != nil {
		return err
	}
	known := slices.Contains(t.chat.Hosts, h.Address())
	if _, _, err := h.Server(t.ctx); err != nil {
		if !known {
			_ = desk.Leave(h.Address())
		}
		return err
	}
	if known {
		return nil
	}
	if err := t.agent.Chats.AddHost(t.ctx, t.chat.ID, h.Address()); err != nil {
		return errors.Join(err, desk.Leave(h.Address()))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.chat.Hosts = append(t.chat.Hosts, h.Address())
	return nil
}

// hostAt returns a Host, and adds it if it is one that another has named: a
// server's shared one finds events, and each is booked at its own Host.
func (t *turn) hostAt(address string) (*guest.Host, error) {
	desk, err := t.at(false)
	if err != nil {
		return nil, err
	}
	h, err := desk.Host(address)
	if !errors.Is(err, guest.ErrNoHost) {
		return h, err
	}
	if err := t.add(address); err != nil {
		return nil, err
	}
	return desk.Host(address)
}

// leave forgets a Host.
func (t *turn) leave(address string) error {
	desk, err := t.at(false)
	if err != nil {
		return err
	}
	h, err := desk.Host(address)
	if err != nil {
		return err
	}
	if err := t.agent.Chats.RemoveHost(t.ctx, t.chat.ID, h.Address()); err != nil {
		return err
	}
	t.mu.Lock()
	t.chat.Hosts = slices.DeleteFunc(slices.Clone(t.chat.Hosts), func(u string) bool { return u == h.Address() })
	t.mu.Unlock()
	return desk.Leave(h.Address())
}

// free tools have no need of a wallet, by the names that our own Hosts give them.
func free(tool string) bool {
	for _, name := range []string{"find_events", "list_events", "get_event"} {
		if rest, ok := strings.CutPrefix(tool, name); ok && strings.Trim(rest, "_0123456789") == "" {
			return true
		}
	}
	return false
}

// use calls a tool, shows what comes of it, and returns it. A call that may pay is
// not interrupted: the person has cancelled too late.
func (t *turn) use(tool string, args json.RawMessage) guest.Result {
	desk, err := t.at(!free(tool))
	if err != nil {
		return guest.Result{Failed: true, Err: err}
	}
	if err := t.ctx.Err(); err != nil {
		return guest.Result{Failed: true, Err: err}
	}
	ctx := t.ctx
	if !free(tool) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(t.agent.life, maxTurn)
		defer cancel()
	}
	r := desk.Use(ctx, tool, args)
	if r.Approval != nil && !t.asked[r.Approval.ID] {
		t.asked[r.Approval.ID] = true
		t.ask(*r.Approval, args)
	} else if r.Approval == nil {
		t.present(0, tool, r)
	}
	return r
}

// toolOf returns the name of a Host's tool at the desk.
func (t *turn) toolOf(host, remote string) (string, error) {
	desk, err := t.at(false)
	if err != nil {
		return "", err
	}
	if _, err := t.hostAt(host); err != nil {
		return "", err
	}
	for _, tool := range desk.Tools(t.ctx) {
		if tool.Host != nil && tool.Host.Address() == host && tool.Remote == remote {
			return tool.Name, nil
		}
	}
	if err := desk.Unreachable()[host]; err != nil {
		return "", err
	}
	return "", fmt.Errorf("the host has no tool %s", remote)
}
