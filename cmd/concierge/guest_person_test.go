package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/server/guest"
)

func TestConfirm(t *testing.T) {
	for said, want := range map[string]bool{
		"y\n": true, "yes\n": true, " YES \r\n": true, "y": true,
		"": false, "\n": false, "n\n": false, "no\ny\n": false, "yes please\n": false, "\x00y\n": false,
		strings.Repeat(" ", 2000) + "y\n": false,
	} {
		var out strings.Builder
		yes, err := person{strings.NewReader(said), &out}.confirm(t.Context(), "Pay?")
		if yes != want || err != nil || out.String() != "Pay? [y/N] " {
			t.Errorf("%.20q: %v, %v; asked %q", said, yes, err, &out)
		}
	}
}

// Ctrl-C at a question pays nothing, and does not wait for a line.
func TestConfirmInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	silent, w := io.Pipe()
	defer w.Close()
	yes, err := person{silent, io.Discard}.confirm(ctx, "Pay?")
	if yes || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", yes, err)
	}
	if r := (&guestFlags{}).refusal(err); r.Code != "interrupted" || r.Message != "interrupted: nothing was paid" {
		t.Errorf("%+v", r)
	}
}

// What a payment comes to is told, and not what it was caused by.
func TestRefusalOfUnknown(t *testing.T) {
	err := errors.Join(context.Canceled, guest.ErrUnreachable, guest.ErrUnknown)
	if r := (&guestFlags{}).refusal(err); r.Code != "outcome_unknown" || strings.Contains(r.Message, "nothing was paid") || strings.Contains(r.Message, "\n") {
		t.Errorf("%+v", r)
	}
}
