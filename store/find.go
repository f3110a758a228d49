package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// FindQuery asks an [Index] for events. From and To are as in [EventQuery]; what
// is over now is not found whatever they say.
type FindQuery struct {
	// Text has words that must all occur in title, description or location,
	// without regard to case and accents; of the last one the beginning is enough.
	// Nothing in it is an operator. Words beyond the 64th are not looked for.
	Text     string
	From, To time.Time
	Limit    int    // 0: [DefaultPage]; at most [MaxPage]
	After    string // where the last page ended; "": from the beginning
}

// IndexedEvent is where an event is that was found, and its revision when it was
// put into the index.
type IndexedEvent struct {
	User, ID string
	Revision int64
	doc      int64
}

// Find returns a page of events in the order of their start, and the cursor of the
// next page, "" if this is the last. Errors: [ErrCursor].
func (x *Index) Find(ctx context.Context, q FindQuery) (found []IndexedEvent, next string, err error) {
	const what = "find events"
	limit := pageSize(q.Limit)
	after, err := decode("find", q.After)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	match, some := matching(q.Text)
	if !some { // there is a text, and no word in it
		return nil, "", nil
	}
	last := never
	if to := bound(q.To, never); to < 1<<(63-startBits)-1 {
		last = (max(to, -1)+1)<<startBits - 1
	}
	now := x.now()
	from := q.From
	if from.Before(now) {
		from = now
	}
	found, err = view(ctx, x.handle, what, func(ctx context.Context, s *statements) ([]IndexedEvent, error) {
		first, err := passOverDocs(ctx, s, from)
		if err != nil {
			return nil, err
		}
		first = max(first, after.n)
		if match == "" {
			return list(ctx, s, scanFound, `SELECT user, e.id, e.revision, doc FROM events e JOIN hosts h ON h.id = host
				WHERE doc > ?1 AND doc <= ?2 AND over_at >= ?3 AND over_at > ?4 ORDER BY doc LIMIT ?5`,
				first, last, from.UnixMilli(), now.UnixMilli(), limit+1)
		}
		return list(ctx, s, scanFound, `SELECT user, e.id, e.revision, doc FROM texts CROSS JOIN events e ON doc = texts.rowid JOIN hosts h ON h.id = host
			WHERE texts MATCH ?6 AND texts.rowid > ?1 AND texts.rowid <= ?2 AND over_at >= ?3 AND over_at > ?4 ORDER BY texts.rowid LIMIT ?5`,
			first, last, from.UnixMilli(), now.UnixMilli(), limit+1, match)
	})
	if err != nil {
		return nil, "", err
	}
	found, next = page(found, limit, "find", func(f IndexedEvent) position { return position{n: f.doc} })
	return found, next, nil
}

func scanFound(s scanner) (f IndexedEvent, err error) {
	err = s.Scan(&f.User, &f.ID, &f.Revision, &f.doc)
	return f, err
}

// passOverDocs is [passOver] in an index.
func passOverDocs(ctx context.Context, q rowQuerier, from time.Time) (int64, error) {
	var longest int64
	if err := q.row(ctx, `SELECT coalesce(max(over_at - starts_at), 0) FROM events`).Scan(&longest); err != nil {
		return 0, err
	}
	return max(0, min(from.UnixMilli()-longest, 1<<(63-startBits)-1))<<startBits - 1, nil
}

// maxWords bounds the words of a query.
const maxWords = 64

// matching returns a text as a query of SQLite's full-text search in which nothing
// is an operator, and false for a text without words. An empty one matches all.
func matching(text string) (match string, some bool) {
	if text == "" {
		return "", true
	}
	text = strings.ToValidUTF8(text, " ")
	words := strings.FieldsFunc(text, func(r rune) bool { return !inWord(r) })
	words = slices.DeleteFunc(words, func(word string) bool { return !strings.ContainsFunc(word, isLetter) })
	if len(words) == 0 {
		return "", false
	}
	begun := len(words) <= maxWords
	words = words[:min(len(words), maxWords)]
	last := words[len(words)-1]
	for i, word := range words {
		words[i] = `"` + strings.TrimSpace(spaced(word)) + `"`
	}
	match = strings.Join(words, " AND ")
	if begun && strings.HasSuffix(text, last) && utf8.RuneCountInString(last) > 1 { // of one letter it would be half of all words
		match += "*"
	}
	return match, true
}

func isLetter(r rune) bool { return inWord(r) && !unicode.IsMark(r) }

// inWord reports whether a rune is part of words, as the index has them.
func inWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Co)
}

// unspaced are scripts whose words are not kept apart by spaces.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// spaced makes each letter of such a script a word of its own, so that a part of
// a text is found in it: as a row of words.
func spaced(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x0e00 && unicode.In(r, unspaced...) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r >= 0x0e00 && unicode.In(r, unspaced...) && !unicode.IsMark(r) {
			b.WriteByte(' ')
			b.WriteRune(r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
