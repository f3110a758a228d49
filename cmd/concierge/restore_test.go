package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A server archives what it does within a second. Put back to the time before a
// booking, it owes the money: the chain says that it was paid.
func TestRestoreOwesWhatWasPaidSince(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	fund(t, chain.url)
	data, place := t.TempDir(), filepath.Join(t.TempDir(), "archive")
	web := start(t, "serve", "--addr", "127.0.0.1:0", "--data", data, "--rpc", chain.url, "--backup", place)
	user := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	id, token := user["user"].(string), user["owner_token"].(string)
	event := post(t, web.url+"/api/users/"+id+"/events", token,
		map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
	output(t, "", "backup", "--data", data, "--to", place) // beside the server
	newest := func() (at time.Time) {
		var archived struct{ Newest time.Time }
		answer := output(t, "", "restore", "--list", "--from", place, "--user", id, "--json")
		if err := json.Unmarshal([]byte(answer), &archived); err != nil {
			t.Fatal(err)
		}
		return archived.Newest
	}
	before := newest()
	output(t, "", "guest", "book", event, "--host", web.url+"/mcp/users/"+id, "--json")
	if code := web.stop(); code != 0 {
		t.Fatalf("the server ended with code %d:\n%s", code, web.stderr)
	}
	if !newest().After(before) {
		t.Error("the server has not archived the booking")
	}

	again := t.TempDir()
	secret, err := os.ReadFile(filepath.Join(data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(again, "secret.key"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, "", "restore", "--from", place, "--data", again, "--to", before.Format(time.RFC3339Nano))
	web = start(t, "serve", "--addr", "127.0.0.1:0", "--data", again, "--rpc", chain.url, "--backup", place)
	revenue := ""
	for !strings.Contains(revenue, `"owed":{"amount":"50000"`) { // as soon as the chain has been looked at
		revenue = get(t, web.url+"/api/users/"+id+"/revenue", token)
		if !strings.Contains(revenue, `"settled":{"amount":"0"`) {
			t.Fatalf("it was not put back: %s", revenue)
		}
	}
	if said := output(t, "", "doctor", "--data", again); !strings.Contains(said, "restore") || !strings.Contains(said, "owed") {
		t.Errorf("doctor: %s", said)
	}
}

func get(t *testing.T, url, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
