package host

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// Registration is what a new user registers with.
type Registration struct {
	Email string
	// PayTo is where guests pay to. Zero: the user gets a wallet, kept encrypted in
	// their file.
	PayTo x402.Address
	// Invite is a code of [Hosts.Invite], which is used up. Empty: it needs none;
	// whether it does is for the caller to say.
	Invite string
}

// Register adds a user and returns their owner token, which is not kept. Errors:
// [ErrEmail], [store.ErrUserExists], [store.ErrInvite].
func (h *Hosts) Register(ctx context.Context, r Registration) (store.User, string, error) {
	id, err := h.UserID(r.Email)
	if err != nil {
		return store.User{}, "", err
	}
	switch _, err := h.Server.User(ctx, id); {
	case err == nil, errors.Is(err, store.ErrUserLeaving):
		return store.User{}, "", store.ErrUserExists
	case !errors.Is(err, store.ErrUserNotFound):
		return store.User{}, "", err
	}
	var invite *[sha256.Size]byte
	if r.Invite != "" {
		hash := hashInvite(r.Invite)
		if err := h.Server.CheckInvite(ctx, hash); err != nil {
			return store.User{}, "", err
		}
		invite = &hash
	}
	// What is open under this name is the deleted file of somebody who was removed:
	// a wallet that is kept in there is lost.
	if err := h.Files.Alone(ctx, h.path(id), func() error { return h.Files.Make(h.path(id)) }); err != nil {
		return store.User{}, "", fmt.Errorf("make the file of %s: %w", id, err)
	}
	user := store.User{ID: id, WalletAddress: r.PayTo}
	if user.WalletAddress.IsZero() {
		if user.WalletAddress, err = h.newWallet(ctx, id); err != nil {
			return store.User{}, "", err
		}
	}
	token, hash, err := h.newToken()
	if err != nil {
		return store.User{}, "", err
	}
	if err := h.Server.AddUser(ctx, user, store.Token{Name: OwnerToken, Scope: store.ScopeOwner, Hash: hash}, invite); err != nil {
		return store.User{}, "", err
	}
	user, err = h.Server.User(ctx, id)
	return user, token, err
}

// Invite returns a code that lets one user register until it expires; it is not
// kept.
func (h *Hosts) Invite(ctx context.Context, valid time.Duration) (string, error) {
	code, err := h.newSecret("inv_", 20)
	if err != nil {
		return "", err
	}
	return code, h.Server.AddInvite(ctx, hashInvite(code), h.Now().Add(valid))
}

// CheckInvite tells whether an invitation would be taken. Errors: [store.ErrInvite].
func (h *Hosts) CheckInvite(ctx context.Context, code string) error {
	return h.Server.CheckInvite(ctx, hashInvite(code))
}

func hashInvite(code string) [sha256.Size]byte { return sha256.Sum256([]byte(strings.TrimSpace(code))) }

// NewCode makes the code that proves an email, in place of the one before; it is
// for the email alone. Errors: [ErrEmail], [store.ErrTooManyCodes].
func (h *Hosts) NewCode(ctx context.Context, email string) (string, error) {
	email, err := normal(email)
	if err != nil {
		return "", err
	}
	var raw [5]byte
	if _, err := io.ReadFull(h.Rand, raw[:]); err != nil {
		return "", fmt.Errorf("make a code: %w", err)
	}
	code := base32.StdEncoding.EncodeToString(raw[:]) // 8 of A to Z and 2 to 7
	return code, h.Server.AddCode(ctx, h.hashed("verify", email), h.hashed("code", email+"\x00"+code))
}

// UseCode takes the code of an email, once. Errors: [ErrEmail], [store.ErrCode].
func (h *Hosts) UseCode(ctx context.Context, email, code string) error {
	email, err := normal(email)
	if err != nil {
		return err
	}
	code = strings.ToUpper(strings.TrimSpace(code))
	return h.Server.UseCode(ctx, h.hashed("verify", email), h.hashed("code", email+"\x00"+code))
}

func (h *Hosts) hashed(purpose, value string) [sha256.Size]byte {
	return [sha256.Size]byte(h.derive(purpose, value))
}

// normal returns an email as it is compared. Errors: [ErrEmail].
func normal(email string) (string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || len(email) > 254 {
		return "", ErrEmail
	}
	return email, nil
}
