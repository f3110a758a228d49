package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

func newDemo() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a booking that is paid on a real EVM, in one process",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "concierge-demo-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			d := &demo{story: newStory(cmd.OutOrStdout(), asJSON)}
			err = d.run(cmd.Context(), dir)
			return errors.Join(err, d.story.end(err))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document instead of a story")
	return cmd
}

// demo is a server with two Hosts, and a Guest with $20.
type demo struct {
	story *story
	base  string // URL of the server
	side  *settling
	guest *wallet.Local
	purse *store.Purse

	club, school             demoHost
	evening, concert, course guest.Event
}

// demoCeiling is the most that the Guest of the demo pays for one booking.
const demoCeiling = x402.USD

// demoHost is one of the two, as its owner knows it.
type demoHost struct {
	Name   string       `json:"name"`
	User   string       `json:"user"`
	MCPURL string       `json:"mcp_url"`
	Wallet x402.Address `json:"wallet_address"`

	ownerToken string
}

func (d *demo) run(ctx context.Context, dir string) (err error) {
	d.story.part("A chain, a server, two Hosts")
	done, err := d.open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := d.stage(ctx); err != nil {
		return err
	}
	return d.scenes(ctx)
}

// open starts the chain and the server, and returns how to stop them.
func (d *demo) open(ctx context.Context, dir string) (done func() error, err error) {
	log := slog.New(slog.DiscardHandler)
	var opened []func() error
	done = func() (err error) {
		for _, stop := range slices.Backward(opened) {
			err = errors.Join(err, stop())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, done())
		}
	}()
	network := networkFlags{name: onDevnet, facilitators: []string{local}}
	if d.side, err = network.open(ctx, log); err != nil {
		return nil, err
	}
	opened = append(opened, d.side.close)
	d.story.tell("chain", fmt.Sprintf("an EVM in this process, chain id %d, USDC at %s", d.side.client.ChainID(), d.side.asset), nil)

	hosts, stop, err := openHosts(ctx, hostsFlags{data: dir}, &network, d.side.facilitator, d.side.client, log)
	if err != nil {
		return nil, err
	}
	opened = append(opened, stop)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	web := server.New(server.Config{Hosts: hosts, Version: versionName(), Log: log, Network: d.side.network, Asset: d.side.asset})
	serving, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- web.Serve(serving, listener, grace) }()
	opened = append(opened, func() error { cancel(); return <-served })
	if d.purse, err = store.OpenPurse(ctx, filepath.Join(dir, purseFile), store.Options{}); err != nil {
		return nil, err
	}
	opened = append(opened, d.purse.Close)
	d.base = "http://" + listener.Addr().String()
	d.story.tell("server", "MCP over streamable HTTP on "+d.base, nil)
	return done, nil
}

// stage makes the Hosts with their events, and the Guest's wallet.
func (d *demo) stage(ctx context.Context) (err error) {
	if d.club, err = d.host(ctx, "Jazz club"); err != nil {
		return err
	}
	if d.school, err = d.host(ctx, "Cooking school"); err != nil {
		return err
	}
	if d.evening, err = d.event(ctx, d.club, "Open rehearsal", "0", 40); err != nil {
		return err
	}
	if d.concert, err = d.event(ctx, d.club, "Trio at midnight", "0.05", 1); err != nil {
		return err
	}
	if d.course, err = d.event(ctx, d.school, "Bread in one day", "2.50", 8); err != nil {
		return err
	}
	if d.guest, err = wallet.New(rand.Reader); err != nil {
		return err
	}
	if _, err := d.side.chain.Fund(ctx, common.Address(d.guest.Address()), 20*x402.USD); err != nil {
		return err
	}
	d.story.tell("guest", fmt.Sprintf("a wallet of its own, %s, with $20.00", d.guest.Address()), nil)
	return nil
}

