package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
)

// desk is where people register: a server without a chain.
type desk struct {
	*testing.T
	hosts *host.Hosts
	web   *server.Server
	log   *bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) later(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// mailbox is a mail server that can be made to fail.
type mailbox struct {
	mu     sync.Mutex
	code   map[string]string // the last, by address
	mails  int
	broken error
}

func (m *mailbox) SendCode(_ context.Context, email, code string, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	m.mails++
	m.code[email] = code
	return nil
}

func newDesk(t *testing.T, r server.Registration, change ...func(*server.Config)) *desk {
	t.Helper()
	d := &desk{T: t, now: time.Now(), log: &bytes.Buffer{}}
	log := testlog.New(slog.NewTextHandler(d.log, nil))
	var err error
	if d.hosts, err = host.Open(t.Context(), host.Config{Dir: t.TempDir(), Log: log, Now: d.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.hosts.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if said := d.log.String(); strings.Contains(said, "@example.org") || strings.Contains(said, "ec_") || strings.Contains(said, "inv_") {
			t.Errorf("the log has a secret:\n%s", said)
		}
	})
	c := server.Config{Hosts: d.hosts, Version: "test", Log: log, Registration: r}
	for _, change := range change {
		change(&c)
	}
	d.web = server.New(c)
	return d
}

// said is an answer, with all members that any has.
type said struct {
	status                  int
	Status                  any
	Code, User, Token, Name string
	OwnerToken              string `json:"owner_token"`
	ExpiresIn               int    `json:"expires_in"`
	Scope                   store.Scope
	Tokens                  []struct {
		Name, Scope string
		CreatedAt   string `json:"created_at"`
		LastUsedAt  string `json:"last_used_at"`
	}
}

func (d *desk) ask(method, path, token, body string) (out said) {
	d.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.web.ServeHTTP(w, r)
	out.status = w.Code
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			d.Fatalf("%v in %s", err, w.Body)
		}
	}
	return out
}

func (d *desk) register(body string, status int, code string) said {
	d.Helper()
	out := d.ask("POST", "/api/users", "", body)
	if out.status != status || out.Code != code {
		d.Errorf("%s: %d %q, want %d %q", body, out.status, out.Code, status, code)
	}
	return out
}

