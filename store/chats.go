package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Bounds of a file of conversations. What is beyond them goes, the oldest first;
// a wallet never does, for it may hold money.
const (
	MaxChats        = 10_000    // that have messages, or no wallet
	MaxChatWallets  = 100_000   // then no more are made
	MaxChatHosts    = 32        // of one conversation
	MaxChatMessages = 300       // of one conversation
	MaxChatBytes    = 256 << 10 // of its messages
	MaxChatMessage  = 64 << 10  // bytes of one message
)

// Errors about conversations. Each is wrapped.
var (
	ErrNoChat         = errors.New("no such conversation")
	ErrTooManyWallets = fmt.Errorf("there are %d wallets, and none is ever thrown away", MaxChatWallets)
	ErrTooManyHosts   = fmt.Errorf("the conversation has %d hosts", MaxChatHosts)
)

// Chats is the file of the conversations that people have with a server's agent.
// Its methods may be called at the same time.
type Chats struct{ handle }

// OpenChats opens a file of conversations like [OpenHost] does a user's.
func OpenChats(ctx context.Context, path string, o Options) (*Chats, error) {
	h, err := openAlone(ctx, path, kindOf("chat", chatID), o)
	if err != nil {
		return nil, err
	}
	return &Chats{h}, nil
}

// Close waits for the change under way, and closes the file.
func (c *Chats) Close() error { return c.files.Close() }

// Chat is a conversation with somebody of whom nothing is known but a token.
type Chat struct {
	ID        int64
	Wallet    []byte   // sealed; nil: none yet
	Hosts     []string // URLs, in the order in which they came
	CreatedAt time.Time
}

// Chat finds a conversation by the hash of its token. Errors: [ErrNoChat].
func (c *Chats) Chat(ctx context.Context, token [sha256.Size]byte) (Chat, error) {
	return view(ctx, c.handle, "find a conversation", func(ctx context.Context, q *statements) (chat Chat, err error) {
		err = q.row(ctx, `SELECT id, wallet, created_at FROM chats WHERE token = ?`, token[:]).Scan(&chat.ID, &chat.Wallet, asTime{&chat.CreatedAt})
		if errors.Is(err, sql.ErrNoRows) {
			return Chat{}, ErrNoChat
		}
		if err != nil {
			return Chat{}, err
		}
		chat.Hosts, err = list(ctx, q, func(s scanner) (url string, err error) {
			err = s.Scan(&url)
			return url, err
		}, `SELECT url FROM hosts WHERE chat = ? ORDER BY added_at, url`, chat.ID)
		return chat, err
	})
}

// AddChat begins a conversation. Of those that have not been used for the longest
// time, the ones without a wallet may have to go, and the messages of the others.
func (c *Chats) AddChat(ctx context.Context, token [sha256.Size]byte) (chat Chat, err error) {
	err = c.write(ctx, "begin a conversation", func(ctx context.Context, t *tx) error {
		if err := t.row(ctx, `INSERT INTO chats (token, created_at, used_at) VALUES (?, ?2, ?2) RETURNING id`, token[:], millis(t.now)).Scan(&chat.ID); err != nil {
			return err
		}
		chat.CreatedAt = truncate(t.now)
		if _, err := t.exec(ctx, `DELETE FROM chats WHERE id IN (SELECT id FROM chats WHERE wallet IS NULL
			ORDER BY used_at DESC, id DESC LIMIT -1 OFFSET ?)`, MaxChats); err != nil {
			return err
		}
		_, err := t.exec(ctx, `DELETE FROM messages WHERE chat IN (SELECT id FROM chats ORDER BY used_at DESC, id DESC LIMIT -1 OFFSET ?)`, MaxChats)
		return err
	})
	return chat, err
}