func (d *demo) scenes(ctx context.Context) error {
	club, school, evening, concert, course := d.club, d.school, d.evening, d.concert, d.course
	d.story.part("The Guest looks around")
	atClub, err := d.visit(ctx, club, demoCeiling)
	if err != nil {
		return err
	}
	defer atClub.Close()
	atSchool, err := d.visit(ctx, school, demoCeiling)
	if err != nil {
		return err
	}
	defer atSchool.Close()

	d.story.part("It books: what is free, and what is below its ceiling of $" + demoCeiling.USD())
	if _, err := d.book(ctx, atClub, evening); err != nil {
		return err
	}
	ticket, err := d.book(ctx, atClub, concert)
	if err != nil {
		return err
	}

	d.story.part("What must not happen does not")
	if err := d.refused(ctx, atClub, concert, "sold out, and nobody was asked for money", isCode("event_full")); err != nil {
		return err
	}
	if err := d.refused(ctx, atSchool, course, "above the ceiling, so nothing was signed", isError(guest.ErrTooExpensive)); err != nil {
		return err
	}

	d.story.part("With a ceiling of $3.00 it books that, too")
	generous, err := guest.Dial(ctx, school.MCPURL, d.config(3*x402.USD))
	if err != nil {
		return err
	}
	defer generous.Close()
	if _, err := d.book(ctx, generous, course); err != nil {
		return err
	}

	d.story.part("It changes its mind, twice")
	if err := d.cancel(ctx, atClub, ticket); err != nil {
		return err
	}
	if _, err := d.book(ctx, atClub, concert); err != nil {
		return err
	}

	d.story.part("The books and the chain agree")
	return errors.Join(d.balance(ctx, club), d.balance(ctx, school))
}

func (d *demo) config(ceiling x402.Amount) guest.Config {
	return guest.Config{Version: versionName(), Wallet: d.guest, Purse: d.purse,
		Policy: guest.Policy{Network: d.side.network, MaxPrice: ceiling}}
}

// request calls the REST API as an owner does.
func (d *demo) request(ctx context.Context, method, path, token string, body, into any) error {
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, &sent)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return json.Unmarshal(answer, into)
}

func (d *demo) host(ctx context.Context, name string) (demoHost, error) {
	var answer struct {
		demoHost
		OwnerToken string `json:"owner_token"`
	}
	email := strings.ReplaceAll(strings.ToLower(name), " ", "-") + "@example.org"
	if err := d.request(ctx, http.MethodPost, "/api/users", "", map[string]string{"email": email}, &answer); err != nil {
		return demoHost{}, err
	}
	h := answer.demoHost
	h.Name, h.ownerToken = name, answer.OwnerToken
	d.story.tell("host", fmt.Sprintf("%s, wallet %s", name, h.Wallet), h)
	return h, nil
}

func (d *demo) event(ctx context.Context, h demoHost, title, price string, capacity int) (guest.Event, error) {
	var e guest.Event
	err := d.request(ctx, http.MethodPost, "/api/users/"+h.User+"/events", h.ownerToken, map[string]any{
		"title": title, "price": price, "capacity": capacity, "time_zone": "Europe/Berlin",
		"starts_at": time.Now().AddDate(0, 1, 0).UTC().Truncate(time.Hour).Format(time.RFC3339),
	}, &e)
	if err == nil {
		d.story.tell("event", fmt.Sprintf("%s: %q, $%s, %d seat(s)", h.Name, e.Title, e.Price, e.Capacity), e)
	}
	return e, err
}

func (d *demo) visit(ctx context.Context, h demoHost, ceiling x402.Amount) (*guest.Host, error) {
	g, err := guest.Dial(ctx, h.MCPURL, d.config(ceiling))
	if err != nil {
		return nil, err
	}
	_, protocol, err := g.Server(ctx)
	if err != nil {
		return nil, err
	}
	events, _, err := g.Events(ctx, "", "")
	if err != nil {
		return nil, err
	}
	d.story.tell("list", fmt.Sprintf("%s over MCP %s: %d event(s)", h.Name, protocol, len(events)), nil)
	for _, e := range events {
		d.story.tell("event", fmt.Sprintf("%-18s $%s  %s", e.Title, e.Price, e.Status), e)
	}
	return g, nil
}

