package server

import "net/http"

// publicPages adds the pages of Hosts and events for everybody.
func (s *Server) publicPages(*http.ServeMux) {}
