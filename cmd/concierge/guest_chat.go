package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/guest/chat"
	"github.com/events-concierge/concierge/store"
)

// chatFile has the conversations in a Guest's folder, one a wallet.
const chatFile = "guest-chat.db"

func newGuestChat(g *guestFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chat [--host URL …]",
		Short: "Say in your own words what to find and book",
		Long: "The agent of /agent in a terminal, with your wallet, spending policy and books. Each line is said to\n" +
			"it; rules read it, or a language model if " + envModelKey + " is set. It goes on where you left off.\n\n" +
			"You are asked about each payment. With --json, or where there is no terminal, the line 'approve NUMBER'\n" +
			"or 'deny NUMBER' is the answer. With --json there is one message a line, as docs/explanation/agent.md has them.\n" +
			"Ctrl-C cancels the answer under way; at the prompt it ends, as 'quit' does.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkHosts(g.hosts); err != nil {
				return err
			}
			agent, done, err := g.agent(cmd)
			if err != nil {
				return err
			}
			defer done()
			return g.chat(cmd, agent)
		},
	}
	g.addHosts(cmd)
	cmd.Flags().Var(&g.maxPrice, "max-price", "the most to pay for one booking, in USD, besides what the spending policy says")
	return cmd
}

// agent opens the agent with the person's wallet and books, which outlive Ctrl-C.
// done closes the files, after the agent is closed.
func (g *guestFlags) agent(cmd *cobra.Command) (_ *chat.Agent, done func(), err error) {
	lasting := context.WithoutCancel(cmd.Context())
	flags := agentFlags{tokensAnH: chat.DefaultTokensAnHour}
	model, err := flags.model()
	if err != nil {
		return nil, nil, err
	}
	path, err := g.file(chatFile)
	if err != nil {
		return nil, nil, err
	}
	signer, err := g.open(cmd.Context(), g.asking(cmd.ErrOrStderr()))
	if err != nil {
		return nil, nil, err
	}
	c, closeBooks, err := g.config(lasting, signer)
	if err != nil {
		return nil, nil, err
	}
	chats, err := store.OpenChats(lasting, path, store.Options{})
	if err != nil {
		closeBooks()
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
	agent := chat.New(chat.Config{Chats: chats, Purse: c.Purse, Policy: c.Policy, Chain: c.Chain, Wallet: signer, Model: model, Version: versionName(), Log: log})
	return agent, func() { _ = chats.Close(); closeBooks() }, nil
}

// chat talks with the agent, and closes it.
func (g *guestFlags) chat(cmd *cobra.Command, agent *chat.Agent) (err error) {
	ctx, end := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer end()
	t := &talker{person: personAt(cmd), purse: agent.Purse, lines: bufio.NewScanner(cmd.InOrStdin()),
		screen: screen{out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), asJSON: g.asJSON}}
	t.terminal = t.person.in != nil && !g.asJSON
	defer func() {
		// After a Ctrl-C nothing is waited for: a payment under way is gone on with
		// the next time.
		if closed := agent.Close(ctx); ctx.Err() == nil {
			err = errors.Join(err, closed)
		}
	}()
	// The file is the person's own and no network leads to it, so that the token has
	// nothing to keep secret: it says whose conversation it is.
	if t.talk, err = agent.Join(ctx, agent.Wallet.Address().String(), t.hear); err != nil {
		return err
	}
	defer t.talk.Leave()
	defer t.watch(cmd.Context(), end)()
	err = t.run(ctx, g.hosts)
	if errors.Is(err, context.Canceled) { // by the person
		return nil
	}
	return err
}

// talker is a conversation at a terminal, or of a script.
type talker struct {
	screen
	talk     *chat.Talk
	purse    *store.Purse
	person   person
	terminal bool // where the person is prompted, and asked
	lines    *bufio.Scanner
	asked    []int64     // questions to put to the person
	busy     atomic.Bool // an answer is under way, and was not cancelled
}

