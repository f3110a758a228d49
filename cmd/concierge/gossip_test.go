package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// gossip is everybody whom a server tells secrets: a facilitator, a language model, a
// bucket, Crossmint, a node and a mail server. All of them fail, and repeat in their
// answers what they were sent.
type gossip struct {
	*httptest.Server
	mail  string // HOST:PORT of the mail server
	chain string // URL of the devnet whose facilitator says what is supported

	settling chan struct{} // closed when the first payment is to be settled
	once     sync.Once

	mu     sync.Mutex
	signed []string
	told   strings.Builder // headers, paths and bodies
}

func newGossip(t *testing.T) *gossip {
	t.Helper()
	g := &gossip{settling: make(chan struct{})}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer c.Close(); g.post(c) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	g.mail = l.Addr().String()
	return g
}

func (g *gossip) tell(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told.WriteString(what + "\n")
}

func (g *gossip) signatures() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.signed...)
}

// post is the mail server: it refuses all who say who they are.
func (g *gossip) post(c net.Conn) {
	fmt.Fprint(c, "220 here\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		line := lines.Text()
		g.tell(line)
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			fmt.Fprint(c, "250-here\r\n250 AUTH PLAIN\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprintf(c, "535 5.7.8 I do not like %s\r\n", line)
		}
	}
}

func (g *gossip) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var headers strings.Builder
	_ = r.Header.Write(&headers)
	all := fmt.Sprintf("%s\n%s\n%s", r.URL, &headers, body)
	g.tell(all)
	switch r.URL.Path {
	case "/supported": // of the devnet's facilitator, else nobody is asked to settle
		resp, err := http.Get(g.chain + "/facilitator/supported")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, resp.Body)
	case "/verify":
		signature, payer := signatureIn(body)
		g.mu.Lock()
		g.signed = append(g.signed, signature)
		g.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{"isValid": true, "payer": payer})
	default:
		if r.URL.Path == "/settle" {
			g.once.Do(func() { close(g.settling) })
		}
		w.Header().Set("X-Request-Was", strings.ReplaceAll(r.Header.Get("Authorization"), "\n", " "))
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, all)
	}
}

// heard fails if a secret was not told to whom it is for: one that is never read is
// in no log either.
func (g *gossip) heard(v *vault) {
	v.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	told := g.told.String()
	plain := "\x00" + v.values[secretSMTPUser] + "\x00" + v.values[secretSMTPPassword]
	for name, want := range map[string]string{
		"the mail server":    "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte(plain)),
		"the facilitator":    "Authorization: Bearer s3-facilitator-token-",
		"the language model": "Authorization: Bearer " + v.values[secretModelKey],
		"the bucket":         "Credential=" + v.values[secretAWSKeyID] + "/",
		"the bucket, too":    v.values[secretAWSSession],
		"Crossmint":          "X-Api-Key: " + v.values[secretCrossmintKey],
		"the node":           "/node/",
	} {
		if !strings.Contains(told, want) {
			v.Errorf("%s was not told its secret", name)
		}
	}
}
