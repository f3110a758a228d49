package chat

import (
	"context"
	"fmt"
)

// Talk is a part in a conversation without a connection, for the person at the
// terminal of this process.
type Talk struct {
	conversation *conversation
	visitor      *Visitor
	show         func(Message)
}

// Join has the person take part in the conversation of a token until
// [Talk.Leave]. show is given what a client is sent, one at a time, first of all
// the history; while it takes a message, all else in the conversation waits.
func (a *Agent) Join(ctx context.Context, token string, show func(Message)) (*Talk, error) {
	if err := a.enter(); err != nil {
		return nil, err
	}
	c, err := a.use(ctx, token)
	if err != nil {
		a.leave()
		return nil, err
	}
	unlimited := func() error { return nil }
	t := &Talk{c, &Visitor{Token: token, Say: unlimited, Wallet: unlimited}, show}
	if err := c.join(ctx, t, t.visitor); err != nil {
		t.Leave()
		return nil, err
	}
	return t, nil
}

// Leave ends the person's part. A turn under way goes on.
func (t *Talk) Leave() {
	t.conversation.part(t)
	t.conversation.agent.release(t.conversation)
	t.conversation.agent.leave()
}

// send implements [listener].
func (t *Talk) send(m Message) { t.show(m) }

// leave implements [listener]: whoever closes the agent leaves by [Talk.Leave].
func (t *Talk) leave() {}

// Ask does what the person asks for. A refusal is shown like all else. It does not
// wait for the answer: that is [Talk.Wait].
func (t *Talk) Ask(ctx context.Context, r Request) {
	err := errRequest
	if r.valid() {
		err = t.conversation.handle(ctx, r, t.visitor)
	}
	if err != nil {
		t.refuse(err)
	}
}

// Connect adds Hosts to the conversation. Of one that can't be reached the person
// is told.
func (t *Talk) Connect(ctx context.Context, urls []string) {
	c := t.conversation
	c.mu.Lock()
	err := errBusy
	if c.cancel == nil {
		err = c.begin(t.visitor, func() error { return c.need(ctx) }, func(t *turn) { t.addAll(urls) })
	}
	c.mu.Unlock()
	if err != nil {
		t.refuse(err)
	}
}

func (t *turn) addAll(urls []string) {
	for _, u := range urls {
		if err := t.add(u); err != nil {
			t.fail("failed", clip(fmt.Sprintf("There is no host that I can reach at %s: %v", u, err), maxDetail))
		}
	}
}

// Wait waits until no turn is under way.
func (t *Talk) Wait(ctx context.Context) error {
	c := t.conversation
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Talk) refuse(err error) {
	t.conversation.mu.Lock()
	defer t.conversation.mu.Unlock()
	t.show(t.conversation.agent.refusal(err))
}
