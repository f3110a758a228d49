package facilitator

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Credential shows a facilitator who asks. It belongs to one host, and makes no
// header for another: whatever is configured wrongly, a secret is not told to
// somebody else.
type Credential interface {
	// authorization returns the value of the Authorization header of a request.
	authorization(method string, u *url.URL) (string, error)
	// in reports whether a text gives the secret away.
	in(text string) bool
}

// errHost is what a credential says to a host that is not its own.
var errHost = errors.New("the credential is for another host")

// bearer is a token that is sent as it is.
type bearer struct{ host, token string }

// NewBearer returns a token for the facilitator at host, which is spelled as in
// its URL: with the port, if that has one.
func NewBearer(host, token string) (Credential, error) {
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("the token for %s is not one: want visible ASCII characters", host)
	}
	return bearer{host, token}, nil
}

func (b bearer) authorization(_ string, u *url.URL) (string, error) {
	if u.Host != b.host {
		return "", errHost
	}
	return "Bearer " + b.token, nil
}

func (b bearer) in(text string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(b.token))
}
