package guest

import (
	"fmt"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxName is how long the name of a tool may be for all clients to call it.
const maxName = 64

// namesOf returns how the tools of the i-th of n Hosts are called, by what the
// Host calls them. A tool that would have the name of another has none: nobody
// could say which was meant.
func namesOf(tools []*sdk.Tool, i, n int) map[string]string {
	names, taken := map[string]string{}, map[string]int{}
	for _, t := range tools {
		name := nameOf(t.Name, i, n)
		names[t.Name] = name
		if taken[name]++; name == t.Name+suffix(i) {
			taken[name] += len(tools) // a name that fits as it is goes before those that had to be changed
		}
	}
	for theirs, name := range names {
		if exact := name == theirs+suffix(i); !exact && taken[name] > 1 {
			names[theirs] = ""
		}
	}
	return names
}

// nameOf is a name that all clients can call, and that means the i-th of n Hosts:
// the first one, which has no suffix, must not pass for another, nor any for the
// Desk.
func nameOf(theirs string, i, n int) string {
	if theirs == "" {
		return ""
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, theirs)
	end := suffix(i)
	name := clean[:min(len(clean), maxName-len(end))] + end
	passes := ownName(name)
	for other := 1; i == 0 && other < n; other++ {
		passes = passes || strings.HasSuffix(name, suffix(other))
	}
	if passes {
		return name[:min(len(name), maxName-len("_1"))] + "_1"
	}
	return name
}

func suffix(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("_%d", i+1)
}