// run talks until the person has no more to say.
func (t *talker) run(ctx context.Context, hosts []string) error {
	err := t.do(ctx, func() {}) // of the last time something may be under way
	if err == nil && len(hosts) > 0 {
		err = t.do(ctx, func() { t.talk.Connect(ctx, hosts) })
	}
	if err != nil {
		return err
	}
	for {
		line, err := t.line(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch r := requestOf(line); {
		case line == "quit" || line == "exit":
			return nil
		case line == "":
		case len(r.Text) > chat.MaxText:
			fmt.Fprintf(t.notes, "That is too long: at most %d bytes.\n", chat.MaxText)
		default:
			if err := t.do(ctx, func() { t.talk.Ask(ctx, r) }); err != nil {
				return err
			}
		}
	}
}

// do does something, waits until it is answered, and puts the questions that come
// of it to the person at the terminal, whose answers are done likewise.
func (t *talker) do(ctx context.Context, something func()) error {
	t.busy.Store(true)
	something()
	err := t.talk.Wait(ctx)
	t.busy.Store(false)
	for err == nil && len(t.asked) > 0 {
		id := t.asked[0]
		t.asked = t.asked[1:]
		err = t.put(ctx, id)
	}
	return err
}

// put asks the person whether to pay.
func (t *talker) put(ctx context.Context, id int64) error {
	q, err := t.purse.Approval(ctx, id)
	if err != nil {
		return err
	}
	yes, err := t.person.confirm(ctx, question(q))
	if err != nil {
		return err
	}
	r := chat.Request{Type: chat.AskDeny, Approval: id}
	if yes {
		r.Type = chat.AskApprove
	}
	return t.do(ctx, func() { t.talk.Ask(ctx, r) })
}

// hear shows a message, and puts off questions until the answer is complete, those
// too that have waited since the last time.
func (t *talker) hear(m chat.Message) {
	if m.Type == "approval" {
		t.question(m)
		return
	}
	t.show(m)
	seen := map[int64]bool{}
	for _, old := range m.Messages {
		if old.Type == "approval" && old.State == string(store.ApprovalAsked) && !seen[old.Approval] && !t.asJSON {
			seen[old.Approval] = true
			t.question(old)
		}
	}
}

// question keeps a question for the person at the terminal, or shows it.
func (t *talker) question(m chat.Message) {
	if t.terminal {
		t.asked = append(t.asked, m.Approval)
		return
	}
	t.show(m)
}

var answerLine = regexp.MustCompile(`^(approve|deny) ([1-9][0-9]{0,17})$`)

// requestOf is what a line asks for.
func requestOf(line string) chat.Request {
	if m := answerLine.FindStringSubmatch(line); m != nil {
		id, _ := strconv.ParseInt(m[2], 10, 64) // 18 digits are one
		return chat.Request{Type: m[1], Approval: id}
	}
	return chat.Request{Type: chat.AskSay, Text: line}
}

// line reads a line. Errors: [io.EOF], and that of ctx.
func (t *talker) line(ctx context.Context) (string, error) {
	if t.terminal {
		fmt.Fprint(t.notes, "> ")
	}
	read := make(chan error, 1)
	go func() { // ends with the process, if not before: a read of a terminal can't be broken off
		err := error(nil)
		if !t.lines.Scan() {
			err = cmp.Or(t.lines.Err(), io.EOF)
		}
		read <- err
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(t.notes)
		return "", ctx.Err()
	case err := <-read:
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(strings.ToValidUTF8(t.lines.Text(), "\uFFFD")), nil
	}
}

// watch has the first Ctrl-C cancel the answer under way, and the next one, or one
// at the prompt, end the conversation, as SIGTERM does. stop waits for it.
func (t *talker) watch(first context.Context, end func()) (stop func()) {
	terminate, again := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		interrupted := first.Done()
		for {
			select {
			case <-interrupted: // which tells of no other
				interrupted = nil
				signal.Notify(again, os.Interrupt)
			case <-again:
			case <-terminate:
				end()
				return
			case <-stopping:
				return
			}
			if !t.busy.CompareAndSwap(true, false) {
				end()
				return
			}
			t.talk.Ask(first, chat.Request{Type: chat.AskCancel})
		}
	}()
	return func() {
		close(stopping)
		<-stopped
		signal.Stop(terminate)
		signal.Stop(again)
	}
}
