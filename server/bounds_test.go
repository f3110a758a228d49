package server

import (
	"testing"
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
