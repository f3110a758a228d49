// Package mail sends the codes by which people prove that an email is theirs,
// through a mail server (SMTP). It keeps nothing, and no error of it has an
// address in it. Start with [New].
package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Config says which mail server, and as whom.
type Config struct {
	// Server is its host and port. On port 465 TLS is spoken at once, on others
	// after STARTTLS; a server on this machine is trusted without.
	Server string
	// From is who the mails are from: an address, or a name with one.
	From string
	// Who the server knows; empty: it wants to know nobody. Without STARTTLS they are
	// sent by AUTH PLAIN.
	User, Password string
	// Timeout bounds connecting, and then sending. Default 6 s.
	Timeout time.Duration
}

// Sender sends codes. Safe for concurrent use.
type Sender struct {
	host string
	from string
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	opts []gomail.Option
}

// New checks c and returns a Sender; it connects to nothing yet.
func New(c Config) (*Sender, error) {
	host, portText, err := net.SplitHostPort(c.Server)
	port, portErr := strconv.Atoi(portText)
	if err != nil || portErr != nil || host == "" || port < 1 || port > 65535 {
		return nil, errors.New("the mail server is not HOST:PORT, such as smtp.example.org:587")
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		return nil, errors.New(`the sender is not an address, such as "Events <events@example.org>"`)
	}
	s := &Sender{host: host, from: c.From, opts: []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(cmp.Or(c.Timeout, 6*time.Second)), gomail.WithoutNoop()}}
	auth := gomail.SMTPAuthPlain
	dialer := &net.Dialer{}
	s.dial = dialer.DialContext
	switch {
	case isLoopback(host):
		s.opts = append(s.opts, gomail.WithTLSPolicy(gomail.NoTLS))
	case port == 465:
		s.opts = append(s.opts, gomail.WithSSL())
		s.dial = (&tls.Dialer{NetDialer: dialer}).DialContext
	default:
		auth = gomail.SMTPAuthAutoDiscover
		s.opts = append(s.opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if c.User != "" {
		s.opts = append(s.opts, gomail.WithSMTPAuth(auth), gomail.WithUsername(c.User), gomail.WithPassword(c.Password))
	}
	return s, nil
}

// SendCode sends a code that is valid for so long.
func (s *Sender) SendCode(ctx context.Context, email, code string, valid time.Duration) error {
	// The library leaves a connection open on which it could not come to terms.
	var conn net.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	client, err := gomail.NewClient(s.host, append(slices.Clone(s.opts), gomail.WithDialContextFunc(
		func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			conn, err = s.dial(ctx, network, address)
			return conn, err
		}))...)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	m := gomail.NewMsg()
	if err := errors.Join(m.From(s.from), m.To(email)); err != nil {
		return errors.New("mail: the address can't be sent to")
	}
	m.Subject("Your code: " + code)
	m.SetMessageID()
	m.SetDate()
	m.SetBodyString(gomail.TypeTextPlain, fmt.Sprintf("Somebody, hopefully you, is signing in to Events Concierge with this address.\n\n"+
		"    %s\n\nThe code is good for %d minutes. If it was not you, do nothing.\n", code, int(valid.Minutes())))
	return plain(client.DialAndSendWithContext(ctx, m))
}

// plain says what went wrong without the server's words, which may have the
// address in them.
func plain(err error) error {
	var refused *gomail.SendError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return fmt.Errorf("mail: refused by the mail server: code %d, reason %d", refused.ErrorCode(), refused.Reason)
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("mail: the mail server does not answer")
	}
	var dial *net.OpError
	if errors.As(err, &dial) {
		return fmt.Errorf("mail: the mail server can't be reached: %w", dial)
	}
	return errors.New("mail: the mail server could not be spoken to (its TLS, or the credentials)")
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}
