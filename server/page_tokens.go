package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// tokensPage is the list of tokens, and the form for another.
type tokensPage struct {
	Tokens       []tokenRow
	Scopes       []scopeWords
	Name, Scope  string // as they were typed
	Error, Field string
	Done         string
	Full         bool // there can be no more
}

type tokenRow struct {
	tokenInfo
	Does string
	Last bool // of scope owner
}

type scopeWords struct {
	Scope store.Scope
	Words string
}

// scopes are what tokens may do, in words.
var scopes = []scopeWords{
	{store.ScopeOwner, "everything: events, guests, money, tokens"},
	{store.ScopeCheckIn, "for the door: sees events and who comes, checks guests in"},
	{store.ScopeRead, "for the books: sees events, bookings and revenue, and changes nothing of yours"},
}

func (s *Server) tokensPage(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	p := tokensPage{Done: known(r.URL.Query().Get("done"), "revoked")}
	return s.showTokens(w, r, c, http.StatusOK, p)
}

func (s *Server) showTokens(w http.ResponseWriter, r *http.Request, c *tools.Call, status int, p tokensPage) error {
	tokens, err := s.Hosts.Server.Tokens(r.Context(), c.Host.User)
	if err != nil {
		return err
	}
	owners := 0
	for _, t := range tokens {
		row := tokenRow{tokenInfo: tokenInfo{Name: t.Name, Scope: t.Scope, CreatedAt: t.CreatedAt.Format(time.RFC3339)}}
		if !t.UsedAt.IsZero() {
			row.UsedAt = t.UsedAt.Format(time.RFC3339)
		}
		for _, sc := range scopes {
			if sc.Scope == t.Scope {
				row.Does = sc.Words
			}
		}
		if t.Scope == store.ScopeOwner {
			owners++
		}
		p.Tokens = append(p.Tokens, row)
	}
	for i := range p.Tokens {
		p.Tokens[i].Last = owners == 1 && p.Tokens[i].Scope == store.ScopeOwner
	}
	p.Scopes, p.Full = scopes, len(tokens) >= store.MaxTokens
	return s.showMine(w, r, status, "tokens", "Tokens", p)
}

// refuseToken shows the list again, with what was wrong.
func (s *Server) refuseToken(w http.ResponseWriter, r *http.Request, c *tools.Call, p tokensPage, err error) error {
	said := problemOf(err)
	if said.status >= 500 {
		return err
	}
	recordOf(r.Context()).code = said.code
	p.Error = said.detail
	switch {
	case errors.Is(err, host.ErrTokenName):
		p.Field, p.Error = "name", "A name has 1 to 64 letters, digits, dots, dashes or underscores, and no spaces."
	case errors.Is(err, store.ErrTokenExists):
		p.Field, p.Error = "name", "There is a token of this name. Choose another name, or replace that token."
	case errors.Is(err, host.ErrScope):
		p.Field, p.Error = "scope", "Choose what the token may do."
	case errors.Is(err, store.ErrTooManyTokens):
		p.Error = "There can be no more tokens. Revoke one first."
	case errors.Is(err, store.ErrLastOwner):
		p.Error = "This is the last token that may do everything. Replace it instead, or make another first."
	case errors.Is(err, store.ErrTokenNotFound):
		p.Error = "There is no token of this name any more."
	}
	return s.showTokens(w, r, c, said.status, p)
}

// madeToken is shown once.
type madeToken struct {
	Name     string
	Does     string
	Token    string
	Replaced bool
	MCPURL   string
}

func (s *Server) makeToken(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	p := tokensPage{Name: r.PostFormValue("name"), Scope: r.PostFormValue("scope")}
	token, err := s.Hosts.AddToken(r.Context(), c.Host.User, p.Name, store.Scope(p.Scope))
	if err != nil {
		return s.refuseToken(w, r, c, p, err)
	}
	return s.showToken(w, r, c, madeToken{Name: p.Name, Token: token}, store.Scope(p.Scope))
}

// turnToken puts a new token in the place of one. Who has signed in with that one
// stays signed in, with the new one.
func (s *Server) turnToken(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	name := r.PathValue("name")
	token, scope, err := s.Hosts.RotateToken(r.Context(), c.Host.User, name)
	if err != nil {
		return s.refuseToken(w, r, c, tokensPage{}, err)
	}
	found, err := s.sessionOf(r)
	if err != nil {
		return err
	}
	if _, err := s.Hosts.Session(r.Context(), found.secret); errors.Is(err, store.ErrNoSession) && scope == store.ScopeOwner {
		secret, user, err := s.Hosts.NewTokenSession(r.Context(), token)
		if err == nil {
			err = s.signedIn(w, r, user, secret)
		}
		if err != nil {
			return err
		}
	}
	return s.showToken(w, r, c, madeToken{Name: name, Token: token, Replaced: true}, scope)
}

func (s *Server) showToken(w http.ResponseWriter, r *http.Request, c *tools.Call, t madeToken, scope store.Scope) error {
	for _, sc := range scopes {
		if sc.Scope == scope {
			t.Does = sc.Words
		}
	}
	t.MCPURL = s.mcpURL(r, c.Host.User)
	return s.showMine(w, r, http.StatusOK, "token", "Your token", t)
}

func (s *Server) dropToken(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	if err := s.Hosts.Server.RevokeToken(r.Context(), c.Host.User, r.PathValue("name")); err != nil {
		return s.refuseToken(w, r, c, tokensPage{}, err)
	}
	return seeOther(w, r, "/my-mcp/tokens?done=revoked")
}

// known returns a word if it is one of these: what comes from a URL is not shown.
func known(word string, words ...string) string {
	for _, w := range words {
		if w == word {
			return w
		}
	}
	return ""
}
