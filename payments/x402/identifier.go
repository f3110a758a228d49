package x402

import (
	"encoding/json"
	"fmt"
)

// ExtensionIdentifier is the key of x402's extension payment-identifier in
// `extensions`: a payer's own name of a payment, by which a server knows it
// again. Source: specs/extensions/payment_identifier.md.
const ExtensionIdentifier = "payment-identifier"

// IdentifierExtension returns what a server declares under
// [ExtensionIdentifier] when it honours identifiers and does not demand them.
func IdentifierExtension() json.RawMessage {
	return json.RawMessage(`{"info":{"required":false},"schema":{` +
		`"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{` +
		`"required":{"type":"boolean"},` +
		`"id":{"type":"string","minLength":16,"maxLength":128,"pattern":"^[a-zA-Z0-9_-]+$"}},` +
		`"required":["required"]}}`)
}

// WithIdentifier returns the extensions of a payment with an identifier: what
// the server declared, and id in its place. A server that declared no
// payment-identifier gets back what it declared. Errors: [ErrIdentifier].
func WithIdentifier(declared json.RawMessage, id string) (json.RawMessage, error) {
	if !isIdentifier(id) {
		return nil, ErrIdentifier
	}
	all, extension, info, err := identifierInfo(declared)
	if err != nil || info == nil {
		return declared, nil // declared, if at all, in a way that nobody knows
	}
	info["id"] = json.RawMessage(`"` + id + `"`)
	if extension["info"], err = json.Marshal(info); err != nil {
		return nil, err
	}
	if all[ExtensionIdentifier], err = json.Marshal(extension); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// identifier returns the payment identifier in the extensions of a payment, ""
// if there is none. Errors: [ErrIdentifier], [ErrJSON], [ErrMissing].
func identifier(extensions json.RawMessage) (string, error) {
	_, _, info, err := identifierInfo(extensions)
	raw := info["id"]
	if err != nil || raw == nil || string(raw) == "null" {
		return "", err
	}
	var id string
	if json.Unmarshal(raw, &id) != nil || !isIdentifier(id) {
		return "", ErrIdentifier
	}
	return id, nil
}

// identifierInfo returns `extensions`, payment-identifier in it, and the info
// of that, which is nil if there is no such extension. Names are taken in their
// own case alone, as in JavaScript.
func identifierInfo(extensions json.RawMessage) (all, extension, info map[string]json.RawMessage, err error) {
	if all, err = members(extensions); err != nil {
		return nil, nil, nil, fmt.Errorf("extensions: %w", err)
	}
	if extension, err = members(all[ExtensionIdentifier]); err == nil && extension != nil {
		if info, err = members(extension["info"]); err == nil && info == nil {
			err = fmt.Errorf("%w: info", ErrMissing)
		}
	}
	if required := string(info["required"]); err == nil && info != nil && required != "true" && required != "false" {
		err = fmt.Errorf("%w: info.required", ErrMissing)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("extensions.%s: %w", ExtensionIdentifier, err)
	}
	return all, extension, info, nil
}

// members returns the members of an object, nil for null or nothing.
func members(object json.RawMessage) (m map[string]json.RawMessage, err error) {
	if len(object) > 0 {
		err = unmarshal(object, &m)
	}
	return m, err
}

func isIdentifier(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return len(s) >= 16 && len(s) <= 128
}
