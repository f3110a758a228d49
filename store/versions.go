package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// HostVersion returns the version of the schema of a Host's file, 0 if nothing
// has been written to it, and the version that this program writes. The file is
// left as it is. It must not be called in a process that has the file open (see
// the package comment). Errors: [ErrNewerSchema], [ErrNotDatabase],
// [ErrWrongFile], [ErrCorrupt].
func HostVersion(ctx context.Context, path string) (version, current int, err error) {
	return kindOf("host", hostID).version(ctx, path)
}

// ServerVersion is [HostVersion] of a server's file.
func ServerVersion(ctx context.Context, path string) (version, current int, err error) {
	return kindOf("server", serverID).version(ctx, path)
}

func (k kind) version(ctx context.Context, path string) (version, current int, err error) {
	steps, err := k.steps()
	if err != nil {
		return 0, 0, err
	}
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		version, err = k.versionInUse(ctx, path, len(steps)) // the header may be in the log
		return version, len(steps), classify(err)
	}
	version, err = k.versionAtRest(path, len(steps))
	return version, len(steps), err
}

// versionAtRest reads the header of a database file (SQLite's file format, 1.3):
// some microseconds, where there may be a hundred thousand of them.
func (k kind) versionAtRest(path string, known int) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var h [100]byte
	switch n, err := io.ReadFull(f, h[:]); {
	case n == 0 && errors.Is(err, io.EOF):
		return 0, nil
	case errors.Is(err, io.ErrUnexpectedEOF) || err == nil && !strings.HasPrefix(string(h[:]), "SQLite format 3\x00"):
		return 0, ErrNotDatabase
	case err != nil:
		return 0, err
	}
	version, id := int32(binary.BigEndian.Uint32(h[60:])), int32(binary.BigEndian.Uint32(h[68:])) // #nosec G115 -- SQLite has them as signed
	return int(version), k.check(id, int(version), known)
}

// versionInUse asks SQLite.
func (k kind) versionInUse(ctx context.Context, path string, known int) (version int, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return 0, err
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "mode=ro&_busy_timeout=10000"}
	connector, err := sqlite.NewConnector(u.String())
	if err != nil {
		return 0, err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return inspect(ctx, c, k, known)
}
