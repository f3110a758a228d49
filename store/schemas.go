package store

import "fmt"

// Range is a range of versions of a kind of file: the oldest that this program
// brings up to date, and the newest, which it writes.
type Range struct {
	Oldest int `json:"oldest"`
	Newest int `json:"newest"`
}

// Holds reports whether a version is in the range.
func (r Range) Holds(version int) bool { return r.Oldest <= version && version <= r.Newest }

// Schemas are the ranges of all kinds of files that a data directory has.
type Schemas struct {
	Server Range `json:"server"` // server.db
	Hosts  Range `json:"hosts"`  // hosts/ab/abcd….db
	Chats  Range `json:"chats"`  // agent.db
	Purse  Range `json:"purse"`  // agent-purse.db, and a Guest's
	Index  Range `json:"index"`  // index.db
}

// CurrentSchemas returns those of this program.
func CurrentSchemas() (s Schemas, err error) {
	for _, k := range []struct {
		kind kind
		to   *Range
	}{
		{kindOf("server", serverID), &s.Server}, {kindOf("host", hostID), &s.Hosts}, {kindOf("chat", chatID), &s.Chats},
		{kindOf("purse", purseID), &s.Purse}, {kindOf("index", indexID), &s.Index},
	} {
		steps, err := k.kind.steps()
		if err != nil {
			return s, fmt.Errorf("schemas: %w", err)
		}
		*k.to = Range{1, len(steps)} // every first version is still brought up to date; see TestFixtures
	}
	return s, nil
}
