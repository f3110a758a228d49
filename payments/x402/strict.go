package x402

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// decodeVersion reads x402Version, and checks the whole document as decodeJSON
// does: what is left to do for the caller is unmarshal.
func decodeVersion(raw []byte, limit int) (version int, err error) {
	var w struct {
		X402Version *int `json:"x402Version"`
	}
	if err := decodeJSON(raw, limit, &w); err != nil {
		return 0, err
	}
	if err := required("x402Version", w.X402Version, &version); err != nil {
		return 0, err
	}
	if version != 1 && version != 2 {
		return 0, fmt.Errorf("%w: %d", ErrVersion, version)
	}
	return version, nil
}

// decodeJSON reads exactly one JSON value into v.
func decodeJSON(raw []byte, limit int, v any) error {
	if len(raw) > limit {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	var whole json.RawMessage
	if err := d.Decode(&whole); err != nil {
		return ErrJSON
	}
	if _, err := d.Token(); err != io.EOF {
		return ErrTrailing
	}
	if !unambiguous(whole, false) {
		return fmt.Errorf("%w: a member occurs twice", ErrJSON)
	}
	return unmarshal(whole, v)
}

// unambiguous reports whether no object in a JSON value has a member twice. Two names that
// differ in case count as the same, for encoding/json takes either and lets
// the last one win, where other implementations see another payment; not so
// in extensions, which are passed on as they are.
func unambiguous(raw []byte, caseMatters bool) bool {
	seen := map[string]bool{}
	for quoted, value := range parts(raw) {
		within := caseMatters
		if raw[0] == '{' {
			name := unquote(quoted)
			within = caseMatters || name == "extensions"
			if !caseMatters {
				name = strings.ToLower(strings.ToUpper(name)) // both, as "ſ" is another "s"
			}
			if seen[name] {
				return false
			}
			seen[name] = true
		}
		if !unambiguous(raw[value.from:value.to], within) {
			return false
		}
	}
	return true
}

// unquote reads a JSON string.
func unquote(quoted []byte) (s string) {
	for _, c := range quoted {
		if c == '\\' || c >= utf8.RuneSelf {
			_ = json.Unmarshal(quoted, &s) // it is one
			return s
		}
	}
	return string(quoted[1 : len(quoted)-1])
}

// unmarshal reads raw, known to be JSON, into v. An error of one of this
// package's kinds is passed through; any other is [ErrJSON] without its text,
// which may quote a signature.
func unmarshal(raw []byte, v any) error {
	err := json.Unmarshal(raw, v)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fmt.Errorf("%w: %s is a %.40s", ErrJSON, wrongType.Field, wrongType.Value)
	case isOurs(err):
		return err
	default:
		return ErrJSON
	}
}

func isOurs(err error) bool {
	for _, ours := range []error{ErrTooLarge, ErrNetwork, ErrNumber, ErrRange, ErrHex, ErrHexLength, ErrChecksum} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return false
}

// extensions returns an `extensions` member in the form in which it will be
// encoded again, or nil where there is none.
func extensions(raw json.RawMessage) (json.RawMessage, error) { return object("extensions", raw) }

func object(name string, raw json.RawMessage) (json.RawMessage, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] != '{':
		return nil, fmt.Errorf("%w: %s is not an object", ErrJSON, name)
	}
	valid := string([]rune(string(raw))) // U+FFFD for a byte that isn't UTF-8, as encoding/json reads it
	return json.Marshal(json.RawMessage(valid))
}

func decodeBase64(s string, limit int) ([]byte, error) {
	if len(s) > base64.StdEncoding.EncodedLen(limit) {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	// Strict refuses stray bits; the standard decoder skips line breaks by itself.
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrBase64
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, ErrBase64
	}
	return raw, nil
}
