package host

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strings"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// ErrEmail means that a text is not an email address.
var ErrEmail = errors.New(`not an email address: send one such as "ada@example.org"`)

// OwnerToken is the name of the token that a new user gets.
const OwnerToken = "owner"

// UserID returns the id of the user with this email: the first 128 bits of an
// HMAC-SHA-256 under the server's secret, in base32. Errors: [ErrEmail].
func (h *Hosts) UserID(email string) (string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || len(email) > 254 {
		return "", ErrEmail
	}
	id := h.derive("user", email)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:16])), nil
}

// derive makes a value that only this server can make, for one purpose.
func (h *Hosts) derive(purpose, value string) []byte {
	mac := hmac.New(sha256.New, h.secret)
	fmt.Fprintf(mac, "%s\x00%s", purpose, value)
	return mac.Sum(nil)
}

// Register adds a user and returns their owner token, which is not kept. With
// the zero address as payTo the user gets a wallet, kept encrypted in their
// file. Errors: [ErrEmail], [store.ErrUserExists].
func (h *Hosts) Register(ctx context.Context, email string, payTo x402.Address) (store.User, string, error) {
	id, err := h.UserID(email)
	if err != nil {
		return store.User{}, "", err
	}
	if _, err := h.Server.User(ctx, id); !errors.Is(err, store.ErrUserNotFound) {
		if err == nil {
			err = store.ErrUserExists
		}
		return store.User{}, "", err
	}
	if payTo.IsZero() {
		if payTo, err = h.newWallet(ctx, id); err != nil {
			return store.User{}, "", err
		}
	}
	token, hash, err := h.newToken()
	if err != nil {
		return store.User{}, "", err
	}
	user := store.User{ID: id, WalletAddress: payTo}
	if err := h.Server.AddUser(ctx, user, hash, OwnerToken); err != nil {
		return store.User{}, "", err
	}
	user, err = h.Server.User(ctx, id)
	return user, token, err
}

// newWallet makes the wallet of a user who has none. It is in the user's file
// before its address is told to anybody; should two try at once, the first one
// stays.
func (h *Hosts) newWallet(ctx context.Context, user string) (x402.Address, error) {
	file := h.Files.Host(h.path(user))
	passphrase := h.passphrase(user)
	w, err := wallet.New(h.Rand)
	if err != nil {
		return x402.Address{}, err
	}
	sealed, err := w.Seal(passphrase, wallet.Light)
	if err != nil {
		return x402.Address{}, err
	}
	if sealed, err = file.KeepWallet(ctx, sealed); err != nil {
		return x402.Address{}, err
	}
	if w, err = wallet.Unseal(sealed, passphrase); err != nil {
		return x402.Address{}, err
	}
	return w.Address(), nil
}

// passphrase seals a user's wallet; its 256 secret bits need no slow scrypt.
func (h *Hosts) passphrase(user string) string { return hex.EncodeToString(h.derive("wallet", user)) }

func (h *Hosts) newToken() (token string, hash [32]byte, err error) {
	var raw [32]byte
	if _, err := io.ReadFull(h.Rand, raw[:]); err != nil {
		return "", hash, err
	}
	token = "ec_" + base64.RawURLEncoding.EncodeToString(raw[:])
	return token, sha256.Sum256([]byte(token)), nil
}

// NewOwnerToken replaces a user's owner token; the old one stops working.
// Errors: [store.ErrUserNotFound].
func (h *Hosts) NewOwnerToken(ctx context.Context, user string) (string, error) {
	token, hash, err := h.newToken()
	if err != nil {
		return "", err
	}
	return token, h.Server.SetToken(ctx, user, OwnerToken, hash)
}

// IsOwner reports whether token is one of the user's. It takes the same time
// for a token that is nearly right.
func (h *Hosts) IsOwner(ctx context.Context, user, token string) (bool, error) {
	hashes, err := h.Server.TokenHashes(ctx, user)
	if err != nil {
		return false, err
	}
	given, match := sha256.Sum256([]byte(token)), 0
	for _, hash := range hashes {
		match |= subtle.ConstantTimeCompare(given[:], hash[:])
	}
	return match == 1, nil
}
