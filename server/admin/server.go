package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// headerRun has [Log.Run] in an answer with records.
const headerRun = "Concierge-Run"

// Patience with who asks.
const (
	headerWithin = 5 * time.Second
	writeWithin  = 30 * time.Second // one write, to who does not read
	endWithin    = 2 * time.Second  // all who follow have what there is
)

// Status is what a running server says of itself.
type Status struct {
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Run     string    `json:"run"`     // another one after each start
	Started time.Time `json:"started"` // RFC 3339
	Addr    string    `json:"addr"`    // where it listens for everybody else
	Network string    `json:"network"` // as --network names it
	// Followers is how many follow its log.
	Followers int `json:"followers"`
}

// Server answers on the socket.
type Server struct {
	log *Log
	mux *http.ServeMux
}

// NewServer returns a Server that tells the log and this status.
func NewServer(log *Log, s Status) *Server {
	srv := &Server{log: log, mux: http.NewServeMux()}
	s.PID, s.Run = os.Getpid(), log.Run
	srv.Handle("GET /v1/status", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := s
		now.Followers = log.count()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(now) // who has gone need not know
	}))
	srv.Handle("GET /v1/logs", http.HandlerFunc(srv.logs))
	return srv
}

// Handle adds a route, before Serve is called.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Serve answers on l until ctx ends. Who follows the log gets what there is to that
// moment; the Log is closed then.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	web := &http.Server{Handler: s.mux, ReadHeaderTimeout: headerWithin, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		s.log.Close()
		return err
	case <-ctx.Done():
	}
	s.log.Close()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	err := web.Shutdown(ending)
	if errors.Is(err, context.DeadlineExceeded) {
		err = web.Close() // of them who do not read
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// logs streams records, one JSON object a line.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	q, err := ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f := s.log.Follow(q.Filter, q.Place)
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set(headerRun, s.log.Run)
	out := http.NewResponseController(w)
	if q.Once {
		all, _ := f.take()
		_ = s.write(w, out, all)
		return
	}
	for {
		if err := out.Flush(); err != nil {
			return
		}
		all, err := f.Next(r.Context())
		if err != nil {
			return
		}
		if err := s.write(w, out, all); err != nil {
			return
		}
	}
}

func (s *Server) write(w http.ResponseWriter, out *http.ResponseController, all []Record) error {
	var lines bytes.Buffer
	for _, r := range all {
		if err := r.encode(&lines); err != nil {
			return err
		}
		if lines.Len() < 64<<10 {
			continue
		}
		if err := send(w, out, &lines); err != nil {
			return err
		}
	}
	return send(w, out, &lines)
}

func send(w http.ResponseWriter, out *http.ResponseController, lines *bytes.Buffer) error {
	if err := out.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	_, err := lines.WriteTo(w)
	return err
}

// encode appends the record's line, as --log-format json has it, and its number.
func (r Record) encode(to *bytes.Buffer) error {
	line := r.Record
	if r.Seq > 0 {
		line = line.Clone()
		line.AddAttrs(slog.Uint64(KeySeq, r.Seq))
	}
	err := slog.NewJSONHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}).Handle(context.Background(), line)
	if err != nil {
		return fmt.Errorf("write a record: %w", err)
	}
	return nil
}
