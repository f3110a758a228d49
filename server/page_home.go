package server

import (
	"net/http"

	"github.com/events-concierge/concierge/server/web"
)

// homePages adds the page where people find events.
func (s *Server) homePages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.page(s.home))
}

func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, http.StatusOK, web.View{Name: "home", Title: "Find something to do", Current: "find"})
}
