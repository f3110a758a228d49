package metrics

import (
	"context"
	"sync"
	"time"
)

// historyEvery is the pause between two looks at what was counted.
const historyEvery = 10 * time.Second

// sampler looks up what takes too long for a scrape.
type sampler struct {
	every, within time.Duration
	look          func(context.Context)
}

// Sample has [Metrics.Run] call look at once and every so often, each time with a
// context that ends within half that time. Call it before Run.
func (m *Metrics) Sample(every time.Duration, look func(context.Context)) {
	m.samplers = append(m.samplers, sampler{every, every / 2, look})
}

// Run looks up what is sampled, and remembers the last quarter of an hour, until ctx
// ends. It returns when all of that has.
func (m *Metrics) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, s := range m.samplers {
		wg.Go(func() { s.run(ctx) })
	}
	sampler{historyEvery, historyEvery, func(context.Context) { m.Remember() }}.run(ctx)
}

func (s sampler) run(ctx context.Context) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, s.within)
		s.look(once)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
