package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"
)

// scenario measures something; those of a run share a data directory.
type scenario struct {
	name string
	run  func(*bench, context.Context) error
}

func scenarios() []scenario {
	return []scenario{
		{"disk", (*bench).store},
		{"calls", (*bench).warm},
		{"cold", (*bench).cold},
		{"paid", (*bench).paid},
		{"fairness", (*bench).fair},
		{"users", (*bench).crowd},
		{"soak", (*bench).endure},
	}
}

func listCall() []byte { return tool("list_events", map[string]any{"limit": 20}, nil) }

// warm compares what most calls are with bare servers of the same bytes.
func (b *bench) warm(ctx context.Context) error {
	dir := filepath.Join(b.dir, "warm")
	d, err := build(ctx, dir, b.events, b.hosts, b.eventsEach, 0)
	if err != nil {
		return err
	}
	product, err := b.product(ctx, dir, unlimited()...)
	if err != nil {
		return err
	}
	request := post(path(d.busy), "", listCall())
	body, err := ask(product, request)
	if err != nil {
		return err
	}
	var bare []side
	for _, kind := range []string{bareHTTP, bareMCPGo, bareSDK} {
		s, c, err := b.bare(ctx, kind, "list_events", request, body)
		if err != nil {
			return err
		}
		bare = append(bare, side{s, c})
	}
	if err := b.compare(ctx, "list_events, one Host", side{product, always(call{request, exactly(body)})},
		map[string]float64{"bare " + bareMCPGo: 0.8, "bare " + bareHTTP: 0.4}, bare...); err != nil {
		return err
	}
	many, err := each(product, d.many)
	if err != nil {
		return err
	}
	if err := b.compare(ctx, fmt.Sprintf("list_events, %d Hosts in turn", len(d.many)), side{product, many},
		map[string]float64{"bare " + bareMCPGo: 0.7}, bare[1]); err != nil {
		return err
	}
	request = post(path(d.busy), "", tool("rsvp_to_event", map[string]any{"event_id": d.priced}, nil))
	if body, err = ask(product, request); err != nil {
		return err
	}
	quoting, c, err := b.bare(ctx, bareMCPGo, "rsvp_to_event", request, body)
	if err != nil {
		return err
	}
	if err := b.compare(ctx, "a quote (unpaid rsvp_to_event)", side{product, always(call{request, exactly(body)})},
		map[string]float64{"bare " + bareMCPGo: 0.7}, side{quoting, c}); err != nil {
		return err
	}
	request = post(path(d.busy), "", tool("rsvp_to_event", map[string]any{"event_id": d.free}, nil))
	if body, err = ask(product, request); err != nil {
		return err
	}
	booking, c, err := b.bare(ctx, bareMCPGo, "rsvp_to_event", request, body)
	if err != nil {
		return err
	}
	if err := b.compare(ctx, "free RSVPs, one Host", side{product, always(call{request, confirmed})},
		map[string]float64{"bare " + bareMCPGo: 0.5}, side{booking, c}); err != nil {
		return err
	}
	return b.close()
}

// each calls one Host after the other. Their answers are checked against what
// each gave before.
func each(s *served, hosts []string) (calls, error) {
	all := make([]call, len(hosts))
	for i, user := range hosts {
		request := post(path(user), "", listCall())
		body, err := ask(s, request)
		if err != nil {
			return nil, err
		}
		if i > 0 && !all[0].ok(200, body) {
			return nil, fmt.Errorf("the Hosts %s and %s have the same events and answer differently", hosts[0], user)
		}
		all[i] = call{request, exactly(body)}
		if i > 0 {
			all[i].ok = all[0].ok // one copy of the answer is enough
		}
	}
	return func(n int) (call, bool) { return all[n%len(all)], true }, nil
}

