package store

import (
	"context"
	"database/sql"
	"io/fs"
	"maps"
	"slices"

	"modernc.org/sqlite"
)

// OpenHostSchema is OpenHost with migrations of the test's own.
func OpenHostSchema(ctx context.Context, path string, schema fs.FS) (*Host, error) {
	h, err := openAlone(ctx, path, kind{owner: "host", id: hostID, schema: schema}, Options{})
	if err != nil {
		return nil, err
	}
	return &Host{h}, nil
}

// BackOf finds out how a file goes back whose migrations are the test's own.
func BackOf(ctx context.Context, path string, to int, owner string, id int32, schema fs.FS) (Back, error) {
	return kind{owner: owner, id: id, schema: schema}.back(ctx, path, to)
}

// OpenServerSchema is OpenServer with migrations of the test's own.
func OpenServerSchema(ctx context.Context, path string, schema fs.FS) (*Server, error) {
	h, err := openAlone(ctx, path, kind{owner: "server", id: serverID, schema: schema}, Options{})
	if err != nil {
		return nil, err
	}
	return &Server{h, keyed{}}, nil
}

// HostSchema is the real one.
func HostSchema() fs.FS { return kindOf("host", hostID).schema }

// ServerSchema is the real one.
func ServerSchema() fs.FS { return kindOf("server", serverID).schema }

// PurseSchema is the real one.
func PurseSchema() fs.FS { return kindOf("purse", purseID).schema }

// ChatSchema is the real one.
func ChatSchema() fs.FS { return kindOf("chat", chatID).schema }

// Ids by which a file is known.
const HostID, ServerID = hostID, serverID

// Write runs f as one call of the writer, with a way to execute SQL.
func (h *Host) Write(ctx context.Context, f func(exec func(query string, args ...any) error) error) error {
	return h.write(ctx, "test", func(ctx context.Context, t *tx) error {
		return f(func(query string, args ...any) error {
			_, err := t.exec(ctx, query, args...)
			return err
		})
	})
}

// file is the open file; a test must know that it is.
func (h handle) file() *file {
	h.files.mu.Lock()
	defer h.files.mu.Unlock()
	return h.files.entries[h.path].file
}

// Waiting is how many calls are in the writer's queue.
func (h handle) Waiting() int {
	w := h.file().write
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// Statements are the texts of all statements that have been run.
func (h handle) Statements() []string {
	f := h.file()
	c := <-f.read.idle
	defer func() { f.read.idle <- c }()
	all := slices.Collect(maps.Keys(c.kept))
	if f.write.stmts != nil {
		all = append(all, slices.Collect(maps.Keys(f.write.stmts.kept))...)
	}
	return all
}

// Path is the file.
func (h handle) Path() string { return h.path }

// Pragma returns a setting of the connection that writes, and of one that
// reads.
func (h *Host) Pragma(ctx context.Context, name string) (write, read string, err error) {
	err = h.write(ctx, "test", func(ctx context.Context, t *tx) error {
		return t.row(ctx, "PRAGMA "+name).Scan(&write)
	})
	if err == nil {
		read, err = view(ctx, h.handle, "test", func(ctx context.Context, q *statements) (s string, err error) {
			err = q.row(ctx, "PRAGMA "+name).Scan(&s)
			return s, err
		})
	}
	return write, read, err
}

// Cached is how many bytes of pages the connections that read and write have in
// memory.
func (h handle) Cached() (read, write int, err error) {
	f := h.file()
	c := <-f.read.idle
	defer func() { f.read.idle <- c }()
	read, err = cached(c.conn)
	if err == nil && f.write.stmts != nil {
		write, err = cached(f.write.stmts.conn)
	}
	return read, write, err
}

func cached(c *sql.Conn) (bytes int, err error) {
	err = c.Raw(func(driver any) (err error) {
		bytes, _, err = driver.(sqlite.DBStatus).Status(sqlite.DBStatusCacheUsed, false)
		return err
	})
	return bytes, err
}

// Using runs f while the file is in use, with what it is known by while it is
// open.
func (h *Host) Using(ctx context.Context, f func(file any)) error {
	e, err := h.files.acquire(ctx, h.path)
	if err != nil {
		return err
	}
	defer h.files.release(e)
	f(e.file)
	return nil
}

// Tend does what is to be done about the files now.
func (p *Files) Tend() {
	for _, job := range p.chores() {
		job()
	}
}

// Quiet leaves it to [Files.Tend] alone to tend the files.
func (p *Files) Quiet() {
	p.tender.stop()
	p.tender = &tender{woken: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// Open is how many files are open, or being opened or closed.
func (p *Files) Open() int { return len(p.slots) }

// Limit sets the lengths of logs at which something happens, for files that are
// opened from now on.
func (p *Files) Limit(move, full int) { p.limits = logLimits{move: move, warn: move, full: full} }

// Log is how long the log is, and how much of it is in the file.
func (h handle) Log(ctx context.Context) (frames, moved int, err error) {
	e, err := h.files.acquire(ctx, h.path)
	if err != nil {
		return 0, 0, err
	}
	defer h.files.release(e)
	err = e.file.read.do(ctx, func(ctx context.Context, q *statements) error {
		var busy int
		return q.row(ctx, "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &frames, &moved)
	})
	return frames, moved, err
}

// Files are those that h is of.
func (h handle) Files() *Files { return h.files }

// VFS has files that are opened from now on be opened through a file system of
// SQLite's with this name.
func (p *Files) VFS(name string) { p.vfs = name }

// IndexSchema is the real one.
func IndexSchema() fs.FS { return kindOf("index", indexID).schema }

// Looked reports of a Host's first connection how often what a call needed for a
// moment found room, and how often the room was full.
func (h *Host) Looked(ctx context.Context) (found, full int, err error) {
	_, err = view(ctx, h.handle, "test", func(ctx context.Context, q *statements) (none struct{}, err error) {
		return none, q.conn.Raw(func(c any) (err error) {
			if _, found, err = c.(sqlite.DBStatus).Status(sqlite.DBStatusLookasideHit, false); err != nil {
				return err
			}
			_, full, err = c.(sqlite.DBStatus).Status(sqlite.DBStatusLookasideMissFull, false)
			return err
		})
	})
	return found, full, err
}
