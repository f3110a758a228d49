package server

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/events-concierge/concierge/payments"
)

// Every call is answered within 45 s, pending if need be; so nothing of ours may
// end it before, however slowly it came in.
func TestTimeouts(t *testing.T) {
	const promised = 45 * time.Second
	if patience := payments.New(payments.Config{}).Patience; patience >= promised {
		t.Errorf("a payment is waited for for %s", patience)
	}
	if p := defaultPatience(); p.header > p.read || p.write < p.read+promised {
		t.Errorf("a call may take %s to read and %s to answer, and is cut off after %s", p.read, promised, p.write)
	}
}

// A refusal is held back; when too many are, it comes at once.
func TestHoldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(Limits{})
		start := time.Now()
		var holding sync.WaitGroup
		for range maxHeld {
			holding.Go(func() { l.hold(t.Context()) })
		}
		synctest.Wait()
		l.hold(t.Context())
		if took := time.Since(start); took != 0 {
			t.Errorf("one more is held back for %s", took)
		}
		holding.Wait()
		if took := time.Since(start); took != holdBack {
			t.Errorf("refusals come after %s", took)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		l.hold(gone)
		if took := time.Since(start); took != holdBack {
			t.Errorf("who has gone is waited for until %s", took)
		}
	})
}
