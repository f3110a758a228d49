package server

import (
	"net/http"
	"time"

	"github.com/events-concierge/concierge/store"
)

// tokenInfo is what an owner is told of a token; of the token itself nothing is
// known.
type tokenInfo struct {
	Name      string      `json:"name"`
	Scope     store.Scope `json:"scope"`
	CreatedAt string      `json:"created_at"`             // RFC 3339
	UsedAt    string      `json:"last_used_at,omitempty"` // RFC 3339; a minute old at most
}

// newToken is shown once.
type newToken struct {
	Name  string      `json:"name"`
	Scope store.Scope `json:"scope"`
	Token string      `json:"token"`
}

func (s *Server) listTokens(w http.ResponseWriter, r *http.Request) error {
	c, err := s.ownerCall(r)
	if err != nil {
		return err
	}
	tokens, err := s.Hosts.Server.Tokens(r.Context(), c.Host.User)
	if err != nil {
		return err
	}
	out := struct {
		Tokens []tokenInfo `json:"tokens"`
	}{Tokens: []tokenInfo{}}
	for _, t := range tokens {
		info := tokenInfo{Name: t.Name, Scope: t.Scope, CreatedAt: t.CreatedAt.Format(time.RFC3339)}
		if !t.UsedAt.IsZero() {
			info.UsedAt = t.UsedAt.Format(time.RFC3339)
		}
		out.Tokens = append(out.Tokens, info)
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, http.StatusOK, out)
}

func (s *Server) addToken(w http.ResponseWriter, r *http.Request) error {
	c, err := s.ownerCall(r)
	if err != nil {
		return err
	}
	var in struct {
		Name  string      `json:"name"`
		Scope store.Scope `json:"scope"`
	}
	if err := s.decode(r, &in); err != nil {
		return err
	}
	token, err := s.Hosts.AddToken(r.Context(), c.Host.User, in.Name, in.Scope)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, http.StatusCreated, newToken{Name: in.Name, Scope: in.Scope, Token: token})
}

func (s *Server) rotateToken(w http.ResponseWriter, r *http.Request) error {
	c, err := s.ownerCall(r)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	token, scope, err := s.Hosts.RotateToken(r.Context(), c.Host.User, name)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, http.StatusOK, newToken{Name: name, Scope: scope, Token: token})
}

func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	c, err := s.ownerCall(r)
	if err != nil {
		return err
	}
	if err := s.Hosts.Server.RevokeToken(r.Context(), c.Host.User, r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
