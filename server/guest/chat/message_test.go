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
		`{"type":"say","text":"help"}`:      {Type: "say", Text: "help"},
		` {"type":"approve","approval":7} `: {Type: "approve", Approval: 7},
		`{"type":"deny","approval":7}`:      {Type: "deny", Approval: 7},
		`{"type":"cancel"}`:                 {Type: "cancel"},
		// And what is none of these:
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
