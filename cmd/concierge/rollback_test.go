package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/events-concierge/concierge/store"
)

// nextProgram builds this program with one more migration of Hosts' files, and one of
// the server's: neither says how it is undone.
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
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-overlay", filepath.Join(dir, "overlay.json"),
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

// A program with one more migration has come, sold, and is gone back from: nothing that
// was paid is lost or sold twice, and who registered since is there with their token.
func TestRollbackFromNextProgram(t *testing.T) {
	next := nextProgram(t)
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	fund(t, chain.url)
	data := t.TempDir()
	serve := []string{"serve", "--addr", "127.0.0.1:0", "--data", data, "--rpc", chain.url}
	register := func(url, email string) (id, token string) {
		user := post(t, url+"/api/users", "", map[string]string{"email": email})
		return user["user"].(string), user["owner_token"].(string)
	}
	sell := func(url, id, token string) {
		event := post(t, url+"/api/users/"+id+"/events", token,
			map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
		output(t, "", "guest", "book", event, "--host", url+"/mcp/users/"+id, "--json")
	}
	web := start(t, serve...)
	ada, adasToken := register(web.url, "ada@example.org")
	sell(web.url, ada, adasToken)
	if code := web.stop(); code != 0 {
		t.Fatalf("the server ended with code %d:\n%s", code, web.stderr)
	}

	url, stop := launch(t, next, serve...)
	sell(url, ada, adasToken)
	bo, bosToken := register(url, "bo@example.org")
	sell(url, bo, bosToken)
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
	if err != nil || plan.To.ID != 1 || len(plan.Files) != 3 || plan.Lost != (store.Lost{Events: 2, RSVPs: 2, Payments: 2, Amount: 100_000}) {
		t.Errorf("%v: %s", err, answer)
	}
	if code := run(t.Context(), []string{"rollback", "1", "--data", data, "--yes"}, nil, &lockedBuffer{}, &lockedBuffer{}); code != 1 {
		t.Error("the older program goes back by itself, and can't know how")
	}
	out, err := exec.CommandContext(t.Context(), next, "rollback", "1", "--data", data, "--yes").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Lost in all: 2 events and 2 RSVPs") {
		t.Fatalf("%v\n%s", err, out)
	}

	web = start(t, serve...)
	for user, token := range map[string]string{ada: adasToken, bo: bosToken} {
		settled := `"settled":{"amount":"50000"`
		if user == bo {
			settled = `"settled":{"amount":"0"`
		}
		for revenue := ""; !strings.Contains(revenue, `"owed":{"amount":"50000"`); { // as soon as the chain has been looked at
			if revenue = get(t, web.url+"/api/users/"+user+"/revenue", token); !strings.Contains(revenue, settled) {
				t.Fatalf("revenue: %s", revenue)
			}
		}
	}
	var all []deploymentJSON
	if err := json.Unmarshal([]byte(output(t, "", "deployments", "list", "--data", data, "--json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[1].Version != "next" || all[1].LastStart.Ended != "stopped" || all[0].ID != 3 || all[0].LastStart.Ended != "" {
		t.Errorf("%+v", all)
	}
}
