package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Program is one that serves a data directory.
type Program struct {
	Version string
	Commit  string            // "" if it is not known
	Built   string            // RFC 3339; "" if it is not known
	SHA256  [sha256.Size]byte // of its file
	Path    string            // from which it was started
	Schemas Schemas
}

// Deployment is a program, from when it took over from another.
type Deployment struct {
	ID int64
	Program
	Since  time.Time
	Starts int
	Last   Start // of its starts
}

// Start is one start of a program.
type Start struct {
	ID         int64
	Deployment int64
	Command    string // such as "serve"
	Schema     int    // of the server's file before it; 0: there was none
	At         time.Time
	EndedAt    time.Time // zero: it runs, or was killed and nobody has seen that yet
	Ended      Ended
}

// Ended is how a start ended.
type Ended string

// How it may.
const (
	EndedStopped Ended = "stopped" // in order
	EndedKilled  Ended = "killed"  // or the machine was switched off
)

// keepStarts is how many starts are kept: an MCP client may start one a minute.
const keepStarts = 1000

// Started records a start of a program, which is a new deployment if the last one
// was of another. schema is the version of the server's file before it was opened.
// alone is a time at which no process had the directory open, zero if that is not
// known: whatever started before then and was not stopped was killed.
func (s *Server) Started(ctx context.Context, p Program, command string, schema int, alone time.Time) (start int64, err error) {
	schemas, err := json.Marshal(p.Schemas)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, "record a start", func(ctx context.Context, t *tx) error {
		if !alone.IsZero() {
			if _, err := t.exec(ctx, `UPDATE starts SET ended = 'killed', ended_at = ?1 WHERE ended IS NULL AND started_at < ?1`, millis(alone)); err != nil {
				return err
			}
		}
		id, err := deploymentOf(ctx, t, p, string(schemas))
		if err != nil {
			return err
		}
		if err := t.row(ctx, `INSERT INTO starts (deployment, command, schema_before, started_at) VALUES (?, ?, ?, ?) RETURNING id`,
			id, command, schema, millis(t.now)).Scan(&start); err != nil {
			return err
		}
		_, err = t.exec(ctx, `DELETE FROM starts WHERE id <= ? - ?`, start, keepStarts)
		return err
	})
	return start, err
}

// deploymentOf returns the last deployment if it is of this program, else a new one.
func deploymentOf(ctx context.Context, t *tx, p Program, schemas string) (id int64, err error) {
	err = t.row(ctx, `SELECT id FROM (SELECT * FROM deployments ORDER BY id DESC LIMIT 1)
		WHERE version = ? AND commit_id = ? AND sha256 = ? AND path = ? AND schemas = ?`,
		p.Version, p.Commit, p.SHA256[:], p.Path, schemas).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = t.row(ctx, `INSERT INTO deployments (version, commit_id, built, sha256, path, schemas, started_at)
			VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			p.Version, p.Commit, p.Built, p.SHA256[:], p.Path, schemas, millis(t.now)).Scan(&id)
	}
	return id, err
}

// Stopped records that a start ended in order.
func (s *Server) Stopped(ctx context.Context, start int64) error {
	return s.write(ctx, "record a stop", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE starts SET ended = 'stopped', ended_at = ? WHERE id = ?`, millis(t.now), start)
		return err
	})
}

// Deployments lists the newest deployments, at most limit, the newest first.
func (s *Server) Deployments(ctx context.Context, limit int) ([]Deployment, error) {
	return view(ctx, s.handle, "list deployments", func(ctx context.Context, q *statements) ([]Deployment, error) {
		return list(ctx, q, scanDeployment, `SELECT d.id, d.version, d.commit_id, d.built, d.sha256, d.path, d.schemas, d.started_at,
			(SELECT count(*) FROM starts WHERE deployment = d.id), `+startColumns+`
			FROM deployments d LEFT JOIN starts s ON s.id = (SELECT max(id) FROM starts WHERE deployment = d.id)
			ORDER BY d.id DESC LIMIT ?`, limit)
	})
}

// Starts lists the newest starts, at most limit, the newest first.
func (s *Server) Starts(ctx context.Context, limit int) ([]Start, error) {
	return view(ctx, s.handle, "list starts", func(ctx context.Context, q *statements) ([]Start, error) {
		return list(ctx, q, func(s scanner) (x Start, err error) {
			err = s.Scan(intoStart(&x)...)
			return x, err
		}, `SELECT `+startColumns+` FROM starts s ORDER BY s.id DESC LIMIT ?`, limit)
	})
}

// The starts of a deployment are forgotten after a while.
const startColumns = `coalesce(s.id, 0), coalesce(s.deployment, 0), coalesce(s.command, ''), coalesce(s.schema_before, 0),
	s.started_at, s.ended_at, coalesce(s.ended, '')`

func intoStart(x *Start) []any {
	return []any{&x.ID, &x.Deployment, &x.Command, &x.Schema, asTime{&x.At}, asTime{&x.EndedAt}, &x.Ended}
}

func scanDeployment(s scanner) (d Deployment, err error) {
	var schemas string
	err = s.Scan(append([]any{&d.ID, &d.Version, &d.Commit, &d.Built, asHash{&d.SHA256}, &d.Path, &schemas, asTime{&d.Since}, &d.Starts}, intoStart(&d.Last)...)...)
	if err == nil {
		err = json.Unmarshal([]byte(schemas), &d.Schemas)
	}
	if err != nil {
		return d, fmt.Errorf("deployment: %w", err)
	}
	return d, nil
}
