package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// MaxHosts is how many Hosts a Desk has at most.
const MaxHosts = 32

// Desk is where an agent works for a person: some Hosts, one wallet, one purse.
// A Host that is out of reach keeps nobody from the others. Its methods may be
// called at the same time.
type Desk struct {
	Config

	life   context.Context // of what is asked in the background
	stop   context.CancelFunc
	asking sync.WaitGroup

	mu       sync.Mutex // not held while anything is waited for
	hosts    []*Host    // a place stays empty (nil) when its Host goes, for names to mean what they meant
	lists    map[*Host]*toolList
	news     []string
	onChange func()
}

// NewDesk returns a Desk without Hosts.
func NewDesk(c Config) *Desk {
	c.defaults()
	d := &Desk{Config: c, lists: map[*Host]*toolList{}}
	d.life, d.stop = context.WithCancel(context.Background())
	return d
}

// ErrTooManyHosts means that a Desk has [MaxHosts].
var ErrTooManyHosts = fmt.Errorf("there are %d hosts already; leave one first", MaxHosts)

// Add adds the Host at a URL, which is connected to when it is first needed.
// Twice the same one is one.
func (d *Desk) Add(url string) (*Host, error) { return d.add(newWebHost(url, d.Config)) }

// AddHost adds a Host that is connected to already.
func (d *Desk) AddHost(h *Host) (*Host, error) { return d.add(h) }

func (d *Desk) add(h *Host) (*Host, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	used, free := 0, -1
	for i, other := range d.hosts {
		switch {
		case other == nil:
			free = i
		case other.address == h.address:
			return other, nil
		default:
			used++
		}
	}
	switch {
	case used >= MaxHosts:
		return nil, ErrTooManyHosts
	case free < 0:
		d.hosts = append(d.hosts, h)
	default:
		d.hosts[free] = h
	}
	d.lists[h] = &toolList{}
	return h, nil
}

// Leave forgets the Host of an address, and closes its connection.
func (d *Desk) Leave(address string) error {
	d.mu.Lock()
	i := slices.IndexFunc(d.hosts, func(h *Host) bool { return h != nil && h.address == address })
	if i < 0 {
		d.mu.Unlock()
		return ErrNoHost
	}
	h := d.hosts[i]
	d.hosts[i] = nil
	delete(d.lists, h)
	d.mu.Unlock()
	return h.Close()
}

// ErrNoHost means that a Desk has no Host of an address.
var ErrNoHost = errors.New("no such host here")

// Host returns the Host of an address. Errors: [ErrNoHost].
func (d *Desk) Host(address string) (*Host, error) {
	for _, h := range d.Hosts() {
		if h.address == addressOf(address) || h.address == address {
			return h, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoHost, words(address))
}

// Hosts returns the Hosts in the order of their places.
func (d *Desk) Hosts() []*Host {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.hosts), func(h *Host) bool { return h == nil })
}

// Close ends all connections, after the calls that are under way.
func (d *Desk) Close() error {
	d.mu.Lock()
	d.stop()
	d.mu.Unlock()
	d.asking.Wait()
	var errs []error
	for _, h := range d.Hosts() {
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}

// each calls f for all Hosts at a time, and returns what it returned in their
// order.
func each[T any](hosts []*Host, f func(*Host) T) []T {
	all := make([]T, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { all[i] = f(h) })
	}
	wg.Wait()
	return all
}

// Result is what a tool answers, of a Host's or of the Desk's own.
type Result struct {
	// Host is whose words Texts and Structured are; "": our own.
	Host       string
	Texts      []string
	Structured json.RawMessage // may be nil
	Failed     bool

	Paid     x402.Amount // 0: nothing was paid
	PayTo    x402.Address
	Pending  bool            // it is not decided yet whether the payment is taken
	Approval *store.Approval // what the person has to say yes to first; then the same call is made again
	Err      error           // why there is no answer, or nothing was paid
}

// Note is what we have to say of a result, in one line; "": nothing.
func (r Result) Note() string {
	switch {
	case r.Approval != nil && r.Approval.State == store.ApprovalDenied:
		return "Not booked and nothing paid: the person said no. Do not ask again."
	case r.Approval != nil:
		return fmt.Sprintf("Not booked and nothing paid yet: the person has to approve $%s to %s first (approval %d). Then make the same call again.",
			r.Approval.Amount.USD(), r.Approval.PayTo, r.Approval.ID)
	case r.Err != nil:
		return explain(r.Err)
	case r.Paid > 0 && r.Pending:
		return fmt.Sprintf("Do not pay again. Under way: $%s in USDC to %s.", r.Paid.USD(), r.PayTo)
	case r.Paid > 0:
		return fmt.Sprintf("Paid $%s in USDC to %s.", r.Paid.USD(), r.PayTo)
	}
	return ""
}

func explain(err error) string {
	switch {
	case errors.Is(err, errTakesLong), errors.Is(err, errStarting):
		return fmt.Sprintf("Not done yet: %v.", err)
	case errors.Is(err, ErrNoWallet):
		return fmt.Sprintf("Failed: %v.", err)
	case errors.Is(err, ErrUnknown):
		return fmt.Sprintf("Failed. Only this very call may be repeated: it sends the same payment again. Why, maybe in the host's words: %v.", err)
	case errors.Is(err, ErrTooExpensive), errors.Is(err, store.ErrOverBudget):
		return fmt.Sprintf("Not booked and nothing paid: %v. Only the person can raise that, in their spending policy or with --max-price.", err)
	}
	return fmt.Sprintf("Failed. Why, maybe in the host's words: %v.", err)
}

// Use calls a tool of [Desk.Tools] by its name. Arguments are a JSON object, or
// nil for none.
func (d *Desk) Use(ctx context.Context, name string, args json.RawMessage) Result {
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	for _, t := range ownTools() {
		if t.Name == name {
			return t.use(ctx, d, args)
		}
	}
	tool, err := d.find(ctx, name)
	if err != nil {
		return Result{Failed: true, Err: err}
	}
	return tool.Host.Use(ctx, tool.Remote, args)
}

// Use is [Host.Call] with all that comes of it in a Result.
func (h *Host) Use(ctx context.Context, tool string, args json.RawMessage) Result {
	answer, err := h.Call(ctx, tool, args)
	r := Result{Host: h.address, Texts: answer.Texts, Structured: answer.Structured, Failed: answer.Failed || err != nil,
		Paid: answer.Paid, PayTo: answer.PayTo, Pending: answer.pending(), Err: err}
	if wait, ok := errors.AsType[*ApprovalError](err); ok {
		r.Approval = &wait.Approval
	}
	return r
}
