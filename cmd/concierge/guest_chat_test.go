package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/server/guest/chat"
)

// chatting runs `guest chat` on a wallet that owns nothing, and returns what it
// printed.
func chatting(t *testing.T, ctx context.Context, in io.Reader, args ...string) (out, notes string) {
	t.Helper()
	t.Setenv("CONCIERGE_HOME", t.TempDir())
	t.Setenv(envWalletKey, newKey(t))
	var o, n bytes.Buffer
	if code := run(ctx, append([]string{"guest", "chat"}, args...), in, &o, &n); code != 0 {
		t.Errorf("code %d: %s", code, &n)
	}
	return o.String(), n.String()
}

// Ctrl-C cancels an answer that takes long, and the conversation goes on.
func TestInterruptedAnswer(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client go
		interrupt()
		<-r.Context().Done()
	}))
	defer silent.Close()
	out, _ := chatting(t, ctx, strings.NewReader("connect to "+silent.URL+"/mcp\nhosts\n"))
	if out != "Cancelled.\nI know no host yet. Send me the address of one.\n" {
		t.Errorf("it said %q", out)
	}
}

// At the prompt Ctrl-C ends the conversation.
func TestInterruptedPrompt(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	in, _ := io.Pipe()
	defer in.Close()
	out, _ := chatting(t, ctx, readFirst{in, interrupt})
	if out != "" {
		t.Errorf("it said %q", out)
	}
}

// readFirst does something when it is read for the first time.
type readFirst struct {
	io.Reader
	do func()
}

func (r readFirst) Read(b []byte) (int, error) {
	r.do()
	return r.Reader.Read(b)
}

// A text that came in pieces is shown once, and nothing in it steers the terminal.
func TestChatScreen(t *testing.T) {
	var out, notes bytes.Buffer
	s := screen{out: &out, notes: &notes}
	for _, m := range []chat.Message{
		{Type: "said", Text: "what is on?"},
		{Type: "delta", Text: "Two\tthings:\n"}, {Type: "delta", Text: "\x1b[2Jjazz"}, {Type: "text", Text: "Two\tthings:\n\x1b[2Jjazz"},
		{Type: "delta", Text: "And"}, {Type: "error", Text: "cut \x07off"},
		{Type: "progress", Text: "Using \x1b]0;x …"},
		{Type: "text", Text: "whole"},
		{Type: "receipt", Text: "confirmed", Data: []byte(`{"transaction":"0x\u001b1"}`)},
		{Type: "done"},
	} {
		s.show(m)
	}
	if want := "Two things:\n\uFFFD[2Jjazz\nAnd\ncut \uFFFDoff\nwhole\nconfirmed\ntransaction 0x\uFFFD1\n"; out.String() != want {
		t.Errorf("shown is %q, not %q", &out, want)
	}
	if want := "Using \uFFFD]0;x …\n"; notes.String() != want {
		t.Errorf("noted is %q, not %q", &notes, want)
	}
}

func TestChatLines(t *testing.T) {
	for line, want := range map[string]chat.Request{
		"approve 7":                   {Type: chat.AskApprove, Approval: 7},
		"deny 12":                     {Type: chat.AskDeny, Approval: 12},
		"approve":                     {Type: chat.AskSay, Text: "approve"},
		"approve 0":                   {Type: chat.AskSay, Text: "approve 0"},
		"approve -1":                  {Type: chat.AskSay, Text: "approve -1"},
		"approve 9999999999999999999": {Type: chat.AskSay, Text: "approve 9999999999999999999"},
		"please approve 7":            {Type: chat.AskSay, Text: "please approve 7"},
		"approve 7 and 8":             {Type: chat.AskSay, Text: "approve 7 and 8"},
	} {
		if got := requestOf(line); got != want {
			t.Errorf("%q is %+v", line, got)
		}
	}
}

// With a key the language model answers, in pieces.
func TestChatWithModel(t *testing.T) {
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Error("it has not the key")
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, piece := range []string{`"delta":{"content":"Jazz, "}`, `"delta":{"content":"tonight."}`, `"delta":{},"finish_reason":"stop"`} {
			fmt.Fprintf(w, "data: {\"choices\":[{%s}]}\n\n", piece)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	defer model.Close()
	t.Setenv(envModelKey, "secret")
	t.Setenv(envModelURL, model.URL)
	out, notes := chatting(t, t.Context(), strings.NewReader("what's on?\n"))
	if out != "Jazz, tonight.\n" || strings.Contains(notes, "secret") {
		t.Errorf("it said %q, and noted %q", out, notes)
	}
}
