package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/events-concierge/concierge/payments/x402"
)

// unsettled keeps the payments that may be taken and of which it is not known
// whether they were, by the call that they pay. Whoever makes the same call
// meanwhile, such as a model after a timeout, sends the same payment again
// rather than a new one. The zero value is empty.
type unsettled struct {
	mu       sync.Mutex
	payments map[string]x402.Payment
}

func (u *unsettled) find(key string) (x402.Payment, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, ok := u.payments[key]
	return p, ok
}

// add returns the payment that is to be sent: p, unless there is one already.
func (u *unsettled) add(key string, p x402.Payment) (_ x402.Payment, isNew bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if first, ok := u.payments[key]; ok {
		return first, false
	}
	if u.payments == nil {
		u.payments = map[string]x402.Payment{}
	}
	u.payments[key] = p
	return p, true
}

func (u *unsettled) remove(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.payments, key)
}

// keyOf is the same for the same call, however its arguments are written.
func keyOf(tool string, args any) (string, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return "", fmt.Errorf("arguments of %s: %w", tool, err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("arguments of %s: %w", tool, err)
	}
	sorted, err := json.Marshal(v)
	return tool + "\x00" + string(sorted), err
}
