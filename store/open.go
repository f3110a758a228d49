package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// Options of a Host's or a server's file.
type Options struct {
	// Now is the clock. If nil, it is time.Now.
	Now func() time.Time
	// Secret keys the hashes of what a server's file must recognise and not tell.
	Secret []byte
	// Existing has a file that is not there be [ErrNoFile], rather than made.
	Existing bool
}

// busyTimeout is how long a call waits for another process.
const busyTimeout = 10 * time.Second

// maxReaders bounds the connections that read one file; there are none until
// something is read, and they go when they have been idle.
const maxReaders = 4

// file is an open database: one connection that writes and a few that read.
type file struct {
	path   string
	now    func() time.Time
	read   *reader
	write  *writer
	closed chan struct{}
	once   sync.Once
}

// open opens the file at path, creates it if there is none, and brings its
// schema up to date.
func open(ctx context.Context, path string, k kind, o Options) (_ *file, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open the %s's file %s: %w", k.owner, path, classify(err))
		}
	}()
	if path == "" || strings.ContainsRune(path, 0) {
		return nil, fmt.Errorf("%w: file name", ErrInvalid)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if o.Existing {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoFile
		}
	}
	if err := createFile(path); err != nil {
		return nil, err
	}
	f := &file{path: path, now: o.Now, closed: make(chan struct{})}
	if f.now == nil {
		f.now = time.Now
	}
	writers, conn, err := openWriter(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := prepareFile(ctx, conn, k); err != nil {
		return nil, errors.Join(err, conn.Close(), writers.Close())
	}
	f.write = newWriter(writers, conn, f.now, f.closed)
	if f.read, err = openReader(path, f.closed); err != nil {
		return nil, errors.Join(err, f.write.close())
	}
	return f, nil
}

// openWriter returns the connection that writes, and the pool it is from. The
// connection is kept for the life of the file, so that its prepared statements
// are.
func openWriter(ctx context.Context, path string) (*sql.DB, *sql.Conn, error) {
	c, err := sqlite.NewConnector(dsn(path, false))
	if err != nil {
		return nil, nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, conn, nil
}

// dsn names the file to the driver. Its journal mode is not set here: setting
// it writes, and a file is first looked at ([prepareFile]).
func dsn(path string, readOnly bool) string {
	q := url.Values{
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
		"_foreign_keys": {"1"},
		"_synchronous":  {"FULL"},
		"_pragma":       {"cache_size(-256)", "trusted_schema(0)", "secure_delete(1)"}, // what is deleted is gone
	}
	if readOnly {
		q.Set("_query_only", "1")
	}
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") { // a drive letter
		p = "/" + p
	}
	// As a URI, for in a plain name a question mark would end the path.
	u := url.URL{Scheme: "file", Path: p, RawQuery: q.Encode()}
	return u.String()
}

// close waits for the write under way, refuses those that wait, and moves what
// the log holds into the file. Closing again does nothing.
func (f *file) close() (err error) {
	f.once.Do(func() {
		close(f.closed)
		err = errors.Join(f.read.close(), f.write.close())
	})
	return err
}
