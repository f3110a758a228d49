package outgoing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// dialer opens no more connections than it has slots.
type dialer struct {
	net     net.Dialer
	timeout time.Duration
	slots   chan struct{} // one in it for each connection
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("there are %d connections already: %w", cap(d.slots), ctx.Err())
	}
	free := sync.OnceFunc(func() { <-d.slots })
	conn, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		free()
		return nil, discreet(err)
	}
	return &slotted{conn, free}, nil
}

// discreet is err without what it says of the network here: a stranger who may
// have names resolved is not to learn what they resolve to.
func discreet(err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, ErrNotPublic):
		return ErrNotPublic
	case errors.As(err, &dns):
		public := *dns
		public.Server = ""
		return &public
	}
	return err
}

// judge returns what the dialer asks about each address before it connects.
func judge(allow []netip.Prefix) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil || !allowed(a.Addr(), allow) {
			return ErrNotPublic
		}
		return nil
	}
}

// slotted is a connection that gives its slot back.
type slotted struct {
	net.Conn
	free func()
}

func (c *slotted) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// body is an answer's, of which no more than left bytes are taken.
type body struct {
	io.ReadCloser
	left int64
	end  context.CancelFunc // of the request
}

func (b *body) Read(p []byte) (int, error) {
	// One byte more than may come tells the end from too much.
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if int64(n) > b.left {
		n, err = int(b.left), ErrTooLong
	}
	b.left -= int64(n)
	return n, err
}

func (b *body) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
