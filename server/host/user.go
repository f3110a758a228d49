package host

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrEmail means that a text is not an email address.
var ErrEmail = errors.New("not an email address: want NAME@DOMAIN")

// UserID returns the id of the user with this email: the first 128 bits of an
// HMAC-SHA-256 under the server's secret, in base32. Errors: [ErrEmail].
func (h *Hosts) UserID(email string) (string, error) {
	email, err := normal(email)
	if err != nil {
		return "", err
	}
	id := h.derive("user", email)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:16])), nil
}

// IsUserID reports whether a text has the form of a user's id.
func IsUserID(s string) bool {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(s))
	return err == nil && len(raw) == 16 && s == strings.ToLower(s)
}

// derive makes a value that only this server can make, for one purpose.
func (h *Hosts) derive(purpose, value string) []byte { return derive(h.secret, purpose, value) }

func derive(secret []byte, purpose, value string) []byte {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s\x00%s", purpose, value)
	return mac.Sum(nil)
}

// passphrase seals a user's wallet; its 256 secret bits need no slow scrypt.
func (h *Hosts) passphrase(user string) string { return hex.EncodeToString(h.derive("wallet", user)) }

// VisitorPassphrase seals the wallet of a visitor of the server's agent, as a
// user's wallet is sealed.
func (h *Hosts) VisitorPassphrase(visitor int64) string {
	return hex.EncodeToString(h.derive("visitor", strconv.FormatInt(visitor, 10)))
}
