package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common/lru"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
	"github.com/events-concierge/concierge/tools/calendar"
)

// feeds keeps what was last written for whoever subscribes, by what it was
// written of.
type feeds = *lru.SizeConstrainedCache[string, []byte]

// maxFeeds is how many bytes are kept of all of them.
const maxFeeds = 16 << 20

func newFeeds() feeds { return lru.NewSizeConstrainedCache[string, []byte](maxFeeds) }

// calendar makes a route of a handler that returns a calendar to be downloaded.
func (s *Server) calendar(next func(http.ResponseWriter, *http.Request, *tools.Call) error) http.HandlerFunc {
	return s.pages.compress(s.handle(func(w http.ResponseWriter, r *http.Request) error {
		c, err := s.readCall(r)
		if err == nil {
			err = next(w, r, c)
		}
		if err = gone(err); err != nil && wantsPage(r) {
			return s.showProblem(w, r, err)
		}
		return err
	}))
}

// entry is one event for a calendar. Of one that is cancelled it is the notice
// that takes it out.
func (s *Server) entry(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	e, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: r.PathValue("event")})
	if err != nil {
		return err
	}
	entry := c.Host.Entry(e, s.base(r)+eventPath(c.Host.User, e.ID))
	out := calendar.Calendar{Events: []calendar.Event{entry}}
	if entry.Cancelled {
		out.Method = calendar.Cancel
	}
	var body bytes.Buffer
	if err := calendar.Write(&body, out); err != nil {
		return err
	}
	sum := sha256.Sum256(body.Bytes())
	s.sendCalendar(w, r, fileName(e), base64.RawURLEncoding.EncodeToString(sum[:12]), entry.Changed, body.Bytes())
	return nil
}

// feed is all public events of a Host, for calendars that subscribe.
func (s *Server) feed(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	user := c.Host.User
	state, err := c.Host.FeedState(r.Context())
	if err != nil {
		return err
	}
	key := s.feedKey(r, user, state)
	body, ok := s.feeds.Get(key)
	if !ok {
		events, err := c.Host.Feed(r.Context())
		if err != nil {
			return err
		}
		_, site, _ := strings.Cut(s.base(r), "://")
		out := calendar.Calendar{Name: "Events at " + site}
		for _, e := range events {
			out.Events = append(out.Events, c.Host.Entry(e, s.base(r)+eventPath(user, e.ID)))
		}
		var written bytes.Buffer
		if err := calendar.Write(&written, out); err != nil {
			return err
		}
		body = written.Bytes()
		s.feeds.Add(key, body)
	}
	changed := state.ChangedAt
	// A second change within a second would have the same Last-Modified.
	if s.Hosts.Now().Sub(changed) < 2*time.Second {
		changed = time.Time{}
	}
	s.sendCalendar(w, r, "events.ics", key, changed, body)
	return nil
}

// feedKey says what a feed is written of.
func (s *Server) feedKey(r *http.Request, user string, l store.Listing) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%d %d", s.Version, s.base(r), user, l.Revision, l.Events))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// sendCalendar answers with a calendar, or that the client has it already.
func (s *Server) sendCalendar(w http.ResponseWriter, r *http.Request, name, tag string, changed time.Time, body []byte) {
	h := w.Header()
	h.Set("Content-Type", calendar.ContentType)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `W/"`+tag+`"`) // weak: it may be compressed on its way
	http.ServeContent(w, r, "", changed, bytes.NewReader(body))
}

// fileName makes the name of a download out of a title: of letters and digits that
// no file system minds.
func fileName(e tools.Event) string {
	var name strings.Builder
	for _, r := range strings.ToLower(e.Title) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			name.WriteRune(r)
		case name.Len() > 0 && !strings.HasSuffix(name.String(), "-"):
			name.WriteByte('-')
		}
		if name.Len() >= 40 {
			break
		}
	}
	title := strings.Trim(name.String(), "-")
	if title == "" {
		title = e.ID
	}
	return title + ".ics"
}
