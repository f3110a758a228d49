package server

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"github.com/events-concierge/concierge/server/forwarded"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// sessionCookie has the session of a browser that is signed in. It says who asks for
// a page, and nothing else: MCP and REST want a token.
const sessionCookie = "concierge_session"

// sessionLength is that of every session there is.
const sessionLength = 43

// session is what a request's cookie says. The zero value: nobody is signed in.
type session struct {
	user   string
	secret string
	stale  bool // there is a cookie, and it is good for nothing
}

// https reports whether browsers reach the server over TLS alone, as far as a request
// tells if nobody else does.
func (s *Server) https(r *http.Request) bool {
	if s.PublicURL != nil {
		return s.PublicURL.Scheme == "https"
	}
	return forwarded.HTTPS(r)
}

// cookie returns one that scripts don't see and other sites don't send. Over TLS no
// neighbouring domain can set it (RFC 6265bis, section 4.1.3.2).
func (s *Server) cookie(r *http.Request, name, value, path string, seconds int) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: path, MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.https(r)} // #nosec G124 -- Secure where the page came by https
	switch {
	case c.Secure && path == "/":
		c.Name = "__Host-" + name
	case c.Secure:
		c.Name = "__Secure-" + name
	}
	return c
}

// sessionOf returns the session of a request, which is looked up once.
func (s *Server) sessionOf(r *http.Request) (session, error) {
	rec := recordOf(r.Context())
	if rec.session != nil {
		return *rec.session, nil
	}
	found := session{}
	if c, err := r.Cookie(s.cookie(r, sessionCookie, "", "/", 0).Name); err == nil {
		found = session{secret: c.Value, stale: true}
		if len(c.Value) == sessionLength {
			found.user, err = s.Hosts.Session(r.Context(), c.Value)
			if err != nil && !errors.Is(err, store.ErrNoSession) {
				return session{}, err
			}
			found.stale = err != nil
		}
	}
	if found.stale {
		found.secret = ""
	}
	rec.session = &found
	return found, nil
}

// owner returns the call of who is signed in, with all rights at their own Host, or
// nil if nobody is. It is counted with the calls that its owner makes with a token.
func (s *Server) owner(r *http.Request) (*tools.Call, error) {
	found, err := s.sessionOf(r)
	if err != nil || found.user == "" {
		return nil, err
	}
	rec := recordOf(r.Context())
	if rec.owner != nil {
		return rec.owner, nil
	}
	rec.user = found.user
	key, ok := keyOf(found.user)
	if !ok {
		return nil, store.ErrUserNotFound
	}
	if err := take(s, r.Context(), s.limits().owner, key, 1); err != nil {
		return nil, err
	}
	h, err := s.Hosts.Host(r.Context(), found.user)
	if errors.Is(err, store.ErrUserNotFound) { // removed a moment ago
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.Hosts.CountRequest(r.Context(), h.User); err != nil { // for the sum: an owner is not refused
		return nil, err
	}
	rec.owner = &tools.Call{Host: h, Scope: store.ScopeOwner, Marks: s.marks}
	rec.call = rec.owner
	return rec.owner, nil
}

// mine makes a page of a handler for who is signed in; everybody else is asked to
// sign in first. What it shows is kept by no cache: the next at this browser is to
// see nothing of it.
func (s *Server) mine(next func(http.ResponseWriter, *http.Request, *tools.Call) error) http.HandlerFunc {
	return s.page(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		c, err := s.owner(r)
		if err != nil {
			return err
		}
		if c == nil {
			return s.toSignIn(w, r)
		}
		return next(w, r, c)
	})
}

// toSignIn sends a browser to the sign-in, and back from there.
func (s *Server) toSignIn(w http.ResponseWriter, r *http.Request) error {
	s.clearStale(w, r)
	to := "/sign-in"
	if next := localPath(r.URL.RequestURI()); r.Method == http.MethodGet && next != "" && next != "/my-mcp" {
		to += "?next=" + url.QueryEscape(next)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// clearStale takes a cookie away that is good for nothing.
func (s *Server) clearStale(w http.ResponseWriter, r *http.Request) {
	if found, err := s.sessionOf(r); err == nil && found.stale {
		http.SetCookie(w, s.cookie(r, sessionCookie, "", "/", -1))
	}
}

// signedIn gives a browser a new session, in place of the one that it had.
func (s *Server) signedIn(w http.ResponseWriter, r *http.Request, user, secret string) error {
	if before, err := s.sessionOf(r); err == nil && before.secret != "" {
		if err := s.Hosts.EndSession(r.Context(), before.secret); err != nil {
			return err
		}
		s.streams.end(before.user, before.secret)
	}
	rec := recordOf(r.Context())
	rec.user, rec.session, rec.owner = user, &session{user: user, secret: secret}, nil
	http.SetCookie(w, s.cookie(r, sessionCookie, secret, "/", int(host.SessionValid.Seconds())))
	return nil
}

// signOut ends the session of a browser, or all those of its user.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	found, err := s.sessionOf(r)
	if err != nil {
		return err
	}
	if found.user != "" {
		if r.PostFormValue("everywhere") == "" {
			err = s.Hosts.EndSession(r.Context(), found.secret)
			s.streams.end(found.user, found.secret)
		} else {
			err = s.Hosts.EndSessions(r.Context(), found.user)
			s.streams.end(found.user, "")
		}
		if err != nil {
			return err
		}
	}
	recordOf(r.Context()).session = &session{}
	http.SetCookie(w, s.cookie(r, sessionCookie, "", "/", -1))
	http.Redirect(w, r, "/sign-in?done=out", http.StatusSeeOther)
	return nil
}

var ownersPath = regexp.MustCompile(`^/my-mcp(/[A-Za-z0-9_-]+)*$`)

// localPath returns a path, with its query, if it is one of an owner's page here,
// and "" for every other address.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > 500 || u.Scheme != "" || u.Host != "" || u.User != nil || !ownersPath.MatchString(u.Path) {
		return ""
	}
	clean := url.URL{Path: u.Path, RawQuery: u.Query().Encode()}
	return clean.String()
}
