package main

import (
	"slices"
	"strings"

	"github.com/events-concierge/concierge/store/secrets"
)

// secretKey reports whether a key of a file is a secret's name, or looks like one,
// and which.
func secretKey(key string) (name string, is bool) {
	name = strings.ToLower(strings.ReplaceAll(key, "_", "-"))
	if _, known := secretName(name).known(); known {
		return name, true
	}
	_, what, _ := strings.Cut(name, "-")
	return name, slices.Contains([]string{"password", "passphrase", "secret", "token", "private-key", "api-key"}, what)
}

// keepSecret says how a secret that stands in a file is to be kept instead.
func keepSecret(name string) string {
	known, is := secretName(name).known()
	switch {
	case !is:
		return "see 'concierge secret'"
	case known.personal:
		return "set " + known.variable
	}
	return "use 'concierge secret put " + name + "'"
}

// isGiven reports whether a secret is in the environment, where it was put for this
// very command.
func (n secretName) isGiven() bool {
	v, _ := n.given()
	return !v.IsZero()
}

// secretState is whether a secret is there, and from where.
type secretState struct {
	Name   string `json:"name"`
	Set    bool   `json:"set"`
	Origin string `json:"origin,omitempty"` // the variable, or stored
}

// secretStates looks for each secret in the environment and in a data directory, and
// never at what it is.
func secretStates(data string) ([]secretState, error) {
	stored, err := secrets.In(data).List()
	if err != nil {
		return nil, err
	}
	var all []secretState
	for _, k := range knownSecrets() {
		s := secretState{Name: string(k.name)}
		is := slices.ContainsFunc(stored, func(e secrets.Entry) bool { return e.Name == string(k.name) })
		switch {
		case k.name.isGiven():
			s.Set, s.Origin = true, k.variable
		case is:
			s.Set, s.Origin = true, "stored"
		}
		all = append(all, s)
	}
	return all, nil
}