func TestRegistrationModes(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		d := newDesk(t, server.Registration{Closed: true})
		d.register(`{"email": "ada@example.org"}`, 403, "registration_closed")
		code, err := d.hosts.Invite(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		d.register(`{"email": "ada@example.org", "invite": "`+code+`"}`, 403, "registration_closed")
	})
	t.Run("invite", func(t *testing.T) {
		d := newDesk(t, server.Registration{Invited: true})
		code, err := d.hosts.Invite(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		with := func(email, code string) string { return `{"email": "` + email + `", "invite": "` + code + `"}` }
		d.register(`{"email": "ada@example.org"}`, 403, "invite_required")
		d.register(with("ada@example.org", "inv_wrong"), 403, "invite_invalid")
		d.register(with("ada", code), 400, "invalid_argument") // and it stays good
		d.register(with("ada@example.org", " "+code+" "), 201, "")
		d.register(with("bo@example.org", code), 403, "invite_invalid")
		d.register(with("ada@example.org", code), 403, "invite_invalid") // tells nobody that she is there
		if code, err = d.hosts.Invite(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		d.register(with("ada@example.org", code), 409, "user_exists")
		d.later(time.Hour)
		d.register(with("bo@example.org", code), 403, "invite_invalid")
	})
	t.Run("open, with an invitation that nobody asked for", func(t *testing.T) {
		d := newDesk(t, server.Registration{})
		d.register(`{"email": "ada@example.org", "invite": "inv_wrong"}`, 403, "invite_invalid")
		d.register(`{"email": "ada@example.org", "recover": true}`, 403, "not_allowed")
	})
}

func TestVerification(t *testing.T) {
	mail := &mailbox{code: map[string]string{}}
	d := newDesk(t, server.Registration{Verify: true, Mail: mail})
	sent := func(email string) string {
		t.Helper()
		out := d.register(`{"email": "`+email+`"}`, 202, "")
		if out.Status != "verification_sent" || out.ExpiresIn != 900 || out.OwnerToken != "" {
			t.Errorf("%+v", out)
		}
		return mail.code[email]
	}
	with := func(email, code, more string) string {
		return `{"email": "` + email + `", "code": "` + code + `"` + more + `}`
	}
	d.register(`{"email": "ada"}`, 400, "invalid_argument")
	d.register(with("ada@example.org", "AAAAAAAA", ""), 403, "code_invalid")
	code := sent("ada@example.org")
	d.register(with("bo@example.org", code, ""), 403, "code_invalid") // it is hers
	ada := d.register(with("Ada@Example.org", " "+strings.ToLower(code), ""), 201, "")
	d.register(with("ada@example.org", code, ""), 403, "code_invalid") // used

	// Whether she is there is told to her alone.
	code = sent("ada@example.org")
	d.register(with("ada@example.org", code, ""), 409, "user_exists")
	code = sent("ada@example.org")
	back := d.register(with("ada@example.org", code, `, "recover": true`), 200, "")
	if back.User != ada.User || back.OwnerToken == "" || back.OwnerToken == ada.OwnerToken {
		t.Errorf("recovered %+v", back)
	}
	for token, want := range map[string]int{ada.OwnerToken: 401, back.OwnerToken: 200} {
		if got := d.ask("GET", "/api/users/"+ada.User+"/tokens", token, ""); got.status != want {
			t.Errorf("%d, want %d", got.status, want)
		}
	}
	code = sent("cy@example.org")
	d.register(with("cy@example.org", code, `, "recover": true`), 404, "user_not_found")

	code = sent("di@example.org")
	d.later(store.CodeValid)
	d.register(with("di@example.org", code, ""), 403, "code_invalid")

	mail.broken = errors.New("no")
	d.register(`{"email": "ed@example.org"}`, 503, "mail_unavailable")
	mail.broken = nil

	for range store.CodesAnHour {
		sent("fay@example.org")
	}
	d.register(`{"email": "fay@example.org"}`, 429, "over_limit")
	before := mail.mails
	for range 40 {
		d.ask("POST", "/api/users", "", `{"email": "x`+string(rune('a'+mail.mails%26))+`@example.org"}`)
	}
	if n := mail.mails - before; n > 30 {
		t.Errorf("%d mails within a minute", n)
	}
}

// Play money needs no mail server: the code is in the answer.
func TestVerificationShown(t *testing.T) {
	d := newDesk(t, server.Registration{Verify: true, PlayMoney: true})
	shown := d.ask("POST", "/api/users", "", `{"email": "ada@example.org"}`)
	if shown.status != 202 || len(shown.Code) != 8 {
		t.Fatalf("%+v", shown)
	}
	d.register(`{"email": "ada@example.org", "code": "`+shown.Code+`"}`, 201, "")
	if !strings.Contains(d.log.String(), "verification="+shown.Code) {
		t.Errorf("it is not in the log:\n%s", d.log)
	}
}

// Where money is real nobody is shown a code.
func TestVerificationNotShown(t *testing.T) {
	d := newDesk(t, server.Registration{Verify: true})
	if out := d.register(`{"email": "ada@example.org"}`, 403, "not_allowed"); out.Code == "" || len(out.Code) == 8 {
		t.Errorf("%+v", out)
	}
}

func TestTokenRoutes(t *testing.T) {
	d := newDesk(t, server.Registration{})
	ada := d.register(`{"email": "ada@example.org"}`, 201, "")
	path := "/api/users/" + ada.User + "/tokens"
	ask := func(method, path, token, body string, status int, code string) said {
		t.Helper()
		out := d.ask(method, path, token, body)
		if out.status != status || out.Code != code {
			t.Errorf("%s %s %s: %d %q, want %d %q", method, path, body, out.status, out.Code, status, code)
		}
		return out
	}
	door := ask("POST", path, ada.OwnerToken, `{"name": "door", "scope": "check-in"}`, 201, "")
	read := ask("POST", path, ada.OwnerToken, `{"name": "books", "scope": "read"}`, 201, "")
	if door.Name != "door" || door.Scope != store.ScopeCheckIn || !strings.HasPrefix(door.Token, "ec_") {
		t.Errorf("%+v", door)
	}
	ask("POST", path, ada.OwnerToken, `{"name": "door", "scope": "read"}`, 409, "token_exists")
	ask("POST", path, ada.OwnerToken, `{"name": "a b", "scope": "read"}`, 400, "invalid_argument")
	ask("POST", path, ada.OwnerToken, `{"name": "n", "scope": "all"}`, 400, "invalid_argument")
	ask("POST", path, ada.OwnerToken, `{"name": "n", "scope": "read", "token": "ec_mine"}`, 400, "invalid_argument")

	// Only an owner deals with tokens, and creates events.
	for token, want := range map[string]int{"": 401, door.Token: 403, read.Token: 403, "ec_wrong": 401} {
		code := map[int]string{401: "not_allowed", 403: "not_allowed"}[want]
		if token == "ec_wrong" {
			code = "wrong_token"
		}
		ask("GET", path, token, "", want, code)
		ask("POST", path, token, `{"name": "mine", "scope": "owner"}`, want, code)
		ask("POST", path+"/owner/rotate", token, "", want, code)
		ask("DELETE", path+"/door", token, "", want, code)
		ask("POST", "/api/users/"+ada.User+"/events", token, `{"title": "T", "starts_at": "2035-01-01T00:00:00Z"}`, want, code)
	}
	ask("GET", "/api/users/"+ada.User+"/revenue", read.Token, "", 200, "")
	ask("GET", "/api/users/"+ada.User+"/revenue", door.Token, "", 403, "not_allowed")

	rotated := ask("POST", path+"/door/rotate", ada.OwnerToken, "", 200, "")
	if rotated.Scope != store.ScopeCheckIn || rotated.Token == door.Token {
		t.Errorf("%+v", rotated)
	}
	ask("GET", path, door.Token, "", 401, "wrong_token")
	ask("GET", path, rotated.Token, "", 403, "not_allowed")
	ask("POST", path+"/window/rotate", ada.OwnerToken, "", 404, "token_not_found")
	ask("DELETE", path+"/window", ada.OwnerToken, "", 404, "token_not_found")
	ask("DELETE", path+"/owner", ada.OwnerToken, "", 409, "last_owner_token")
	ask("DELETE", path+"/books", ada.OwnerToken, "", 204, "")
	ask("GET", "/api/users/"+ada.User+"/revenue", read.Token, "", 401, "wrong_token")

	owner := ask("POST", path+"/owner/rotate", ada.OwnerToken, "", 200, "")
	ask("GET", path, ada.OwnerToken, "", 401, "wrong_token")
	list := ask("GET", path, owner.Token, "", 200, "")
	if len(list.Tokens) != 2 || list.Tokens[0].Name != "door" || list.Tokens[1].Scope != "owner" || list.Tokens[0].CreatedAt == "" || list.Token != "" {
		t.Errorf("%+v", list)
	}
}
