package host_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/server/host"
)

// An email that is taken has one id however it is written, and two emails have
// two.
func FuzzUserID(f *testing.F) {
	h := mustOpen(f, f.TempDir(), "")
	for _, seed := range []string{"ada@example.org", " ADA@Example.org ", "Ada <ada@example.org>", "a@b", "@", "ada@example.org,bo@example.org", `"a b"@example.org`, "ада@example.org", "a@[127.0.0.1]"} {
		f.Add(seed)
	}
	known, err := h.UserID("ada@example.org")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, email string) {
		id, err := h.UserID(email)
		if err != nil {
			if !errors.Is(err, host.ErrEmail) {
				t.Errorf("%q: %v", email, err)
			}
			return
		}
		if len(id) != 26 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("%q has the id %q", email, id)
		}
		normal := strings.ToLower(strings.TrimSpace(email))
		if again, err := h.UserID(normal); err != nil || again != id {
			t.Errorf("%q and %q differ: %v", email, normal, err)
		}
		if (id == known) != (normal == "ada@example.org") {
			t.Errorf("%q is Ada: %t", email, id == known)
		}
	})
}

// Whatever comes in on stdin, what goes out on stdout is JSON-RPC, at most an answer
// and a question for each line, and the end of the input is the end.
func FuzzServeStdio(f *testing.F) {
	s := echoServer(nil, nil)
	for _, seed := range []string{"", "\n\n", hello, hello + callLine(1, "fast"), hello + `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, "{}\n[]\n1\nnull\n\"x\"\n",
		callLine(1, "none"), `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}` + "\n", "\x00\xff\n" + hello,
		callLine(1, "ask") + `{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}` + "\n" + `{"jsonrpc":"2.0","id":"1","error":{"code":1}}` + "\n", `[` + callLine(1, "fast") + `]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte("slow")) { // that one waits to be released
			return
		}
		var out bytes.Buffer
		if err := host.ServeStdio(t.Context(), s, bytes.NewReader(in), &out, same); err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		lines := bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
		if out.Len() > 0 && len(lines) > 2*(1+bytes.Count(in, []byte("\n"))) { // a call may ask, besides
			t.Errorf("%d answers to %q", len(lines), in)
		}
		for _, line := range lines {
			var m struct{ JSONRPC string }
			if out.Len() > 0 && (json.Unmarshal(line, &m) != nil || m.JSONRPC != "2.0") {
				t.Errorf("%q is answered by %q", in, line)
			}
		}
	})
}
