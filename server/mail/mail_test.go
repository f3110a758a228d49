package mail_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/mail"
)

// postOffice is a mail server that takes one mail, or refuses whom it is for.
type postOffice struct {
	net.Listener
	refuse bool
	mute   bool
	got    chan string // all that was said to it
}

func open(t *testing.T, p *postOffice) string {
	t.Helper()
	var err error
	if p.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	p.got = make(chan string, 1)
	go func() {
		c, err := p.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		p.got <- p.serve(c)
	}()
	_, port, _ := net.SplitHostPort(p.Addr().String())
	return port
}

func (p *postOffice) serve(c net.Conn) string {
	var said strings.Builder
	lines := bufio.NewScanner(c)
	say := func(line string) { fmt.Fprintf(c, "%s\r\n", line) }
	if !p.mute {
		say("220 here")
	}
	for letter := false; lines.Scan(); {
		line := lines.Text()
		said.WriteString(line + "\n")
		switch verb, _, _ := strings.Cut(line, " "); {
		case p.mute:
		case letter && line != ".":
		case letter:
			letter = false
			say("250 taken")
		case verb == "EHLO":
			say("250-here\r\n250 AUTH PLAIN")
		case verb == "AUTH":
			say("235 known")
		case verb == "RCPT" && p.refuse:
			say("550 no such mailbox: ada@example.org")
		case verb == "DATA":
			letter = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return said.String()
		default:
			say("250 fine")
		}
	}
	return said.String()
}

func TestSendCode(t *testing.T) {
	p := &postOffice{}
	s, err := mail.New(mail.Config{Server: "127.0.0.1:" + open(t, p), From: "Events <events@example.org>", User: "u", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendCode(t.Context(), "ada@example.org", "ABCD2345", 15*time.Minute); err != nil {
		t.Fatal(err)
	}
	said := <-p.got
	for _, want := range []string{"AUTH PLAIN", "MAIL FROM:<events@example.org>", "RCPT TO:<ada@example.org>", "ABCD2345", "15 minutes"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q was not said:\n%s", want, said)
		}
	}
}

// What goes wrong is told without the address.
func TestNotSent(t *testing.T) {
	for name, test := range map[string]struct {
		office postOffice
		host   string
		says   string
	}{
		"refused":        {postOffice{refuse: true}, "127.0.0.1", "code 550"},
		"no answer":      {postOffice{mute: true}, "127.0.0.1", "mail: "},
		"no TLS offered": {postOffice{}, "0.0.0.0", "TLS"}, // this machine, under a name that does not say so
	} {
		t.Run(name, func(t *testing.T) {
			port := open(t, &test.office)
			s, err := mail.New(mail.Config{Server: net.JoinHostPort(test.host, port), From: "events@example.org", User: "u", Password: "secret", Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			err = s.SendCode(t.Context(), "ada@example.org", "ABCD2345", time.Minute)
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "ada") {
				t.Errorf("got %v", err)
			}
			if said := <-test.office.got; strings.Contains(said, "ABCD2345") || test.host == "0.0.0.0" && strings.Contains(said, "AUTH") {
				t.Errorf("it was said:\n%s", said)
			}
		})
	}
	s, err := mail.New(mail.Config{Server: "127.0.0.1:1", From: "events@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendCode(t.Context(), "ada@example.org", "ABCD2345", time.Minute); err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []mail.Config{
		{Server: "", From: "a@example.org"}, {Server: "smtp.example.org", From: "a@example.org"}, {Server: "smtp.example.org:0", From: "a@example.org"},
		{Server: "smtp.example.org:x", From: "a@example.org"}, {Server: ":25", From: "a@example.org"}, {Server: "smtp.example.org:25", From: ""},
	} {
		if _, err := mail.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
