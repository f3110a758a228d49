package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/crashpoint"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// nextProgram builds this program with one more migration of Hosts' files, and one of
// the server's: neither says how it is undone. It can be killed at crash points.
func nextProgram(t *testing.T) string {
	t.Helper()
	schemas, err := store.CurrentSchemas()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), map[string]string{}
	for owner, m := range map[string]struct {
		version int
		text    string
	}{
		"host":   {schemas.Hosts.Newest + 1, `ALTER TABLE events ADD COLUMN mood TEXT NOT NULL DEFAULT 'good';`},
		"server": {schemas.Server.Newest + 1, `ALTER TABLE users ADD COLUMN mood TEXT NOT NULL DEFAULT 'good';`},
	} {
		file := filepath.Join(dir, owner+".sql")
		if err := os.WriteFile(file, []byte(m.text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, "store/migrations", owner, fmt.Sprintf("%04d_mood.sql", m.version))] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "concierge")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "crashpoint", "-overlay", filepath.Join(dir, "overlay.json"),
		"-ldflags", "-s -w -X main.version=next", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// launch starts another program that listens.
func launch(t *testing.T, program string, args ...string) (url string, stop func()) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	errOut, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(errOut)
	for url == "" && lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
			continue
		}
	}()
	stop = func() {
		if cmd.ProcessState != nil {
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", program, err)
		}
	}
	t.Cleanup(stop)
	if url == "" {
		t.Fatalf("%s %v does not listen", program, args)
	}
	return url, stop
}

// recorder stands between a Guest and a server, and keeps the calls that pay.
type recorder struct {
	*httptest.Server

	mu   sync.Mutex
	to   *url.URL // where the server is
	paid []recorded
}