// cold measures a call to a Host whose file is closed: the Hosts are called in
// turn by one client, and few files may be open.
func (b *bench) cold(ctx context.Context) error {
	dir := filepath.Join(b.dir, "cold")
	d, err := build(ctx, dir, 1, b.hosts, b.eventsEach, 0)
	if err != nil {
		return err
	}
	product, err := b.product(ctx, dir, append(unlimited(), "--max-open-hosts", "8")...)
	if err != nil {
		return err
	}
	quotes := make([]call, len(d.many))
	for i, user := range d.many { // all have the same events
		quotes[i] = call{post(path(user), "", tool("get_event", map[string]any{"event_id": "none"}, nil)),
			func(status int, body []byte) bool {
				return status == 200 && bytes.Contains(body, []byte("event_not_found"))
			}}
	}
	var warm, cold []float64
	for range b.rounds {
		m, err := load(ctx, product, 1, b.each, always(quotes[0]))
		if err != nil {
			return err
		}
		warm = append(warm, ms(m.quantile(.5)))
		if m, err = load(ctx, product, 1, b.each, func(n int) (call, bool) { return quotes[n%len(quotes)], true }); err != nil {
			return err
		}
		cold = append(cold, ms(m.quantile(.5)))
	}
	b.found(figure{Name: "first call to a closed Host, over a warm one (p50)", Value: median(cold) - median(warm), Unit: "ms more",
		Baseline: "a warm call", Base: median(warm), Ratio: median(cold) - median(warm), Most: 3})
	return b.close()
}

