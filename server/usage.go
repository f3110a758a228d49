package server

import (
	"net/http"
	"time"
)

// quota is what was used of a quota.
type quota struct {
	Used     int64      `json:"used"`
	Limit    int64      `json:"limit,omitempty"`     // absent: there is none
	ResetsAt *time.Time `json:"resets_at,omitempty"` // absent: it does not
}

// usage tells an owner what the Host has used of its quotas.
func (s *Server) usage(w http.ResponseWriter, r *http.Request) error {
	c, err := s.ownerCall(r)
	if err != nil {
		return err
	}
	u, err := s.Hosts.Usage(r.Context(), c.Host.User)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, http.StatusOK, map[string]quota{
		"requests":     {u.Requests, u.Limits.Requests, &u.ResetsAt},
		"events":       {u.Events, u.Limits.Events, &u.ResetsAt},
		"stored_bytes": {u.Bytes, u.Limits.Bytes, nil},
	})
}
