package admin

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

func record(level slog.Level, message string, args ...any) slog.Record {
	r := slog.NewRecord(time.Unix(0, 0), level, message, 0)
	r.Add(args...)
	return r
}

func TestFilter(t *testing.T) {
	ok := record(slog.LevelInfo, MessageRequest, "method", "POST", "status", 200, "user", "u1", "tool", "list_events")
	refused := record(slog.LevelInfo, MessageRequest, "method", "POST", "status", 200, "user", "u1", "tool", "rsvp_to_event", "code", "event_full")
	missing := record(slog.LevelInfo, MessageRequest, "method", "GET", "status", 404, "code", "not_found")
	quote := record(slog.LevelInfo, MessageRequest, "method", "POST", "status", 402, "tool", "rsvp_to_event")
	broken := record(slog.LevelError, MessageRequest, "method", "GET", "status", 500)
	flood := record(slog.LevelDebug, MessageRequest, "method", "GET", "status", 429)
	told := record(slog.LevelInfo, "serving")
	warned := record(slog.LevelWarn, "slow")
	failed := record(slog.LevelError, "tool failed", "user", "u1", "tool", "rsvp_to_event")
	all := []slog.Record{ok, refused, missing, quote, broken, flood, told, warned, failed}
	level := func(l slog.Level) *slog.Level { return &l }
	for name, c := range map[string]struct {
		filter Filter
		want   []slog.Record
	}{
		"all":             {Filter{}, []slog.Record{ok, refused, missing, quote, broken, warned, failed}},
		"debug":           {Filter{Level: level(slog.LevelDebug)}, all},
		"warn":            {Filter{Level: level(slog.LevelWarn)}, []slog.Record{broken, warned, failed}},
		"error":           {Filter{Status: []string{"error"}}, []slog.Record{refused, missing, broken, failed}},
		"ok":              {Filter{Status: []string{"ok"}}, []slog.Record{ok, quote}},
		"4xx":             {Filter{Status: []string{"4xx"}}, []slog.Record{missing, quote}},
		"500 or 404":      {Filter{Status: []string{"500", "404"}}, []slog.Record{missing, broken}},
		"429":             {Filter{Status: []string{"429"}}, []slog.Record{flood}},
		"method":          {Filter{Method: "get"}, []slog.Record{missing, broken}},
		"user":            {Filter{User: "u1"}, []slog.Record{ok, refused, failed}},
		"tool":            {Filter{Tool: "rsvp_to_event"}, []slog.Record{refused, quote, failed}},
		"a user's errors": {Filter{User: "u1", Status: []string{"error"}}, []slog.Record{refused, failed}},
	} {
		var got []slog.Record
		for _, r := range all {
			if c.filter.Match(r) {
				got = append(got, r)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestQueryRefuses(t *testing.T) {
	for query, says := range map[string]string{
		"status=bad":                       `status "bad": want ok, error, a class such as 4xx`,
		"status=":                          "status",
		"status=600":                       "status",
		"method=A%20B":                     "method",
		"user=a@example":                   "user",
		"n=-1":                             "n",
		"n=10001":                          "10000",
		"n=x":                              "number",
		"after=-2":                         "after",
		"level=loud":                       "debug, info, warn or error",
		"follow=maybe":                     "true or false",
		"run=%00":                          "run",
		"statuss=ok":                       `"statuss" is no parameter`,
		"n=1&n=2":                          "2 times",
		"%zz":                              "can't be read",
		"tool=" + strings.Repeat("a", 201): "tool",
	} {
		if _, err := ParseQuery(query); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"", "status=error,4xx&method=POST&user=abc&tool=list_events&level=DEBUG&n=5", "run=A&after=7&follow=false", "status=&n=%31", "level=warn%2b1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := ParseQuery(raw)
		if err != nil {
			return
		}
		again, err := ParseQuery(q.Encode())
		if err != nil || !reflect.DeepEqual(q, again) {
			t.Errorf("%q: %+v is read again as %+v, %v", raw, q, again, err)
		}
	})
}
