package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/mail"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/events-concierge/concierge/payments/x402"
)

// What inputs may be.
const (
	maxTitle       = 200 // characters, as all lengths of text here
	maxDescription = 10_000
	maxLocation    = 500
	maxName        = 200
	maxEmail       = 254
	maxQuery       = 200
	maxID          = 100
	maxCapacity    = 1_000_000
	maxPrice       = 1_000_000 * x402.USD
	maxSeats       = 20
	maxLimit       = 100
	defaultLimit   = 20
	maxRefunds     = 100
	farthestStart  = 10 // years
)

// USD is a price as it comes in: a decimal string, or a JSON number, which is
// read by its digits and never becomes a float.
type USD string

// UnmarshalJSON implements json.Unmarshaler.
func (u *USD) UnmarshalJSON(b []byte) error {
	var s string
	if len(b) > 0 && b[0] != '"' {
		s = string(b)
	} else if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*u = USD(s)
	return nil
}

// DecodeInput reads a tool's arguments strictly; raw may be empty for none.
// Errors are [*Error] with [CodeInvalidArgument] and name the argument.
func DecodeInput(raw []byte, into any) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, err := d.Token(); err != io.EOF {
			return invalid("The arguments must be one JSON object; there is something behind it.")
		}
		return nil
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		if wrongType.Field == "" {
			return invalid("The arguments must be a JSON object, not a %s.", wrongType.Value)
		}
		return invalid("%s must be %s, not a %s.", wrongType.Field, article(wrongType.Type), wrongType.Value)
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return invalid("There is no argument %.60s. The arguments are: %s.", name, strings.Join(argumentsOf(into), ", "))
	}
	return invalid("The arguments must be a JSON object.")
}

func article(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.String:
		return "a string"
	}
	return "a " + t.String()
}

func argumentsOf(into any) []string {
	t := reflect.TypeOf(into).Elem()
	if t.NumField() == 0 {
		return []string{"none"}
	}
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return names
}

// line checks a text of one line and returns it trimmed.
func line(name, s string, least, most int) (string, error) {
	s = strings.TrimSpace(s)
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", invalid("%s must be one line of text without control characters.", name)
	}
	return s, length(name, s, least, most)
}

func length(name, s string, least, most int) error {
	switch n := utf8.RuneCountInString(s); {
	case n < least && n == 0:
		return invalid("%s is missing. Send a text of %d to %d characters.", name, least, most)
	case n < least || n > most:
		return invalid("%s has %d characters. Send a text of %d to %d.", name, n, least, most)
	}
	return nil
}

func between(name string, n, least, most int) error {
	if n < least || n > most {
		return invalid("%s is %d. Send a whole number from %d to %d.", name, n, least, most)
	}
	return nil
}

// moment reads an optional RFC 3339 time; "" is the zero time.
func moment(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, invalid("%s is not a time. Send RFC 3339 with a zone, such as 2027-03-14T19:30:00+01:00.", name)
	}
	return t.UTC(), nil
}

func price(s USD) (x402.Amount, error) {
	if s == "" {
		return 0, nil
	}
	amount, err := x402.ParseUSD(string(s))
	if err != nil || amount > maxPrice {
		return 0, invalid(`price is not usable. Send US dollars from 0 to 1000000 with at most 6 decimals, such as "2.50".`)
	}
	return amount, nil
}

func email(s string) (string, error) {
	s, err := line("email", s, 0, maxEmail)
	if err != nil || s == "" {
		return s, err
	}
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		return "", invalid("email is not an address. Send one such as ada@example.org, or none.")
	}
	return s, nil
}

func identifier(name, s string) error {
	if s == "" || len(s) > maxID {
		return invalid("%s is missing or too long. Send an id as this host gave it.", name)
	}
	return nil
}

func limit(n int) (int, error) {
	if n == 0 {
		return defaultLimit, nil
	}
	return n, between("limit", n, 1, maxLimit)
}

// zone checks an IANA time zone; "" is UTC.
func zone(name string) (string, error) {
	if name == "" {
		return "UTC", nil
	}
	if _, err := time.LoadLocation(name); err != nil || name == "Local" || len(name) > maxID {
		return "", invalid(`time_zone is unknown. Send an IANA name such as "Europe/Berlin".`)
	}
	return name, nil
}

// unlisted reads a visibility; "" leaves it as it was, which is public at first.
func unlisted(s string, was bool) (bool, error) {
	switch s {
	case "":
		return was, nil
	case Public, Unlisted:
		return s == Unlisted, nil
	}
	return was, invalid("visibility is unknown. Send %q or %q.", Public, Unlisted)
}

func future(name string, t, now time.Time) error {
	if !t.After(now) {
		return invalid("%s is %s, which has passed. Send a time in the future; it is %s now.", name, t.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if t.After(now.AddDate(farthestStart, 0, 0)) {
		return invalid("%s is more than %d years ahead. Send an earlier time.", name, farthestStart)
	}
	return nil
}
