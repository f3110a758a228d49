package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheck(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	web, secure := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	defer web.Close()
	defer secure.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(web.URL, "http://"), ":")
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"alive":               {[]string{"--addr", "127.0.0.1:" + port}, 0},
		"on all addresses":    {[]string{"--addr", ":" + port}, 0},
		"by IPv6 as well":     {[]string{"--addr", "0.0.0.0:" + port}, 0},
		"not ready":           {[]string{"--addr", "127.0.0.1:" + port, "--ready"}, 1},
		"another's name":      {[]string{"--url", secure.URL}, 0},
		"nobody there":        {[]string{"--addr", "127.0.0.1:1"}, 1},
		"no address":          {[]string{"--addr", "8402"}, 2},
		"no URL":              {[]string{"--url", "127.0.0.1"}, 2},
		"an unknown protocol": {[]string{"--url", "ftp://127.0.0.1"}, 2},
	} {
		if code := run(t.Context(), append([]string{"healthcheck"}, c.args...), nil, io.Discard, io.Discard); code != c.code {
			t.Errorf("%s: code %d, want %d", name, code, c.code)
		}
	}
}
