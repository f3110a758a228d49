package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/tools"
)

// network is what the data directories are for: play money.
const network = "devnet"

// data is a data directory as the load needs it.
type data struct {
	dir    string
	busy   string   // the Host with many events
	priced string   // an event of it that costs money
	free   string   // and one that costs nothing, with seats without end
	many   []string // Hosts with the same events each
	gratis string   // an event of theirs that costs nothing
	users  []string // of whom no Host was ever called
}

// build makes a data directory: a Host with events, so many Hosts with fewer of
// them, and so many users more.
func build(ctx context.Context, dir string, events, hosts, eventsEach, users int) (d *data, err error) {
	d = &data{dir: dir}
	all, err := host.Open(ctx, host.Config{Dir: dir, Network: network, Payments: payment(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	closed := false
	shut := func() error {
		if closed {
			return nil
		}
		closed = true
		return all.Close(context.WithoutCancel(ctx))
	}
	defer func() { err = errors.Join(err, shut()) }()
	ids, err := register(ctx, all, 1+hosts+users)
	if err != nil {
		return nil, err
	}
	d.busy, d.many, d.users = ids[0], ids[1:1+hosts], ids[1+hosts:]
	if d.free, d.priced, err = fill(ctx, all, d.busy, events); err != nil || hosts == 0 {
		return d, err
	}
	if d.gratis, _, err = fill(ctx, all, d.many[0], eventsEach); err != nil {
		return nil, err
	}
	// The others are copies of the first one's file, which must be whole for that.
	if err := shut(); err != nil {
		return nil, err
	}
	for _, user := range d.many[1:] {
		to := file(dir, user)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), copyFile(to, file(dir, d.many[0]))); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// file is where a user's Host is kept; package host says so.
func file(dir, user string) string { return filepath.Join(dir, "hosts", user[:2], user+".db") }

// register adds users who are paid elsewhere, so that no wallet is made.
func register(ctx context.Context, all *host.Hosts, n int) ([]string, error) {
	ids, failed := make([]string, n), make([]error, 64)
	var wg sync.WaitGroup
	for w := range failed { // together, for they share the commits
		wg.Go(func() {
			for i := w; i < n && failed[w] == nil; i += len(failed) {
				u, _, err := all.Register(ctx, host.Registration{Email: fmt.Sprintf("guest-%d@example.org", i), PayTo: x402.Address{19: 1}})
				ids[i], failed[w] = u.ID, err
			}
		})
	}
	wg.Wait()
	return ids, errors.Join(failed...)
}

// fill gives a Host events; the first is free, the second costs five cents.
func fill(ctx context.Context, all *host.Hosts, user string, events int) (free, priced string, err error) {
	h, err := all.Host(ctx, user)
	if err != nil {
		return "", "", err
	}
	ids, failed := make([]string, events), make([]error, 64)
	day := time.Now().Add(48 * time.Hour).Truncate(time.Hour)
	var wg sync.WaitGroup
	for w := range failed {
		wg.Go(func() {
			for i := w; i < events && failed[w] == nil; i += len(failed) {
				in := tools.CreateEventInput{Title: fmt.Sprintf("Evening %d", i), Location: "The hall, 1 Main Street",
					Description: "Music, talk and something to eat. Doors open half an hour before; there is a cloakroom.",
					StartsAt:    day.Add(time.Duration(i) * time.Hour).Format(time.RFC3339), TimeZone: "Europe/Berlin"}
				if i != 0 {
					in.Price, in.Capacity = "0.05", 1_000_000*(1-i%2)
				}
				e, err := h.CreateEvent(ctx, in)
				ids[i], failed[w] = e.ID, err
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return "", "", err
	}
	return ids[0], ids[min(1, events-1)], nil
}

// tool makes the body of a tool call.
func tool(name string, arguments, meta any) []byte {
	params := map[string]any{"name": name, "arguments": arguments}
	if meta != nil {
		params["_meta"] = meta
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	return body
}

// path is where a Host is served.
func path(user string) string { return "/mcp/users/" + user }