type recorded struct {
	path   string
	header http.Header
	body   []byte
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		to := r.to
		if q.Header.Get(x402.HeaderPaymentV1)+q.Header.Get(x402.HeaderPaymentV2) != "" {
			r.paid = append(r.paid, recorded{q.URL.Path, q.Header.Clone(), body})
		}
		r.mu.Unlock()
		q.Body = io.NopCloser(bytes.NewReader(body))
		httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

// again makes a recorded call to a server, and returns what that says.
func (c recorded) again(t *testing.T, server string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+c.path, bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = c.header.Clone()
	req.Header.Del("Accept-Encoding")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// A program with one more migration has come, sold, and is gone back from: nothing that
// was paid is lost or sold twice, and who registered since is there with their token.
func TestRollbackFromNextProgram(t *testing.T) {
	next := nextProgram(t)
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	fund(t, chain.url)
	data, guests := t.TempDir(), newRecorder(t)
	serve := []string{"serve", "--addr", "127.0.0.1:0", "--data", data, "--rpc", chain.url}
	register := func(url, email string) (id, token string) {
		user := post(t, url+"/api/users", "", map[string]string{"email": email})
		return user["user"].(string), user["owner_token"].(string)
	}
	create := func(url, id, token string) string {
		return post(t, url+"/api/users/"+id+"/events", token,
			map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
	}
	book := func(at, id, event string) recorded {
		to, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		guests.mu.Lock()
		guests.to = to
		guests.mu.Unlock()
		output(t, "", "guest", "book", event, "--host", guests.URL+"/mcp/users/"+id, "--json")
		guests.mu.Lock()
		defer guests.mu.Unlock()
		return guests.paid[len(guests.paid)-1]
	}
	web := start(t, serve...)
	ada, adasToken := register(web.url, "ada@example.org")
	early, late := create(web.url, ada, adasToken), create(web.url, ada, adasToken)
	before := book(web.url, ada, early)
	if code := web.stop(); code != 0 {
		t.Fatalf("the server ended with code %d:\n%s", code, web.stderr)
	}

	url, stop := launch(t, next, serve...)
	since := book(url, ada, late) // of an event that will be there again, with its seat free
	book(url, ada, create(url, ada, adasToken))
	bo, bosToken := register(url, "bo@example.org")
	book(url, bo, create(url, bo, bosToken))
	refused := exec.CommandContext(t.Context(), next, "rollback", "1", "--data", data, "--yes")
	if out, err := refused.CombinedOutput(); err == nil || !strings.Contains(string(out), "stop the server first") {
		t.Errorf("beside a server: %v\n%s", err, out)
	}
	stop()

	var plan rollbackPlan
	answer, err := exec.CommandContext(t.Context(), next, "rollback", "1", "--data", data, "--dry-run", "--json").Output()
	if err := json.Unmarshal(answer, &plan); err != nil {
		t.Fatal(err)
	}
	if err != nil || plan.To.ID != 1 || len(plan.Files) != 3 || plan.Lost != (store.Lost{Events: 2, RSVPs: 3, Payments: 3, Amount: 150_000}) {
		t.Errorf("%v: %s", err, answer)
	}
	if code := run(t.Context(), []string{"rollback", "1", "--data", data, "--yes"}, nil, &lockedBuffer{}, &lockedBuffer{}); code != 1 {
		t.Error("the older program goes back by itself, and can't know how")
	}
	upgraded := t.TempDir()
	if err := os.CopyFS(upgraded, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), next, "rollback", "1", "--data", data, "--yes").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Lost in all: 2 events and 3 RSVPs") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, at := range crashpoint.RollbackPoints {
		t.Run("killed at "+string(at), func(t *testing.T) { rollBackKilled(t, next, upgraded, at, contents(t, data)) })
	}

	web = start(t, serve...)
	spent := func() {
		t.Helper()
		if said := before.again(t, web.url); !strings.Contains(said, "confirmed") { // it is what it was
			t.Errorf("a payment of before: %s", said)
		}
		if said := since.again(t, web.url); strings.Contains(said, "confirmed") {
			t.Errorf("a payment of since is good again: %s", said)
		}
		for event, settled := range map[string]string{early: "50000", late: "0"} {
			if said := get(t, web.url+"/api/users/"+ada+"/revenue?event_id="+event, adasToken); !strings.Contains(said, `"settled":{"amount":"`+settled+`"`) {
				t.Errorf("of the event that has earned %s: %s", settled, said)
			}
		}
		if has := output(t, "", "guest", "wallet", "--json", "--rpc", chain.url); !strings.Contains(has, `"9.80"`) { // four times, once each
			t.Errorf("the guest has %s", has)
		}
	}
	spent() // maybe before the chain has been looked at
	for user, token := range map[string]string{ada: adasToken, bo: bosToken} {
		settled, owed := `"settled":{"amount":"50000"`, `"owed":{"amount":"100000"`
		if user == bo {
			settled, owed = `"settled":{"amount":"0"`, `"owed":{"amount":"50000"`
		}
		for revenue := ""; !strings.Contains(revenue, owed); { // as soon as it has
			if revenue = get(t, web.url+"/api/users/"+user+"/revenue", token); !strings.Contains(revenue, settled) {
				t.Fatalf("revenue: %s", revenue)
			}
		}
	}
	spent()
	var all []deploymentJSON
	if err := json.Unmarshal([]byte(output(t, "", "deployments", "list", "--data", data, "--json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[1].Version != "next" || all[1].LastStart.Ended != "stopped" || all[0].ID != 3 || all[0].LastStart.Ended != "" {
		t.Errorf("%+v", all)
	}
}

// rollBackKilled goes back in a copy of a directory, and is killed at the first hit of a
// point, at the second of when it is run again, and so on until it comes to its end.
// Until then no server starts; then all is as if nothing had happened.
func rollBackKilled(t *testing.T, program, upgraded string, at crashpoint.Point, want map[string]string) {
	data := t.TempDir()
	if err := os.CopyFS(data, os.DirFS(upgraded)); err != nil {
		t.Fatal(err)
	}
	for hit := 1; ; hit++ {
		cmd := exec.CommandContext(t.Context(), program, "rollback", "1", "--data", data, "--yes")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%d", crashpoint.Env, at, hit))
		out, err := cmd.CombinedOutput()
		if err == nil {
			if hit == 1 {
				t.Error("it was not killed")
			}
			break
		}
		if cmd.ProcessState.ExitCode() != -1 { // which a signal ends
			t.Fatalf("%v\n%s", err, out)
		}
		var said lockedBuffer
		if code := run(t.Context(), []string{"serve", "--addr", "127.0.0.1:0", "--data", data}, nil, &said, &said); code != 1 || !strings.Contains(said.String(), "run it again") {
			t.Fatalf("killed at hit %d, and a server ends with code %d: %s", hit, code, &said)
		}
	}
	if diff := cmp.Diff(want, contents(t, data)); diff != "" {
		t.Error(diff)
	}
}

// timed is what of a file's name says when it was put aside.
var timed = regexp.MustCompile(`[0-9]{8}T[0-9.]+Z`)

// contents tells what is in a data directory: each file, and of those that are databases
// what they say of themselves and how many rows each of their tables has.
func contents(t *testing.T, data string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(data, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		what := "a file"
		if strings.HasPrefix(string(content), "SQLite format 3") {
			what = rowsOf(t, path)
		}
		all[timed.ReplaceAllString(name, "TIME")] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func rowsOf(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?immutable=1") // so that to look leaves nothing beside it
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ask := func(query string) (all []string) {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer rows.Close()
		for rows.Next() {
			var one string
			if err := rows.Scan(&one); err != nil {
				t.Fatal(err)
			}
			all = append(all, one)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	said := append(ask("PRAGMA integrity_check"), ask("PRAGMA user_version")...)
	for _, table := range ask(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`) {
		said = append(said, table+" "+ask(`SELECT count(*) FROM "` + table + `"`)[0])
	}
	return strings.Join(said, ", ")
}