// book returns the RSVP's id.
func (d *demo) book(ctx context.Context, h *guest.Host, e guest.Event) (string, error) {
	asked, free, err := h.Quote(ctx, guest.Wish{EventID: e.ID})
	if err != nil {
		return "", err
	}
	if asked == nil {
		d.story.tell("booked", fmt.Sprintf("%s: %s, RSVP %s, free", e.Title, free.Status, free.ID), free)
		return free.ID, nil
	}
	amount, err := asked.Accepts[0].Amount.Amount()
	if err != nil {
		return "", err
	}
	d.story.tell("asked", fmt.Sprintf("%s: %s atomic units ($%s) to %s", e.Title, amount, amount.USD(), asked.Accepts[0].PayTo), asked)
	booked, err := h.Book(ctx, guest.Wish{EventID: e.ID})
	if err != nil {
		return "", err
	}
	d.story.tell("booked", fmt.Sprintf("%s: %s, RSVP %s", e.Title, booked.RSVP.Status, booked.RSVP.ID), booked.RSVP)
	d.story.tell("paid", fmt.Sprintf("$%s in transaction %s", booked.Paid.USD(), booked.RSVP.Transaction), booked.Receipt)
	if booked.RSVP.Status != "confirmed" || booked.RSVP.Transaction == "" {
		return "", fmt.Errorf("%s: not confirmed with a transaction", e.Title)
	}
	return booked.RSVP.ID, nil
}

// cancel cancels an RSVP; the money comes back from the Host's own wallet.
func (d *demo) cancel(ctx context.Context, h *guest.Host, id string) error {
	answer, err := h.Call(ctx, "cancel_rsvp", map[string]string{"rsvp_id": id})
	if err != nil {
		return err
	}
	var r tools.RSVP
	if err := json.Unmarshal(answer.Structured, &r); err != nil {
		return err
	}
	if answer.Failed || r.Refund == nil || r.Refund.Status != "settled" {
		return fmt.Errorf("cancel %s: not paid back: %s", id, answer.Structured)
	}
	d.story.tell("back", fmt.Sprintf("RSVP %s is %s: $%s in transaction %s", r.ID, r.Status, r.Refund.USD, r.Refund.Transaction), r)
	return nil
}

func (d *demo) refused(ctx context.Context, h *guest.Host, e guest.Event, why string, expected func(error) bool) error {
	_, err := h.Book(ctx, guest.Wish{EventID: e.ID})
	if !expected(err) {
		return fmt.Errorf("%s: expected a refusal (%s), got: %v", e.Title, why, err)
	}
	d.story.tell("refused", fmt.Sprintf("%s: %s", e.Title, why), map[string]string{"event": e.ID, "reason": err.Error()})
	return nil
}

func isCode(code string) func(error) bool {
	return func(err error) bool {
		var refusal *guest.ToolError
		return errors.As(err, &refusal) && refusal.Code == code
	}
}

func isError(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// balance holds a Host's revenue against its wallet's balance on the chain.
func (d *demo) balance(ctx context.Context, h demoHost) error {
	var revenue struct {
		Settled struct{ Amount string } `json:"settled"`
	}
	if err := d.request(ctx, http.MethodGet, "/api/users/"+h.User+"/revenue", h.ownerToken, nil, &revenue); err != nil {
		return err
	}
	settled, err := x402.ParseAtomic(revenue.Settled.Amount)
	if err != nil {
		return err
	}
	onChain, err := d.side.client.Balance(ctx, d.side.asset, h.Wallet)
	if err != nil {
		return err
	}
	balance, err := onChain.Amount()
	if err != nil {
		return err
	}
	d.story.tell("books", fmt.Sprintf("%-15s revenue $%s   wallet on chain $%s", h.Name, settled.USD(), balance.USD()),
		map[string]any{"host": h.Name, "user": h.User, "wallet_address": h.Wallet, "revenue": settled, "balance": balance, "agree": settled == balance})
	if settled != balance || settled == 0 {
		return fmt.Errorf("%s: revenue %s and balance %s do not agree", h.Name, settled, balance)
	}
	return nil
}
