package store

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Sizes of a page: what a limit of 0 means, and the most there is.
const (
	DefaultPage = 50
	MaxPage     = 500
)

func pageSize(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return min(limit, MaxPage)
}

// position is where a page ended: the sort key of its last row.
type position struct {
	n  int64
	id string
}

// encode makes a cursor of p. list keeps the cursors of two lists apart.
func (p position) encode(list string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s.%d.%s", list, p.n, p.id))
}

// decode reads a cursor; an empty one is the position before all rows.
func decode(list, cursor string) (position, error) {
	if cursor == "" {
		return position{n: always}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return position{}, ErrCursor
	}
	rest, ok := strings.CutPrefix(string(raw), list+".")
	number, id, more := strings.Cut(rest, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	p := position{n, id}
	if !ok || !more || err != nil || p.encode(list) != cursor {
		return position{}, ErrCursor
	}
	return p, nil
}

// page cuts off the row that was read to see if there are more, and returns
// the cursor of the next page.
func page[T any](rows []T, limit int, list string, at func(T) position) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, at(rows[limit-1]).encode(list)
}
