// Package web is what people look at: templates, styles and scripts, all of them
// embedded. It knows neither routes nor Hosts; package server hands it what is to
// be shown.
//
// Start with [New]. A page is a file of templates with the name of its [View]; what
// all pages have in common is in layout.html, what several have in parts.html.
// templates/design.html shows every element of the design.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed templates static
var files embed.FS

// View is a page to be shown.
type View struct {
	// Name is that of the page's template, which defines "content". There the
	// view is the dot.
	Name string
	// Title is the document's; Description is for who shows a link to it.
	Title, Description string
	// Canonical and Image are absolute URLs, for who shows a link to it. Empty: none.
	Canonical, Image string
	// Current is the entry of the navigation that the page belongs to: "find", "mine".
	Current string
	// Signed says that an owner is signed in.
	Signed bool
	// NoIndex asks search engines to leave the page out.
	NoIndex bool
	// Updates is the path of the server-sent events that say when the page has changed.
	Updates string
	// Modules are scripts of static, without ".js", that the page needs beside site.js.
	Modules []string
	// Alternates are the same in other forms, such as a calendar.
	Alternates []Alternate
	// LinkedData is written as JSON-LD. Nil: none.
	LinkedData any
	// Data is the page's own.
	Data any
}

// Alternate is a page in another form.
type Alternate struct{ Type, Title, URL string }

// Site has all pages. Safe for concurrent use.
type Site struct {
	rand    io.Reader
	pages   map[string]*template.Template
	style   template.CSS
	static  map[string][]byte // by their names in static
	version string            // of all that is in static
}

// New reads the templates. rand makes the nonces of the Content-Security-Policy.
func New(rand io.Reader) (*Site, error) {
	s := &Site{rand: rand, pages: map[string]*template.Template{}, static: map[string][]byte{}}
	if err := s.readStatic(); err != nil {
		return nil, err
	}
	frame, err := template.New("layout.html").Funcs(s.functions()).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		page, err := frame.Clone()
		if err == nil {
			page, err = page.ParseFS(files, file)
		}
		if err != nil {
			return nil, err
		}
		s.pages[name] = page
	}
	return s, nil
}

func (s *Site) readStatic() error {
	all := sha256.New()
	err := fs.WalkDir(files, "static", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(file)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(file, "static/")
		s.static[name] = content
		fmt.Fprintf(all, "%s %d\n%s", name, len(content), content)
		return nil
	})
	s.version = hex.EncodeToString(all.Sum(nil)[:8])
	s.style = template.CSS(s.static["site.css"]) // #nosec G203 -- a file of this program
	return err
}

// page is what layout.html is executed with.
type page struct {
	View
	Nonce string
	Style template.CSS
}

// Write writes a page whole, or returns an error and writes nothing.
func (s *Site) Write(w http.ResponseWriter, status int, v View) error {
	nonce, err := s.nonce()
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := s.execute(&body, "layout.html", page{v, nonce, s.style}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; connect-src 'self'; "+
		"img-src 'self' data:; script-src 'self' 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+"'")
	// With none, browsers say of forms that they come from nowhere.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), geolocation=(), microphone=()")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // who has gone is nobody's error
	return nil
}

// Fragment writes a part of a page: a template that is defined in the view's file,
// or in parts.html, with data as its dot.
func (s *Site) Fragment(w io.Writer, view, part string, data any) error {
	page, ok := s.pages[view]
	if !ok {
		return fmt.Errorf("there is no page %q", view)
	}
	return page.ExecuteTemplate(w, part, data)
}

func (s *Site) execute(w io.Writer, name string, p page) error {
	t, ok := s.pages[p.Name]
	if !ok {
		return fmt.Errorf("there is no page %q", p.Name)
	}
	return t.ExecuteTemplate(w, name, p)
}

func (s *Site) nonce() (string, error) {
	var raw [16]byte
	if _, err := io.ReadFull(s.rand, raw[:]); err != nil {
		return "", fmt.Errorf("make a nonce: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// StaticPath is the path below which [Site.Static] is to be served.
const StaticPath = "/static/"

// asset returns the URL of a static file. It has the version of all of them in
// it, as a directory: so scripts find each other by relative names.
func (s *Site) asset(name string) (string, error) {
	if _, ok := s.static[name]; !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return StaticPath + s.version + "/" + name, nil
}

// Asset returns the path of a static file, which must be there.
func (s *Site) Asset(name string) string {
	at, err := s.asset(name)
	if err != nil {
		panic(err) // the files are part of the program
	}
	return at
}

// Static serves the static files. What has the version of this build in its path
// may be kept for good; another version gets what there is now.
func (s *Site) Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, StaticPath), "/")
		content, ok := s.static[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		h.Set("Cache-Control", "no-cache")
		if version == s.version {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		_, _ = w.Write(content)
	})
}
