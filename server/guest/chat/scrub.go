package chat

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// cut stands where something secret was.
const cut = "…cut"

// maxNested is how deep values are looked into, with JSON in strings, and base64 of
// JSON, each one more.
const maxNested = 40

// scrubber takes out of JSON what must not be shown: whatever is called a secret,
// whatever looks like a signature, and signatures that it has met before. In doing
// so it sees what the JSON is about.
type scrubber struct {
	met []string // lower-case pieces of signatures

	paid, asks, receipt bool // there are x402's payment, its request for one, its receipt
	failed              bool // JSON-RPC's error, or a tool's
	method, tool        string
}

// secretNames are the keys whose values are never shown, in lower case.
var secretNames = map[string]bool{"signature": true, "nonce": true, "authorization": true, "cookie": true, "set-cookie": true, "token": true, "access_token": true,
	"refresh_token": true, "owner_token": true, "api_key": true, "apikey": true, "password": true, "secret": true, "private_key": true}

// longRun is what no word is that people write, but a signature may be.
var longRun = regexp.MustCompile(`[A-Za-z0-9+/=_-]{100,}`)

var errNested = errors.New("too deeply nested")

// json returns JSON without what is secret, or an error for what is no JSON.
func (s *scrubber) json(raw []byte) (json.RawMessage, error) { return s.nested(raw, 0) }

func (s *scrubber) nested(raw []byte, depth int) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out bytes.Buffer
	var path []string
	if depth > 0 { // its keys are not those of the whole
		path = []string{cut}
	}
	if err := s.value(d, &out, path, depth); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more after the JSON")
	}
	return out.Bytes(), nil
}

// value copies the next value of d. path has the keys that lead to it.
func (s *scrubber) value(d *json.Decoder, out *bytes.Buffer, path []string, depth int) error {
	if depth > maxNested {
		return errNested
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		out.WriteRune(rune(v))
		for first := true; d.More(); first = false {
			if !first {
				out.WriteByte(',')
			}
			below := path
			if v == '{' {
				key, err := d.Token()
				if err != nil {
					return err
				}
				name, _ := key.(string)
				below = append(path[:len(path):len(path)], name)
				s.see(below)
				put(out, s.plain(name))
				out.WriteByte(':')
				if secret, err := s.secret(d, out, name, depth); secret || err != nil {
					if err != nil {
						return err
					}
					continue
				}
			}
			if err := s.value(d, out, below, depth+1); err != nil {
				return err
			}
		}
		end, err := d.Token()
		if err != nil {
			return err
		}
		out.WriteRune(rune(end.(json.Delim)))
	case string:
		s.hear(path, v)
		s.text(out, v, depth)
	case bool:
		if v && len(path) == 2 && path[0] == "result" && path[1] == "isError" {
			s.failed = true
		}
		put(out, v)
	default: // a number, or null
		put(out, v)
	}
	return nil
}

// secret replaces the next value of d if it is one by its name. An x402
// authorization that is an object is looked into: it has its nonce in it.
func (s *scrubber) secret(d *json.Decoder, out *bytes.Buffer, name string, depth int) (bool, error) {
	if !secretNames[strings.ToLower(name)] {
		return false, nil
	}
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return true, err
	}
	if raw[0] == '{' && strings.EqualFold(name, "authorization") {
		inner, err := s.nested(raw, depth+1)
		if err != nil {
			return true, err
		}
		out.Write(inner)
		return true, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && strings.EqualFold(name, "signature") {
		s.meet(text)
	}
	put(out, cut)
	return true, nil
}

// see notes what a key tells of the whole.
func (s *scrubber) see(path []string) {
	switch path[len(path)-1] {
	case "x402/payment":
		s.paid = true
	case "x402/error", "x402Version":
		s.asks = true
	case "x402/payment-response":
		s.receipt = true
	case "error":
		s.failed = s.failed || len(path) == 1
	}
}

// hear notes what a text tells of the whole.
func (s *scrubber) hear(path []string, v string) {
	switch strings.Join(path, "/") {
	case "method":
		s.method = s.plain(clip(v, maxID))
	case "params/name":
		s.tool = s.plain(clip(v, maxID))
	}
}

// text puts a text. JSON in it, and base64 of JSON, are looked into.
func (s *scrubber) text(out *bytes.Buffer, v string, depth int) {
	if t := strings.TrimSpace(v); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
		if inner, err := s.nested([]byte(t), depth+1); err == nil {
			put(out, string(inner))
			return
		}
	}
	if raw := decode64(v); len(v) >= 16 && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		if inner, err := s.nested(raw, depth+1); err == nil {
			out.WriteString(`{"base64":`)
			out.Write(inner)
			out.WriteByte('}')
			return
		}
	}
	put(out, s.plain(v))
}

// plain is a text without what looks like a signature or has been one.
func (s *scrubber) plain(v string) string {
	v = longRun.ReplaceAllString(v, cut)
	low := strings.ToLower(v)
	for _, piece := range s.met {
		if strings.Contains(low, piece) {
			return cut
		}
	}
	return v
}

// maxMet bounds what is remembered of signatures.
const maxMet = 400

// meet remembers a signature, for its echoes in answers: as it is, its bytes in
// base64, and each half, as which contracts take it.
func (s *scrubber) meet(signature string) {
	pieces := []string{strings.TrimPrefix(strings.ToLower(signature), "0x")}
	if raw, err := hex.DecodeString(pieces[0]); err == nil {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			pieces = append(pieces, strings.ToLower(e.EncodeToString(raw)))
		}
		for ; len(raw) >= 32; raw = raw[32:] {
			if distinct(raw[:32]) > 12 { // else it is padding, which is everywhere
				pieces = append(pieces, hex.EncodeToString(raw[:32]))
			}
		}
	}
	for _, p := range pieces {
		if len(p) >= 32 {
			s.met = append(s.met, p)
		}
	}
	if extra := len(s.met) - maxMet; extra > 0 {
		s.met = append([]string{}, s.met[extra:]...)
	}
}

func distinct(raw []byte) int {
	seen := map[byte]struct{}{}
	for _, b := range raw {
		seen[b] = struct{}{}
	}
	return len(seen)
}

// decode64 decodes either alphabet, padded or not; nil if it is neither.
func decode64(v string) []byte {
	v = strings.TrimRight(strings.TrimSpace(v), "=")
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := e.DecodeString(v); err == nil && utf8.Valid(raw) {
			return raw
		}
	}
	return nil
}

// put writes a value that is always one of JSON.
func put(out *bytes.Buffer, v any) {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	out.Truncate(out.Len() - 1) // the line's end
}
