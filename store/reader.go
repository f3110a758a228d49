package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
)

// reader owns the connections that read. Each sees what was committed before
// its statement began, and waits for no writer.
type reader struct {
	*statements
	db     *sql.DB
	closed chan struct{}
}

func openReader(path string, closed chan struct{}) (*reader, error) {
	c, err := sqlite.NewConnector(dsn(path, true))
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(maxReaders)
	db.SetMaxIdleConns(maxReaders)
	db.SetConnMaxIdleTime(time.Minute) // an idle connection holds memory and three files
	return &reader{statements: newStatements(db.PrepareContext), db: db, closed: closed}, nil
}

// fail is how an error of a read is reported: missing in place of no row, if
// it is given.
func (r *reader) fail(what string, err, missing error) error {
	select {
	case <-r.closed:
		err = ErrClosed
	default:
		err = classify(err)
	}
	if missing != nil && errors.Is(err, sql.ErrNoRows) {
		err = missing
	}
	return fmt.Errorf("%s: %w", what, err)
}

// list reads rows into values.
func list[T any](ctx context.Context, r *reader, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := r.rows(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func (r *reader) close() error { return errors.Join(r.statements.close(), r.db.Close()) }