// KeepWallet gives a conversation its wallet, and returns the one that it has:
// the first one stays. Errors: [ErrNoChat], [ErrTooManyWallets].
func (c *Chats) KeepWallet(ctx context.Context, chat int64, sealed []byte) (first []byte, err error) {
	err = c.write(ctx, "keep a wallet", func(ctx context.Context, t *tx) error {
		var wallets int
		err := t.row(ctx, `SELECT wallet, (SELECT count(*) FROM chats WHERE wallet IS NOT NULL) FROM chats WHERE id = ?`, chat).Scan(&first, &wallets)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrNoChat
		case err != nil || first != nil:
			return err
		case wallets >= MaxChatWallets:
			return ErrTooManyWallets
		}
		first = sealed
		_, err = t.exec(ctx, `UPDATE chats SET wallet = ? WHERE id = ?`, sealed, chat)
		return err
	})
	return first, err
}

// AddHost adds a Host to a conversation, once. Errors: [ErrTooManyHosts].
func (c *Chats) AddHost(ctx context.Context, chat int64, url string) error {
	return c.write(ctx, "add a host to a conversation", func(ctx context.Context, t *tx) error {
		var n int
		if err := t.row(ctx, `SELECT count(*) FROM hosts WHERE chat = ? AND url <> ?`, chat, url).Scan(&n); err != nil {
			return err
		}
		if n >= MaxChatHosts {
			return ErrTooManyHosts
		}
		_, err := t.exec(ctx, `INSERT INTO hosts (chat, url, added_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, chat, url, millis(t.now))
		return err
	})
}

// RemoveHost removes a Host from a conversation, if it is there.
func (c *Chats) RemoveHost(ctx context.Context, chat int64, url string) error {
	return c.write(ctx, "remove a host from a conversation", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM hosts WHERE chat = ? AND url = ?`, chat, url)
		return err
	})
}

// Who said something.
const (
	RolePerson = "person"
	RoleAgent  = "agent"
)

// ChatMessage is one message of a conversation; what kinds there are is for
// others to say.
type ChatMessage struct {
	ID       int64 // set by [Chats.Say]; later ones are greater
	Role     string
	Kind     string
	Text     string
	Data     []byte // JSON, or nil
	Approval int64  // the question in the purse that it is about; 0: none
	SaidAt   time.Time
}

// Say adds a message to a conversation, from which older ones may have to go.
// Errors: [ErrNoChat], [ErrInvalid] for one that is too long.
func (c *Chats) Say(ctx context.Context, chat int64, m ChatMessage) (ChatMessage, error) {
	if len(m.Text)+len(m.Data) > MaxChatMessage {
		return m, fmt.Errorf("say something: %w: more than %d bytes", ErrInvalid, MaxChatMessage)
	}
	err := c.write(ctx, "say something", func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `UPDATE chats SET used_at = ? WHERE id = ?`, millis(t.now), chat)
		if err == nil && n == 0 {
			err = ErrNoChat
		}
		if err != nil {
			return err
		}
		m.SaidAt = truncate(t.now)
		if err := t.row(ctx, `INSERT INTO messages (chat, role, kind, text, data, approval, said_at) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			chat, m.Role, m.Kind, m.Text, string(m.Data), m.Approval, millis(t.now)).Scan(&m.ID); err != nil {
			return err
		}
		_, err = t.exec(ctx, `DELETE FROM messages WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER newest AS n,
			sum(length(CAST(text AS BLOB)) + length(CAST(data AS BLOB))) OVER newest AS size
			FROM messages WHERE chat = ? WINDOW newest AS (ORDER BY id DESC)) WHERE n > ? OR size > ?)`, chat, MaxChatMessages, MaxChatBytes)
		return err
	})
	return m, err
}

// Messages returns what a conversation has, the oldest first.
func (c *Chats) Messages(ctx context.Context, chat int64) ([]ChatMessage, error) {
	return view(ctx, c.handle, "read a conversation", func(ctx context.Context, q *statements) ([]ChatMessage, error) {
		return list(ctx, q, func(s scanner) (m ChatMessage, err error) {
			var data string
			err = s.Scan(&m.ID, &m.Role, &m.Kind, &m.Text, &data, &m.Approval, asTime{&m.SaidAt})
			if data != "" {
				m.Data = []byte(data)
			}
			return m, err
		}, `SELECT id, role, kind, text, data, approval, said_at FROM messages WHERE chat = ? ORDER BY id`, chat)
	})
}
