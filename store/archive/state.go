package archive

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // database/sql's driver
)

// state is how far a file has been archived. It is believed of an archive that
// has its last object, and of a file that goes on from it.
type state struct {
	Last link      `json:"last"`
	Time time.Time `json:"time"` // of the last object
	Base time.Time `json:"base"` // of its generation's base
	Log  place     `json:"log"`
	// The database's file when nothing was in it that is not in the archive: as
	// long as it is unchanged, nothing has been moved into it from the log.
	Stamp stamp `json:"stamp"`
}

// states are kept in a file of the data directory, so that processes share them
// and a restart goes on. To lose it is no harm: new generations begin.
type states struct {
	db      *sql.DB
	archive string // whose they are
}

func openStates(ctx context.Context, path, archive string) (*states, error) {
	// Private from the first byte. One that is there is not opened by that: to close
	// it would drop the locks that this process may have on it.
	switch f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); {
	case err == nil:
		if err := f.Close(); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		"_busy_timeout": {"10000"}, "_synchronous": {"NORMAL"}, "_pragma": {"journal_mode(WAL)", "cache_size(-256)"}}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS states (
		archive TEXT NOT NULL, file TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (archive, file)) STRICT, WITHOUT ROWID`)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s (it may be deleted): %w", path, err), db.Close())
	}
	return &states{db, archive}, nil
}

// get returns the state of a file; ok is false if there is none.
func (s *states) get(ctx context.Context, file string) (st state, ok bool, err error) {
	var text string
	err = s.db.QueryRowContext(ctx, `SELECT state FROM states WHERE archive = ? AND file = ?`, s.archive, file).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return st, false, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &st)
	}
	return st, err == nil, err
}

func (s *states) set(ctx context.Context, file string, st state) error {
	text, err := json.Marshal(st)
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO states (archive, file, state) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET state = excluded.state`, s.archive, file, string(text))
	return err
}

func (s *states) forget(ctx context.Context, file string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM states WHERE archive = ? AND file = ?`, s.archive, file)
	return err
}

func (s *states) close() error { return s.db.Close() }

// dsn names a database to the driver.
func dsn(path string, q url.Values) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") { // a drive letter
		p = "/" + p
	}
	u := url.URL{Scheme: "file", Path: p, RawQuery: q.Encode()}
	return u.String()
}
