package chat

import (
	"errors"
	"strings"
	"testing"
)

func lines(chunks ...string) string {
	var b strings.Builder
	for _, c := range chunks {
		b.WriteString("data: " + c + "\n\n")
	}
	return b.String()
}

const (
	hello  = `{"choices":[{"delta":{"content":"Hel"}}]}`
	ending = `{"choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}`
)

func TestReadStep(t *testing.T) {
	call := func(index, id, name, args string) string {
		return `{"choices":[{"delta":{"tool_calls":[{"index":` + index + `,"id":"` + id + `","function":{"name":"` + name + `","arguments":"` + args + `"}}]}}]}`
	}
	for name, c := range map[string]struct {
		stream string
		text   string
		calls  int
		tokens int
		failed bool
	}{
		"a text":                    {lines(hello, ending, `{"choices":[],"usage":{"total_tokens":7}}`, "[DONE]"), "Hello", 0, 7, false},
		"comments and names":        {": ping\n\nevent: x\n" + lines(hello, ending), "Hello", 0, 0, false},
		"a call in pieces":          {lines(call("0", "c1", "find", ""), call("0", "", "_events", "{}"), "[DONE]"), "", 1, 0, false},
		"two calls":                 {lines(call("0", "c1", "a", "{}"), call("1", "c2", "b", "{}"), "[DONE]"), "", 2, 0, false},
		"cut off":                   {lines(hello), "Hel", 0, 0, true},
		"cut off in a line":         {lines(hello) + `data: {"choices":[{"del`, "Hel", 0, 0, true},
		"too long for the model":    {lines(hello, `{"choices":[{"delta":{},"finish_reason":"length"}]}`), "Hel", 0, 0, true},
		"nothing":                   {"", "", 0, 0, true},
		"no JSON":                   {lines("hello"), "", 0, 0, true},
		"an error":                  {lines(hello, `{"error":{"message":"key sk-1"}}`), "Hel", 0, 0, true},
		"a negative number of uses": {lines(ending, `{"usage":{"total_tokens":-5}}`), "lo", 0, 0, false},
		"a call without a name":     {lines(call("0", "c1", "", "{}"), "[DONE]"), "", 1, 0, true},
		"a call that is not next":   {lines(call("3", "c1", "a", "{}"), "[DONE]"), "", 0, 0, true},
		"a negative call":           {lines(call("-1", "c1", "a", "{}"), "[DONE]"), "", 0, 0, true},
		"endless arguments":         {lines(call("0", "c1", "a", strings.Repeat("x", maxArguments)), "[DONE]"), "", 1, 0, true},
		"an endless text":           {strings.Repeat(lines(`{"choices":[{"delta":{"content":"`+strings.Repeat("a", 1000)+`"}}]}`), 20), strings.Repeat("a", 16000), 0, 0, true},
		"an endless stream":         {strings.Repeat(": nothing\n", maxAnswerBytes/10+1) + lines(hello, ending), "", 0, 0, true},
		"an endless line":           {"data: " + strings.Repeat("a", 2*maxAnswerBytes), "", 0, 0, true},
	} {
		said := ""
		s, err := readStep(strings.NewReader(c.stream), func(d string) { said += d })
		if s.text != c.text || said != c.text || len(s.calls) != c.calls || s.tokens != c.tokens || (err != nil) != c.failed {
			t.Errorf("%s: %.60q (%d bytes), %d calls, %d tokens, %v", name, s.text, len(s.text), len(s.calls), s.tokens, err)
		}
		if err != nil && strings.Contains(err.Error(), "sk-1") {
			t.Errorf("%s: the error repeats what the server said: %v", name, err)
		}
	}
	if _, err := readStep(strings.NewReader(lines(hello)), func(string) {}); !errors.Is(err, errCut) {
		t.Errorf("cut off: %v", err)
	}
}

func FuzzReadStep(f *testing.F) {
	f.Add(lines(hello, ending, "[DONE]"))
	f.Add(lines(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"b","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`))
	f.Fuzz(func(t *testing.T, stream string) {
		said := 0
		s, err := readStep(strings.NewReader(stream), func(d string) { said += len(d) })
		if said != len(s.text) || len(s.text) > maxAnswerText || len(s.calls) > maxCalls || s.tokens < 0 {
			t.Errorf("%d said, %d bytes, %d calls, %d tokens", said, len(s.text), len(s.calls), s.tokens)
		}
		for _, c := range s.calls {
			if err == nil && (c.ID == "" || c.Function.Name == "") {
				t.Error("a call without a name")
			}
		}
	})
}
