package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// Options of the files of Hosts, or of a server's.
type Options struct {
	// Now is the clock. If nil, it is time.Now.
	Now func() time.Time
	// Secret keys the hashes of what a server's file must recognise and not tell.
	Secret []byte
	// Existing has a file that is not there be [ErrNoFile], rather than made; see
	// [Files.Make].
	Existing bool
	// Log is told what nobody waits for: a log that can't be emptied, a file
	// that can't be closed. If nil, nobody is told.
	Log *slog.Logger
	// MaxOpen is how many files are open at a time: 0 is [DefaultMaxOpen], and
	// fewer are open where the process may not have so many.
	MaxOpen int
	// Idle is how long a file stays open that nobody uses; 0: until its place
	// is needed.
	Idle time.Duration
	// Archive, if there is one, copies what is committed elsewhere.
	Archive Archive
	// Opened, if it is there, is told how long it took to open a file, or why that
	// failed. It must not wait.
	Opened func(took time.Duration, err error)
}

// Archive copies the logs of files.
type Archive interface {
	// Written is told of a file whose log has become longer. It must not wait.
	Written(path string)
	// Checkpoint copies what the log of a file holds, and then has move move it
	// into the file. It is called inside a transaction; see checkpoint.go.
	Checkpoint(ctx context.Context, path string, move func() error) error
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxOpen <= 0 {
		o.MaxOpen = DefaultMaxOpen
	}
}

// busyTimeout is how long a call waits for another process.
const busyTimeout = 10 * time.Second

// file is an open database: some connections that read, and one that writes as
// soon as something is written.
type file struct {
	path    string
	o       Options
	derived bool    // what is in it can be had elsewhere
	db      *sql.DB // makes connections, and keeps none that are given back
	read    *reader
	write   *writer
	log     *logState
	once    sync.Once
	closing chan struct{} // closed by refuse
}

// open opens the file at path, creates it if there is none, and brings its
// schema up to date. extra is the room for readers beyond the first.
func open(ctx context.Context, path string, k kind, o Options, log *logState, vfs string, extra chan struct{}) (_ *file, err error) {
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
	ready := createFile
	if o.Existing {
		ready = checkFile
	}
	if err := ready(path); err != nil {
		return nil, err
	}
	unlock, err := lockOpening(ctx, path, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	c, err := sqlite.NewConnector(dsn(path, vfs))
	if err != nil {
		return nil, err
	}
	f := &file{path: path, o: o, derived: k.id == indexID, log: log, db: sql.OpenDB(c), closing: make(chan struct{})}
	f.db.SetMaxIdleConns(-1)
	first, err := f.connect(ctx)
	if err != nil {
		if _, gone := os.Stat(path); o.Existing && errors.Is(gone, fs.ErrNotExist) { // just now
			err = ErrNoFile
		}
		return nil, errors.Join(err, f.db.Close())
	}
	keep := func(ctx context.Context, version int) error { return keepCopy(ctx, f.db, path, version) }
	if err := errors.Join(prepareFile(ctx, first, k, keep), queryOnly(ctx, first)); err != nil {
		return nil, errors.Join(err, first.Close(), f.db.Close())
	}
	f.read = newReader(f.reading, first, extra, f.closing)
	f.write = newWriter(f.writing, log, o.Now, f.closing)
	if o.Archive != nil && f.logged() { // by this, or by a process that is gone
		o.Archive.Written(path)
	}
	return f, nil
}

// settings of a connection that can't be in its name: they read the file, for
// which another process may have to be waited for, as long as the caller does.
// When the log begins anew, 8 MB of its file stay: to write over them is faster
// than to append. It is emptied from 4 MB on, and grows while that goes on.
const settings = "PRAGMA synchronous = FULL; PRAGMA cache_size = -256; PRAGMA journal_size_limit = 8388608"

// connect returns one more connection.
func (f *file) connect(ctx context.Context) (*sql.Conn, error) {
	conn, err := f.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	text := settings
	if f.derived { // no commit need wait for the disk
		text += "; PRAGMA synchronous = NORMAL"
	}
	if _, err := conn.ExecContext(ctx, text); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// reading returns one more connection, for reading.
func (f *file) reading(ctx context.Context) (*sql.Conn, error) {
	conn, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := queryOnly(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// writing returns the connection that writes. What a batch changes has room in
// memory, so that it is written to the log once; and so has what its savepoints
// keep, or SQLite makes a file for that.
func (f *file) writing(ctx context.Context) (*sql.Conn, error) {
	conn, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func queryOnly(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, "PRAGMA query_only = 1")
	return err
}

// dsn names the file to the driver. Its journal mode is not set here: setting
// it writes, and a file is first looked at ([prepareFile]).
func dsn(path, vfs string) string {
	q := url.Values{
		"mode":          {"rw"}, // what was deleted meanwhile is not made again
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
		"_foreign_keys": {"1"},
		"_pragma":       {"trusted_schema(0)", "wal_autocheckpoint(0)", "secure_delete(1)"}, // what is deleted is gone
	}
	if vfs != "" {
		q.Set("vfs", vfs)
	}
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") { // a drive letter
		p = "/" + p
	}
	// As a URI, for in a plain name a question mark would end the path.
	u := url.URL{Scheme: "file", Path: p, RawQuery: q.Encode()}
	return u.String()
}

// refuse has the calls fail that wait for the file.
func (f *file) refuse() { f.once.Do(func() { close(f.closing) }) }

// close closes the file, which nobody uses any more. The last process that closes a
// file leaves no log: SQLite moves what it holds into the file, and does not ask an
// archive, so where there is one that has been done before.
func (f *file) close(ctx context.Context) error {
	var err error
	if f.o.Archive != nil && f.logged() {
		if err = f.checkpoint(ctx); err != nil {
			err = errors.Join(err, f.keepLog(ctx))
		}
	}
	return errors.Join(err, f.read.close(), f.write.close(), f.db.Close())
}

// each runs do on every connection of a file that nobody uses.
func (f *file) each(do func(*sql.Conn) error) error {
	var errs []error
	for range f.read.n {
		c := <-f.read.idle
		errs = append(errs, do(c.conn))
		f.read.idle <- c
	}
	if f.write.stmts != nil {
		errs = append(errs, do(f.write.stmts.conn))
	}
	return errors.Join(errs...)
}
