package server

import (
	"net/http"

	"github.com/events-concierge/concierge/tools"
)

// ownerPages adds the pages by which an owner sees to their Host.
func (s *Server) ownerPages(*http.ServeMux) {}

// owner returns the call of who is signed in, or nil if nobody is.
func (s *Server) owner(*http.Request) (*tools.Call, error) { return nil, nil }