// paid measures whole bookings on a chain that takes no time.
func (b *bench) paid(ctx context.Context) (err error) {
	dir := filepath.Join(b.dir, "paid")
	d, err := build(ctx, dir, 2, 0, 0, 0)
	if err != nil {
		return err
	}
	product, err := b.start(ctx, "concierge, instant chain", b.self, "-instant", dir)
	if err != nil {
		return err
	}
	quote, err := ask(product, post(path(d.busy), "", tool("rsvp_to_event", map[string]any{"event_id": d.priced}, nil)))
	if err != nil {
		return err
	}
	// Its file is given as many rows as the product's: both grow slower.
	h, err := alone(ctx, b.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	var rates, ratios, cpu []float64
	var last measured
	for range b.rounds {
		all, err := purchases(ctx, d.busy, d.priced, quote, b.payments)
		if err != nil {
			return err
		}
		var n atomic.Int64
		grouped, err := writers(ctx, h, b.clients, func() bool { return n.Add(1) <= int64(b.payments) }, holdAndConfirm(ctx))
		if err != nil {
			return err
		}
		m, err := load(ctx, product, b.clients, time.Minute, func(n int) (call, bool) {
			if n >= len(all) {
				return call{}, false
			}
			return all[n], true
		})
		if err != nil {
			return err
		}
		rates, ratios, cpu, last = append(rates, m.rate()), append(ratios, m.rate()/grouped), append(cpu, ms(m.cpuPerCall())), m
	}
	b.found(figure{Name: "paid bookings, one Host", Value: median(rates), Unit: "bookings/s", Baseline: "the store alone, hold and confirm",
		Base: median(rates) / median(ratios), Ratio: median(ratios), Least: 0.5, P50: ms(last.quantile(.5)), P99: ms(last.quantile(.99))})
	b.found(figure{Name: "server CPU of a paid booking", Value: median(cpu), Unit: "ms", Ratio: median(cpu), Most: 1.5})
	return b.close()
}

// store measures the files without a server.
func (b *bench) store(ctx context.Context) error {
	var singles, together, ratios []float64
	for range b.rounds {
		one, err := disk(ctx, b.dir, b.each)
		if err != nil {
			return err
		}
		h, err := alone(ctx, b.dir)
		if err != nil {
			return err
		}
		start := time.Now()
		all, err := writers(ctx, h, 32, func() bool { return time.Since(start) < b.each }, bookFree(ctx))
		if err = errors.Join(err, h.Close()); err != nil {
			return err
		}
		singles, together, ratios = append(singles, one), append(together, all), append(ratios, all/one)
	}
	b.found(figure{Name: "32 writers on one Host's file", Value: median(together), Unit: "bookings/s", Baseline: "SQLite, a commit each",
		Base: median(singles), Ratio: median(ratios), Least: 5})
	return nil
}

// fair measures what a quiet tenant notices of another's flood.
func (b *bench) fair(ctx context.Context) error {
	dir := filepath.Join(b.dir, "fair")
	d, err := build(ctx, dir, 20, 2, 20, 0)
	if err != nil {
		return err
	}
	product, err := b.product(ctx, dir)
	if err != nil {
		return err
	}
	request := post(path(d.many[0]), "", listCall())
	body, err := ask(product, request)
	if err != nil {
		return err
	}
	quiet := func(n int) (call, bool) {
		time.Sleep(10 * time.Millisecond) // it is quiet, and far from any limit
		return call{request, exactly(body)}, true
	}
	var idle, flooded, ratios []float64
	var served, refused atomic.Int64
	for range b.rounds {
		before, err := load(ctx, product, 1, 5*b.each, quiet)
		if err != nil {
			return err
		}
		flood, stop := context.WithCancel(ctx)
		over := make(chan error, 1)
		go func() {
			_, err := load(flood, product, 8, time.Minute, always(call{post(path(d.busy), "", listCall()), func(status int, _ []byte) bool {
				if status == 200 {
					served.Add(1)
				} else {
					refused.Add(1)
				}
				return status == 200 || status == 429
			}}))
			over <- err
		}()
		during, err := load(ctx, product, 1, 5*b.each, quiet)
		stop()
		if floodErr := <-over; err == nil {
			err = floodErr
		}
		if err != nil {
			return err
		}
		p, q := ms(before.quantile(.99)), ms(during.quantile(.99))
		idle, flooded, ratios = append(idle, p), append(flooded, q), append(ratios, q/p)
	}
	b.found(figure{Name: "p99 of a quiet tenant, another flooded", Value: median(flooded), Unit: "ms", Baseline: "nobody flooded",
		Base: median(idle), Ratio: median(ratios), Most: 2})
	b.found(figure{Name: "calls of the flood that were refused", Value: float64(refused.Load()) / float64(max(1, refused.Load()+served.Load())),
		Unit: "of all", Ratio: float64(refused.Load())})
	return b.close()
}

// crowd measures a server of many users.
func (b *bench) crowd(ctx context.Context) error {
	dir := filepath.Join(b.dir, "crowd")
	d, err := build(ctx, dir, 1, 0, 0, b.users)
	if err != nil {
		return err
	}
	product, err := b.product(ctx, dir, unlimited()...)
	if err != nil {
		return err
	}
	b.found(figure{Name: fmt.Sprintf("start with %d users", b.users), Value: product.ready.Seconds(), Unit: "s", Ratio: product.ready.Seconds(), Most: 1})
	touch := func(from int) calls {
		return func(n int) (call, bool) {
			return call{post(path(d.users[(from+n)%b.touched]), "", listCall()), func(status int, body []byte) bool {
				return status == 200 && bytes.Contains(body, []byte(`\"events\":[]`))
			}}, from > 0 || n < b.touched
		}
	}
	if _, err := load(ctx, product, b.clients, 10*time.Minute, touch(0)); err != nil {
		return err
	}
	after := product.memory()
	b.found(figure{Name: fmt.Sprintf("memory, %d of %d users touched", b.touched, b.users), Value: float64(after) / 1e6, Unit: "MB",
		Ratio: float64(after) / 1e6, Most: 400})
	hour, err := load(ctx, product, b.clients, time.Duration(b.rounds)*5*b.each, touch(1))
	if err != nil {
		return err
	}
	b.found(figure{Name: fmt.Sprintf("memory, %d calls later", hour.calls), Value: float64(product.memory()) / 1e6, Unit: "MB",
		Baseline: "before", Base: float64(after) / 1e6, Ratio: float64(product.memory()) / float64(after), Most: 1.1})
	return b.close()
}
