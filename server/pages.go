package server

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"

	"github.com/events-concierge/concierge/server/web"
	"github.com/events-concierge/concierge/tools"
)

// pages are routes that people look at. compress makes what is written smaller.
type pages struct {
	site     *web.Site
	compress func(http.Handler) http.HandlerFunc
	origins  *http.CrossOriginProtection
}

func (s *Server) openPages() (p pages, err error) {
	if p.site, err = web.New(s.Hosts.Rand); err != nil {
		return p, err
	}
	if p.compress, err = gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.EnableZstd(false)); err != nil {
		return p, err
	}
	// A proxy may call the server by another name than browsers do.
	p.origins = http.NewCrossOriginProtection()
	if s.PublicURL != nil {
		err = p.origins.AddTrustedOrigin(s.PublicURL.Scheme + "://" + s.PublicURL.Host)
	}
	return p, err
}

// registerPages adds the routes of the pages.
func (s *Server) registerPages(mux *http.ServeMux) {
	static := s.pages.compress(s.pages.site.Static())
	mux.HandleFunc("GET "+web.StaticPath, s.handle(func(w http.ResponseWriter, r *http.Request) error {
		static(w, r)
		return nil
	}))
	mux.HandleFunc("GET /design", s.page(s.design))
	s.homePages(mux)
	s.ownerPages(mux)
	s.eventPages(mux)
	s.publicPages(mux)
	s.places(mux)
}

// page makes an http.HandlerFunc of a handler for people: what goes wrong is a page
// too, and forms of other sites are refused.
func (s *Server) page(next func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return s.pages.compress(s.handle(func(w http.ResponseWriter, r *http.Request) error {
		err := s.pages.origins.Check(r)
		if err != nil {
			err = &problem{status: http.StatusForbidden, code: "wrong_origin", cause: err,
				detail: "This came from a page of another site, and nothing was done. Open the page here and do it again."}
		} else {
			err = next(w, r)
		}
		if err == nil {
			return nil
		}
		return s.showProblem(w, r, err)
	}))
}

// show writes a page.
func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, v web.View) error {
	if found, err := s.sessionOf(r); err == nil { // else the page is as for anybody
		v.Signed = found.user != ""
	}
	s.clearStale(w, r)
	return s.pages.site.Write(w, status, v)
}

// showProblem tells people what went wrong.
func (s *Server) showProblem(w http.ResponseWriter, r *http.Request, err error) error {
	p, rec := problemOf(err), recordOf(r.Context())
	rec.code, rec.err = p.code, p.cause
	title := http.StatusText(p.status)
	switch p.status {
	case http.StatusNotFound:
		title = "There is nothing here"
	case http.StatusTooManyRequests:
		title = "Too much at once"
	case http.StatusInternalServerError:
		title = "Something went wrong"
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.pages.site.Write(w, p.status, web.View{Name: "error", Title: title, NoIndex: true, Data: map[string]string{"Detail": p.detail}})
}

// wantsPage reports whether a person asks, and not a program.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// design shows every element of the pages.
func (s *Server) design(w http.ResponseWriter, r *http.Request) error {
	left := 3
	snippet, err := json.MarshalIndent(map[string]any{"mcpServers": map[string]any{"events": map[string]string{"url": "https://events.example.org/mcp"}}}, "", "  ")
	if err != nil {
		return err
	}
	event := tools.Event{Title: "Jazz night", StartsAt: "2030-06-01T20:00:00+02:00", EndsAt: "2030-06-02T01:00:00+02:00", TimeZone: "Europe/Berlin",
		Location: "Blue Room, Oranienstraße 1", SeatsLeft: &left, Price: "25.00", Status: "open"}
	hostile := event
	hostile.Title, hostile.Price, hostile.Status = `<script>alert("no")</script> مرحبا بالعالم `+strings.Repeat("longword", 20)+strings.Repeat("🎷", 40), "0.00", "full"
	return s.show(w, r, http.StatusOK, web.View{Name: "design", Title: "The design", NoIndex: true, Data: map[string]any{
		"Prose":    "What a stranger wrote, in paragraphs.\nWith lines.\n\nAnd <b>no markup</b>.",
		"Statuses": []string{"open", "full", "past", "cancelled", "confirmed", "pending", "refunded", "failed", "settled", "owed", "unlisted"},
		"Notices": []map[string]string{{"Kind": "ok", "Text": "The event was made."}, {"Kind": "warning", "Text": "The payment is settling. Do not pay again."},
			{"Kind": "error", "Text": "The price is not an amount. Write it as 5.00."}},
		"Events": []tools.Event{event, hostile}, "Snippet": string(snippet)}})
}
