package chat

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func TestDecodeRequest(t *testing.T) {
	for raw, want := range map[string]Request{
		`{"type":"say","text":"help"}`:                                            {Type: "say", Text: "help"},
		` {"type":"approve","approval":7} `:                                       {Type: "approve", Approval: 7},
		`{"type":"deny","approval":7}`:                                            {Type: "deny", Approval: 7},
		`{"type":"cancel"}`:                                                       {Type: "cancel"},
		`{"type":"connect","host":"https://a.example/mcp"}`:                       {Type: "connect", Host: "https://a.example/mcp"},
		`{"type":"show","host":"https://a.example","event_id":"evt_1"}`:           {Type: "show", Host: "https://a.example", Event: "evt_1"},
		`{"type":"book","host":"https://a.example","event_id":"evt_1","seats":2}`: {Type: "book", Host: "https://a.example", Event: "evt_1", Seats: 2},
		`{"type":"unbook","host":"https://a.example","rsvp_id":"rsvp_1"}`:         {Type: "unbook", Host: "https://a.example", RSVP: "rsvp_1"},
		`{"type":"trace","on":true}`:                                              {Type: "trace", On: true},
		`{"type":"trace"}`:                                                        {Type: "trace"},
		// And what is none of these:
		`{"type":"connect"}`: {}, `{"type":"connect","host":"a","seats":1}`: {}, `{"type":"show","host":"a"}`: {},
		`{"type":"show","host":"a","event_id":"e","seats":2}`: {}, `{"type":"book","event_id":"e"}`: {}, `{"type":"book","host":"a","event_id":"e","seats":-1}`: {},
		`{"type":"book","host":"a","event_id":"e","seats":10000}`: {}, `{"type":"unbook","host":"a","event_id":"e"}`: {}, `{"type":"cancel","on":true}`: {},
		`{"type":"connect","host":"` + strings.Repeat("a", maxURL+1) + `"}`: {}, `{"type":"trace","on":"yes"}`: {},
		// Of those that people say:
		``: {}, `null`: {}, `[]`: {}, `"say"`: {}, `{}`: {},
		`{"type":"say"}`: {}, `{"type":"say","text":""}`: {}, `{"type":"say","text":7}`: {},
		`{"type":"say","text":"a","approval":1}`:                         {},
		`{"type":"say","text":"` + strings.Repeat("a", MaxText+1) + `"}`: {},
		`{"type":"approve"}`:                         {},
		`{"type":"approve","approval":0}`:            {},
		`{"type":"approve","approval":-1}`:           {},
		`{"type":"approve","approval":1.5}`:          {},
		`{"type":"approve","approval":"1"}`:          {},
		`{"type":"approve","approval":1,"text":"a"}`: {},
		`{"type":"cancel","all":true}`:               {},
		`{"type":"cancel"}{"type":"cancel"}`:         {},
		`{"type":"pay"}`:                             {},
	} {
		got, err := decodeRequest([]byte(raw))
		if got != want || (err != nil) != (want == Request{}) {
			t.Errorf("%.60s: %+v, %v", raw, got, err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"type":"say","text":"help"}`))
	f.Add([]byte(`{"type":"approve","approval":1}`))
	f.Add([]byte(`{"type":"book","host":"https://a.example","event_id":"evt_1","seats":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeRequest(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := decodeRequest(again); err != nil || other != r {
			t.Errorf("%+v becomes %+v, %v", r, other, err)
		}
	})
}

// A client that takes nothing is given up, and nobody waits for it.
func TestSlowClient(t *testing.T) {
	s := &socket{out: make(chan Message, maxWaiting)}
	s.ending, s.end = context.WithCancelCause(t.Context())
	for range maxWaiting {
		s.send(Message{Type: kindDelta})
	}
	if s.ending.Err() != nil {
		t.Fatal("given up too early")
	}
	s.send(Message{Type: kindDelta})
	var bye farewell
	if !errors.As(context.Cause(s.ending), &bye) || bye.code != websocket.StatusPolicyViolation {
		t.Errorf("%v", context.Cause(s.ending))
	}
}
