package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// call is a request and what its answer must be.
type call struct {
	request []byte
	ok      func(status int, body []byte) bool
}

// calls makes the nth call; ok is false when there are no more.
type calls func(n int) (c call, ok bool)

// always makes the same call over and over.
func always(c call) calls { return func(int) (call, bool) { return c, true } }

// measured is what came of a load.
type measured struct {
	calls     int
	took      time.Duration
	cpu       time.Duration   // of the server
	latencies []time.Duration // sorted
}

func (m measured) rate() float64 { return float64(m.calls) / m.took.Seconds() }

// quantile is the latency that the part q of all calls did not exceed.
func (m measured) quantile(q float64) time.Duration {
	if len(m.latencies) == 0 {
		return 0
	}
	return m.latencies[min(int(q*float64(len(m.latencies))), len(m.latencies)-1)]
}

func (m measured) cpuPerCall() time.Duration { return m.cpu / time.Duration(max(m.calls, 1)) }

// load has clients, each with a connection of its own, make calls for a time or
// until there are no more. Every answer is checked; the first wrong one ends it.
func load(ctx context.Context, s *served, clients int, d time.Duration, next calls) (measured, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var n atomic.Int64
	each := make([][]time.Duration, clients)
	failed := make([]error, clients)
	connections := make([]*connection, clients)
	for i := range connections {
		var err error
		if connections[i], err = dial(s.addr); err != nil {
			return measured{}, err
		}
		defer connections[i].conn.Close()
	}
	before, start := s.cpu(), time.Now()
	var wg sync.WaitGroup
	for i, c := range connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				call, ok := next(int(n.Add(1)) - 1)
				if !ok {
					return
				}
				sent := time.Now()
				status, body, err := c.do(call.request)
				if err == nil && !call.ok(status, body) {
					err = fmt.Errorf("a wrong answer: %d %.300s", status, body)
				}
				if err != nil {
					failed[i] = err
					cancel()
					return
				}
				each[i] = append(each[i], time.Since(sent))
			}
		})
	}
	wg.Wait()
	m := measured{took: time.Since(start), cpu: s.cpu() - before, latencies: slices.Concat(each...)}
	m.calls = len(m.latencies)
	slices.Sort(m.latencies)
	if err := errors.Join(failed...); err != nil {
		return m, fmt.Errorf("%s: %w", s.name, err)
	}
	return m, nil
}
