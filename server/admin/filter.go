package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Keys of attributes that a [Filter] looks at.
const (
	keyMethod = "method"
	keyStatus = "status"
	keyUser   = "user"
	keyTool   = "tool"
	keyCode   = "code"
)

// Filter says which records are wanted; the zero value: all requests, and what else
// is a warning or an error. What it names a record must have.
type Filter struct {
	// Status is "ok", "error", a class such as "4xx", or a status such as "500"; of
	// several, one. A tool's error is an error, whatever the status of its answer;
	// so is a record of level error that is no request.
	Status []string
	Method string
	User   string // id of the Host's owner
	Tool   string
	// Level is the least level, of requests too. Nil: info for them, else warn; or
	// debug, if the status is 429, which floods have.
	Level *slog.Level
}

// Bounds of a query.
const (
	maxWord = 200
	maxLast = 10_000
)

var (
	statusForm = regexp.MustCompile(`^(ok|error|[1-5](xx|[0-9][0-9]))$`)
	wordForm   = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)
)

// Valid returns what is wrong with a filter, in words for who wrote it.
func (f Filter) Valid() error {
	if len(f.Status) > 20 {
		return fmt.Errorf("status: want at most 20 of them")
	}
	for _, s := range f.Status {
		if !statusForm.MatchString(s) {
			return fmt.Errorf("status %q: want ok, error, a class such as 4xx, or a status such as 500", short(s))
		}
	}
	for name, value := range map[string]string{keyMethod: f.Method, keyUser: f.User, keyTool: f.Tool} {
		if len(value) > maxWord || !wordForm.MatchString(value) {
			return fmt.Errorf("%s %q: want letters, digits, - and _", name, short(value))
		}
	}
	return nil
}

func short(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// debug reports whether records of level debug may pass.
func (f Filter) debug() bool {
	return f.Level != nil && *f.Level < slog.LevelInfo || f.Level == nil && slices.Contains(f.Status, "429")
}

// seen is what a filter looks at of a record.
type seen struct {
	method, user, tool, code string
	status                   int64
}

// Match reports whether a record passes.
func (f Filter) Match(r slog.Record) bool {
	request := r.Message == MessageRequest
	switch {
	case f.Level != nil && r.Level < *f.Level,
		f.Level == nil && !request && r.Level < slog.LevelWarn,
		f.Level == nil && r.Level < slog.LevelInfo && !f.debug():
		return false
	case len(f.Status) == 0 && f.Method == "" && f.User == "" && f.Tool == "":
		return true
	}
	var s seen
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case keyMethod:
			s.method = a.Value.String()
		case keyUser:
			s.user = a.Value.String()
		case keyTool:
			s.tool = a.Value.String()
		case keyCode:
			s.code = a.Value.String()
		case keyStatus:
			if a.Value.Kind() == slog.KindInt64 {
				s.status = a.Value.Int64()
			}
		}
		return true
	})
	return (f.Method == "" || strings.EqualFold(s.method, f.Method)) && (f.User == "" || s.user == f.User) &&
		(f.Tool == "" || s.tool == f.Tool) && (len(f.Status) == 0 || slices.ContainsFunc(f.Status, func(want string) bool {
		return s.is(want, request, r.Level)
	}))
}

func (s seen) is(want string, request bool, level slog.Level) bool {
	failed := s.status >= 400 && s.status != http.StatusPaymentRequired || s.code != "" // to be asked for money is no error
	switch {
	case want == "error" && !request:
		return level >= slog.LevelError
	case !request:
		return false
	case want == "error":
		return failed
	case want == "ok":
		return !failed
	case strings.HasSuffix(want, "xx"):
		return s.status/100 == int64(want[0]-'0')
	}
	return strconv.FormatInt(s.status, 10) == want
}

// Query is a request for a log.
type Query struct {
	Filter
	Place
	// Once ends it with what there is already.
	Once bool
}

// Encode returns the query's form in a URL, which [ParseQuery] reads.
func (q Query) Encode() string {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set(keyStatus, strings.Join(q.Status, ","))
	set(keyMethod, q.Method)
	set(keyUser, q.User)
	set(keyTool, q.Tool)
	if q.Level != nil {
		set("level", q.Level.String())
	}
	if q.Last > 0 {
		set("n", strconv.Itoa(q.Last))
	}
	set("run", q.Run)
	if q.After > 0 {
		set("after", strconv.FormatUint(q.After, 10))
	}
	if q.Once {
		set("follow", "false")
	}
	return v.Encode()
}

// ParseQuery reads a query, strictly: what it does not know, or is there twice, is an
// error.
func ParseQuery(raw string) (q Query, err error) {
	v, err := url.ParseQuery(raw)
	if err != nil {
		return q, fmt.Errorf("the query can't be read: %w", err)
	}
	for key, values := range v {
		if len(values) != 1 {
			return q, fmt.Errorf("%q is there %d times: want it once", short(key), len(values))
		}
		if err := q.set(key, values[0]); err != nil {
			return q, err
		}
	}
	return q, q.Valid()
}

func (q *Query) set(key, value string) (err error) {
	switch key {
	case keyStatus:
		q.Status = strings.Split(value, ",")
	case keyMethod:
		q.Method = value
	case keyUser:
		q.User = value
	case keyTool:
		q.Tool = value
	case "level":
		q.Level = new(slog.Level)
		if q.Level.UnmarshalText([]byte(value)) != nil {
			return fmt.Errorf("level %q: want debug, info, warn or error", short(value))
		}
	case "n":
		if q.Last, err = strconv.Atoi(value); err != nil || q.Last < 0 || q.Last > maxLast {
			return fmt.Errorf("n %q: want a number from 0 to %d", short(value), maxLast)
		}
	case "run":
		if q.Run = value; len(value) > maxWord || !wordForm.MatchString(value) {
			return fmt.Errorf("run %q: want it as the server gave it", short(value))
		}
	case "after":
		if q.After, err = strconv.ParseUint(value, 10, 64); err != nil {
			return fmt.Errorf("after %q: want the number of a record", short(value))
		}
	case "follow":
		if q.Once = value == "false"; !q.Once && value != "true" {
			return fmt.Errorf("follow %q: want true or false", short(value))
		}
	default:
		return fmt.Errorf("%q is no parameter: there are status, method, user, tool, level, n, run, after and follow", short(key))
	}
	return nil
}
