package store

import (
	"context"
	"io/fs"
	"maps"
	"slices"
)

// OpenHostSchema is OpenHost with migrations of the test's own.
func OpenHostSchema(ctx context.Context, path string, schema fs.FS) (*Host, error) {
	f, err := open(ctx, path, kind{owner: "host", id: hostID, schema: schema}, Options{})
	if err != nil {
		return nil, err
	}
	return &Host{f}, nil
}

// HostSchema is the real one.
func HostSchema() fs.FS { return kindOf("host", hostID).schema }

// ServerSchema is the real one.
func ServerSchema() fs.FS { return kindOf("server", serverID).schema }

// Ids by which a file is known.
const HostID, ServerID = hostID, serverID

// Write runs f as one call of the writer, with a way to execute SQL.
func (h *Host) Write(ctx context.Context, f func(exec func(query string, args ...any) error) error) error {
	return h.f.write.do(ctx, "test", func(ctx context.Context, t *tx) error {
		return f(func(query string, args ...any) error {
			_, err := t.exec(ctx, query, args...)
			return err
		})
	})
}

// Waiting is how many calls are in the writer's queue.
func (h *Host) Waiting() int {
	h.f.write.mu.Lock()
	defer h.f.write.mu.Unlock()
	return len(h.f.write.queue)
}

// Statements are the texts of all statements that h has run.
func (h *Host) Statements() []string {
	return append(slices.Collect(maps.Keys(h.f.read.kept)), slices.Collect(maps.Keys(h.f.write.stmts.kept))...)
}

// Statements are the texts of all statements that s has run.
func (s *Server) Statements() []string {
	return append(slices.Collect(maps.Keys(s.f.read.kept)), slices.Collect(maps.Keys(s.f.write.stmts.kept))...)
}

// Path is the server's file.
func (s *Server) Path() string { return s.f.path }

// Pragma returns a setting of the connection that writes, and of one that
// reads.
func (h *Host) Pragma(ctx context.Context, name string) (write, read string, err error) {
	err = h.f.write.do(ctx, "test", func(ctx context.Context, t *tx) error {
		return t.row(ctx, "PRAGMA "+name).Scan(&write)
	})
	if err == nil {
		err = h.f.read.row(ctx, "PRAGMA "+name).Scan(&read)
	}
	return write, read, err
}
