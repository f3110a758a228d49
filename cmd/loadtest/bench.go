package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
)

// bench is one run of everything.
type bench struct {
	options
	out     io.Writer
	dir     string
	self    string // this program, which also is the baselines
	figures []figure
	running []*served
}

// close ends all servers.
func (b *bench) close() error {
	var errs []error
	for _, s := range b.running {
		errs = append(errs, s.stop())
	}
	b.running = nil
	return errors.Join(errs...)
}

// start starts a server with the garbage collector that all of them have.
func (b *bench) start(ctx context.Context, name, program string, args ...string) (*served, error) {
	s, err := serve(ctx, name, program, []string{fmt.Sprintf("GOGC=%d", b.gogc)}, args...)
	if err == nil {
		b.running = append(b.running, s)
	}
	return s, err
}

// unlimited lets the product be called as often as it can answer.
func unlimited() []string { return []string{"--rate-user", "0", "--quota-requests", "0"} }

// product starts `concierge serve`.
func (b *bench) product(ctx context.Context, dir string, args ...string) (*served, error) {
	return b.start(ctx, "concierge", b.program, append([]string{"serve", "--addr", "127.0.0.1:0", "--network", network,
		"--data", dir, "--log-level", "warn"}, args...)...)
}

// bare starts a baseline that gives an answer of the product's, and checks that
// it does.
func (b *bench) bare(ctx context.Context, kind, tool string, request, body []byte) (*served, calls, error) {
	file := filepath.Join(b.dir, fmt.Sprintf("answer-%d.json", len(b.running)))
	if err := os.WriteFile(file, body, 0o600); err != nil {
		return nil, nil, err
	}
	s, err := b.start(ctx, "bare "+kind, b.self, "-baseline", kind, "-tool", tool, "-answer", file)
	if err != nil {
		return nil, nil, err
	}
	got, err := ask(s, request)
	if err != nil {
		return nil, nil, err
	}
	if !sameJSON(got, body) {
		return nil, nil, fmt.Errorf("bare %s answers something else:\n%.500s\n%.500s", kind, got, body)
	}
	return s, always(call{request, exactly(got)}), nil
}

// ask makes one call.
func ask(s *served, request []byte) ([]byte, error) {
	c, err := dial(s.addr)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	status, body, err := c.do(request)
	if err == nil && status != 200 {
		err = fmt.Errorf("%s answers %d %.300s", s.name, status, body)
	}
	return bytes.Clone(body), err
}

// exactly wants one body.
func exactly(want []byte) func(int, []byte) bool {
	return func(status int, body []byte) bool { return status == 200 && bytes.Equal(body, want) }
}

// confirmed wants an RSVP that is confirmed.
func confirmed(status int, body []byte) bool {
	return status == 200 && bytes.Contains(body, []byte(`\"status\":\"confirmed\"`)) && !bytes.Contains(body, []byte(`"isError":true`))
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// side is one of those who are compared.
type side struct {
	*served
	calls
}

// compare measures the product and its baselines in turn, round after round.
func (b *bench) compare(ctx context.Context, name string, product side, bars map[string]float64, baselines ...side) error {
	rates := map[string][]float64{}
	var last measured
	for range b.rounds {
		for _, s := range append(baselines[:len(baselines):len(baselines)], product) {
			m, err := load(ctx, s.served, b.clients, b.each, s.calls)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			rates[s.name], last = append(rates[s.name], m.rate()), m
		}
	}
	for _, s := range baselines {
		f := figure{Name: name, Value: median(rates[product.name]), Unit: "calls/s", Baseline: s.name, Base: median(rates[s.name]),
			Least: bars[s.name], P50: ms(last.quantile(.5)), P99: ms(last.quantile(.99)), CPU: ms(last.cpuPerCall())}
		var ratios []float64
		for i, r := range rates[product.name] {
			ratios = append(ratios, r/rates[s.name][i])
		}
		f.Ratio = median(ratios)
		b.found(f)
	}
	return nil
}

// found keeps a figure and shows that there is one more.
func (b *bench) found(f figure) {
	f.judge(b.slack)
	b.figures = append(b.figures, f)
	fmt.Fprintf(b.out, "%s: %s %s, %s times %s\n", f.Name, number(f.Value), f.Unit, number(f.Ratio), f.Baseline)
}
