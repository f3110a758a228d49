package facilitator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// CDPHost is where the keys of Coinbase's Developer Platform are taken; its
// facilitator is https://api.cdp.coinbase.com/platform/v2/x402.
const CDPHost = "api.cdp.coinbase.com"

// cdpLife is how long one of its tokens is good for.
const cdpLife = 2 * time.Minute

// cdp makes a token for each request: a JWT that names it, signed with the key.
// Source: the authentication of Coinbase's CDP API, version 2.
type cdp struct {
	id     string
	key    crypto.PrivateKey
	method jwt.SigningMethod
	now    func() time.Time
	rand   io.Reader
}

// NewCDP returns the credential of a CDP API key. The secret is an Ed25519 key
// (base64 of 64 bytes, or PEM) or one on P-256 (PEM, in which "\n" may stand for
// line breaks).
func NewCDP(id, secret string, now func() time.Time, rand io.Reader) (Credential, error) {
	if id == "" {
		return nil, errors.New("the id of the CDP API key is missing")
	}
	c := cdp{id: id, now: now, rand: rand}
	var err error
	if c.key, err = parseCDP(secret); err != nil {
		return nil, err
	}
	switch key := c.key.(type) {
	case ed25519.PrivateKey:
		c.method = jwt.SigningMethodEdDSA
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return nil, errCDPSecret
		}
		c.method = jwt.SigningMethodES256
	default:
		return nil, errCDPSecret
	}
	return c, nil
}

var errCDPSecret = errors.New("the secret of the CDP API key is neither an Ed25519 key nor a PEM file with a key on P-256")

func parseCDP(secret string) (crypto.PrivateKey, error) {
	secret = strings.TrimSpace(strings.ReplaceAll(secret, `\n`, "\n"))
	if raw, err := base64.StdEncoding.DecodeString(secret); err == nil {
		if len(raw) != ed25519.PrivateKeySize {
			return nil, errCDPSecret
		}
		key := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if !key.Equal(ed25519.PrivateKey(raw)) {
			return nil, errCDPSecret
		}
		return key, nil
	}
	block, _ := pem.Decode([]byte(secret))
	if block == nil {
		return nil, errCDPSecret
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errCDPSecret
	}
	return key, nil
}

func (c cdp) authorization(method string, u *url.URL) (string, error) {
	if u.Scheme != "https" || u.Host != CDPHost {
		return "", errHost
	}
	var nonce [16]byte
	if _, err := io.ReadFull(c.rand, nonce[:]); err != nil {
		return "", fmt.Errorf("nonce: %w", err)
	}
	now := c.now()
	token := jwt.NewWithClaims(c.method, jwt.MapClaims{
		"iss": "cdp", "sub": c.id, "aud": []string{"cdp_service"},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(cdpLife).Unix(),
		"uris": []string{method + " " + u.Host + u.Path},
	})
	token.Header["kid"], token.Header["nonce"] = c.id, hex.EncodeToString(nonce[:])
	signed, err := token.SignedString(c.key)
	if err != nil {
		return "", errors.New("the CDP API key can't sign")
	}
	return "Bearer " + signed, nil
}

// in is false: a JWT has dots, which no reason has, and the key is never sent.
func (c cdp) in(string) bool { return false }
