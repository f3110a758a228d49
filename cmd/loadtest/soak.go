package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// minutes is into how many parts the time of [bench.endure] is divided: minutes, if
// it is ten of them.
const minutes = 10

// endure calls many Hosts for long, lists and free RSVPs in turn, and looks at the
// memory of the server after each part of the time. What is asked again is
// remembered, and files are opened, until there is no more room for that; so the
// last parts are compared with those in the middle.
func (b *bench) endure(ctx context.Context) error {
	dir := filepath.Join(b.dir, "soak")
	d, err := build(ctx, dir, 1, b.hosts, b.eventsEach, 0)
	if err != nil {
		return err
	}
	product, err := b.product(ctx, dir, unlimited()...)
	if err != nil {
		return err
	}
	next := func(n int) (call, bool) {
		user := path(d.many[n/2%len(d.many)])
		if n%2 == 1 { // of the event of all of them, which are copies of one
			return call{post(user, "", tool("rsvp_to_event", map[string]any{"event_id": d.gratis}, nil)), confirmed}, true
		}
		return call{post(user, "", listCall()), func(status int, body []byte) bool {
			return status == 200 && bytes.Contains(body, []byte(`\"title\":`))
		}}, true
	}
	var memory []float64
	calls := 0
	for range minutes {
		m, err := load(ctx, product, b.clients, b.soak/minutes, func(n int) (call, bool) { return next(calls + n) })
		if err != nil {
			return err
		}
		calls += m.calls
		memory = append(memory, float64(product.memory())/1e6)
		fmt.Fprintf(b.out, "after %d calls: %s MB\n", calls, number(memory[len(memory)-1]))
	}
	middle, end := slices.Max(memory[minutes/2-2:minutes/2]), slices.Max(memory[minutes-2:])
	b.found(figure{Name: fmt.Sprintf("memory, %d Hosts called %d times", len(d.many), calls), Value: end, Unit: "MB",
		Baseline: "half way", Base: middle, Ratio: end / middle, Most: 1.1})
	return b.close()
}
