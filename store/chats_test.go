package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/store"
)

// chats is an open file of conversations.
type chats struct {
	*store.Chats
	path  string
	clock *clock
}

func mustOpenChats(t *testing.T) *chats {
	t.Helper()
	c := &chats{path: filepath.Join(t.TempDir(), "agent.db"), clock: &clock{}}
	var err error
	if c.Chats, err = store.OpenChats(t.Context(), c.path, store.Options{Now: c.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func chatToken(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

func (c *chats) add(t *testing.T, name string) store.Chat {
	t.Helper()
	c.clock.Advance(time.Second)
	chat, err := c.AddChat(t.Context(), chatToken(name))
	if err != nil {
		t.Fatal(err)
	}
	return chat
}

func (c *chats) say(t *testing.T, chat int64, text string) store.ChatMessage {
	t.Helper()
	c.clock.Advance(time.Second)
	m, err := c.Say(t.Context(), chat, store.ChatMessage{Role: store.RolePerson, Kind: "said", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What was said is there after the file was closed, and to nobody else.
func TestChats(t *testing.T) {
	c := mustOpenChats(t)
	ada, bob := c.add(t, "ada"), c.add(t, "bob")
	said := c.say(t, ada.ID, "hello")
	shown, err := c.Say(t.Context(), ada.ID, store.ChatMessage{Role: store.RoleAgent, Kind: "approval", Text: "?", Data: []byte(`{"a":1}`), Approval: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"http://b.example", "http://a.example", "http://b.example"} {
		c.clock.Advance(time.Second)
		if err := c.AddHost(t.Context(), ada.ID, url); err != nil {
			t.Fatal(err)
		}
	}
	for _, sealed := range []string{"first", "second"} { // as of two processes
		if kept, err := c.KeepWallet(t.Context(), ada.ID, []byte(sealed)); err != nil || string(kept) != "first" {
			t.Errorf("%q, %v", kept, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c.Chats, err = store.OpenChats(t.Context(), c.path, store.Options{Now: c.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	got, err := c.Chat(t.Context(), chatToken("ada"))
	want := store.Chat{ID: ada.ID, Wallet: []byte("first"), Hosts: []string{"http://b.example", "http://a.example"}, CreatedAt: ada.CreatedAt}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if err := c.RemoveHost(t.Context(), ada.ID, "http://b.example"); err != nil {
		t.Error(err)
	}
	if got, _ := c.Chat(t.Context(), chatToken("ada")); len(got.Hosts) != 1 {
		t.Errorf("hosts: %v", got.Hosts)
	}
	messages, err := c.Messages(t.Context(), ada.ID)
	if diff := cmp.Diff([]store.ChatMessage{said, shown}, messages); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if messages, err := c.Messages(t.Context(), bob.ID); err != nil || len(messages) != 0 {
		t.Errorf("of another: %v, %v", messages, err)
	}
}

func TestNoChat(t *testing.T) {
	c := mustOpenChats(t)
	if _, err := c.Chat(t.Context(), chatToken("x")); !errors.Is(err, store.ErrNoChat) {
		t.Error(err)
	}
	if _, err := c.Say(t.Context(), 1, store.ChatMessage{Role: store.RolePerson, Kind: "said"}); !errors.Is(err, store.ErrNoChat) {
		t.Error(err)
	}
	if _, err := c.KeepWallet(t.Context(), 1, []byte("w")); !errors.Is(err, store.ErrNoChat) {
		t.Error(err)
	}
}

// A conversation is bounded in messages, in bytes and in Hosts.
func TestChatBounds(t *testing.T) {
	c := mustOpenChats(t)
	chat := c.add(t, "ada")
	for i := range store.MaxChatMessages + 5 {
		c.say(t, chat.ID, fmt.Sprint(i))
	}
	messages, err := c.Messages(t.Context(), chat.ID)
	if err != nil || len(messages) != store.MaxChatMessages || messages[0].Text != "5" {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	long := strings.Repeat("é", store.MaxChatMessage/2)
	for range 5 {
		c.say(t, chat.ID, long)
	}
	if messages, err = c.Messages(t.Context(), chat.ID); err != nil || len(messages) != store.MaxChatBytes/store.MaxChatMessage {
		t.Errorf("%d messages, %v", len(messages), err)
	}
	if _, err := c.Say(t.Context(), chat.ID, store.ChatMessage{Role: store.RolePerson, Kind: "said", Text: long + "!"}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("one that is too long: %v", err)
	}
	for i := range store.MaxChatHosts {
		if err := c.AddHost(t.Context(), chat.ID, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AddHost(t.Context(), chat.ID, "0"); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if err := c.AddHost(t.Context(), chat.ID, "one more"); !errors.Is(err, store.ErrTooManyHosts) {
		t.Error(err)
	}
}

// A flood of strangers pushes out those who have been away longest; but who has a
// wallet loses no more than what was said.
func TestForgottenChats(t *testing.T) {
	c := mustOpenChats(t)
	rich, poor := c.add(t, "rich"), c.add(t, "poor")
	if _, err := c.KeepWallet(t.Context(), rich.ID, []byte("wallet")); err != nil {
		t.Fatal(err)
	}
	c.say(t, rich.ID, "hello")
	c.say(t, poor.ID, "hello")
	c.fill(t, store.MaxChats)
	c.add(t, "the last")
	if _, err := c.Chat(t.Context(), chatToken("poor")); !errors.Is(err, store.ErrNoChat) {
		t.Errorf("who has nothing: %v", err)
	}
	got, err := c.Chat(t.Context(), chatToken("rich"))
	if err != nil || !bytes.Equal(got.Wallet, []byte("wallet")) {
		t.Errorf("who has a wallet: %+v, %v", got, err)
	}
	if messages, err := c.Messages(t.Context(), rich.ID); err != nil || len(messages) != 0 {
		t.Errorf("what was said: %v, %v", messages, err)
	}
}

// fill adds conversations later than all others, faster than one by one.
func (c *chats) fill(t *testing.T, n int) {
	t.Helper()
	c.clock.Advance(time.Hour)
	now := c.clock.Now().UnixMilli()
	raw(t, c.path, fmt.Sprintf(`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO chats (token, created_at, used_at) SELECT CAST(printf('%%032d', i) AS BLOB), %d, %d FROM n`, n, now, now))
}
