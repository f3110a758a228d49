package server

import "net/http"

// places adds what is about all Hosts together.
func (s *Server) places(*http.ServeMux) {}
