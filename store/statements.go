package store

import (
	"context"
	"database/sql"
	"errors"
)

// statements keeps the prepared statements of a connection by their text:
// preparing one takes longer than running it. It is for one goroutine at a
// time, as the connection is.
type statements struct {
	conn *sql.Conn
	kept map[string]*sql.Stmt
}

func newStatements(conn *sql.Conn) *statements {
	return &statements{conn: conn, kept: map[string]*sql.Stmt{}}
}

func (s *statements) get(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := s.kept[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err == nil {
		s.kept[query] = stmt
	}
	return stmt, err
}

// exec runs a statement and returns how many rows it changed.
func (s *statements) exec(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, err := s.get(ctx, query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row asks for one row; its Scan has the error, sql.ErrNoRows among them. It is not
// interrupted when ctx ends: to watch for that takes as long as half of the reading.
func (s *statements) row(ctx context.Context, query string, args ...any) row {
	stmt, err := s.get(ctx, query)
	if err != nil {
		return row{err: err}
	}
	return row{row: stmt.QueryRowContext(context.WithoutCancel(ctx), args...)}
}

func (s *statements) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.get(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s.kept {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// row is a *sql.Row, or the reason that there is none.
type row struct {
	row *sql.Row
	err error
}

// Scan is that of *sql.Row.
func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.row.Scan(dest...)
}

// rowQuerier is what a check needs that is made both before and inside a write
// transaction.
type rowQuerier interface {
	row(ctx context.Context, query string, args ...any) row
}

// scanner is a row, of one or of many.
type scanner interface{ Scan(dest ...any) error }
