package web

import (
	"net/url"
	"regexp"
	"strings"
)

// piece is a part of a text; URL is what it links to, or "".
type piece struct{ Text, URL string }

var address = regexp.MustCompile(`https?://[^\s<>"\x60]+`)

// linked splits a line at the addresses in it, which people write to be followed.
// They are shown whole, so that it is seen where they lead.
func linked(line string) []piece {
	var all []piece
	done := 0
	for _, at := range address.FindAllStringIndex(line, -1) {
		found := withoutEnd(line[at[0]:at[1]])
		u, err := url.Parse(found)
		if err != nil || u.Host == "" || u.User != nil { // https://bank.example@elsewhere.example
			continue
		}
		if at[0] > done {
			all = append(all, piece{Text: line[done:at[0]]})
		}
		all = append(all, piece{Text: found, URL: found})
		done = at[0] + len(found)
	}
	if done < len(line) {
		all = append(all, piece{Text: line[done:]})
	}
	return all
}

// withoutEnd takes off what ends the sentence around an address, and not it.
func withoutEnd(s string) string {
	for s != "" {
		last := s[len(s)-1]
		switch {
		case strings.IndexByte(".,;:!?'*_", last) >= 0:
		case last == ')' && strings.Count(s, ")") > strings.Count(s, "("):
		case last == ']' && strings.Count(s, "]") > strings.Count(s, "["):
		default:
			return s
		}
		s = s[:len(s)-1]
	}
	return s
}
