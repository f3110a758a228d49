package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ErrRange means that the archive does not have a file as of the time asked for.
var ErrRange = errors.New("the archive does not go back so far")

// Restore writes a file, as it was at a time, to path, which must not be there; the
// zero time is the newest that there is. It returns the time of the point that it is
// at: what was committed until then is in it, and little else. What it writes is
// whole, checked by SQLite, and synced, or it is an error: [ErrTorn], [ErrRange],
// and [ErrNotFound] if the archive has nothing of the file.
func Restore(ctx context.Context, b Backend, file string, to time.Time, path string) (point time.Time, err error) {
	all, err := generations(ctx, b, file)
	if err != nil {
		return time.Time{}, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return time.Time{}, err
	}
	i, err := newest(ctx, b, file, all, to)
	if err != nil {
		return time.Time{}, err
	}
	if i < 0 && (to.IsZero() || len(all) == 0) {
		return time.Time{}, fmt.Errorf("%w: nothing of %s", ErrNotFound, file)
	}
	if i < 0 {
		return time.Time{}, fmt.Errorf("%w: of %s it has what there was from %s on", ErrRange, file, all[0].from.Format(precise))
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return time.Time{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	last, err := replay(ctx, b, file, all[i], to, f)
	if err == nil && i+1 < len(all) && last.end && !last.at.Equal(to) {
		err = complete(ctx, b, file, all[i], all[i+1], last)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return time.Time{}, err
	}
	if err := check(ctx, path); err != nil {
		return time.Time{}, err
	}
	return last.at, nil
}

// precise is RFC 3339 as exact as the times of objects are.
const precise = "2006-01-02T15:04:05.000Z07:00"

// reached is the object up to which a generation was replayed.
type reached struct {
	link
	at  time.Time
	end bool // there is none behind it
}

// replay writes the pages of a generation up to a time.
func replay(ctx context.Context, b Backend, file string, g generation, to time.Time, f *os.File) (last reached, err error) {
	pageSize := 0
	for n := range g.objects {
		later := false
		err := open(ctx, b, file, g.name, n, func(d *decoder) error {
			if n > 0 && d.Follows != last.link {
				return fmt.Errorf("%w: it follows another than %08d", ErrTorn, n-1)
			}
			if n > 0 && (d.PageSize != pageSize || d.Time.Before(last.at)) {
				return fmt.Errorf("%w: it does not fit to what it follows", ErrTorn)
			}
			if later = !to.IsZero() && d.Time.After(to); later {
				return nil
			}
			pageSize = d.PageSize
			digest, err := d.pages(func(p page) error {
				_, err := f.WriteAt(p.data, int64(p.number-1)*int64(pageSize))
				return err
			})
			if err != nil {
				return err
			}
			last = reached{link{g.name, n, digest}, d.Time, n+1 == g.objects}
			return f.Truncate(int64(d.Size) * int64(pageSize))
		})
		switch {
		case err != nil && n > 0:
			return last, fmt.Errorf("%w (what there was until %s can be restored)", err, last.at.Format(precise))
		case err != nil || later || last.at.Equal(to):
			return last, err
		}
	}
	return last, nil
}

// complete finds out whether a generation that was replayed to its end has lost
// that: the next one names what it follows.
func complete(ctx context.Context, b Backend, file string, g, next generation, last reached) error {
	if err := next.count(ctx, b, file); err != nil || next.objects == 0 {
		return err
	}
	h, err := head(ctx, b, file, next.name, 0)
	if err != nil {
		return err
	}
	if h.Follows.Generation == g.name && h.Follows != last.link {
		return fmt.Errorf("%w: %s is missing", ErrTorn, objectName(file, g.name, h.Follows.Sequence))
	}
	return nil
}

// check has SQLite check a database that was just written.
func check(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, url.Values{"_pragma": {"cache_size(-256)"}}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, `PRAGMA integrity_check(3)`)
	if err != nil {
		return fmt.Errorf("check what was restored: %w: %w", ErrTorn, err)
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		found = append(found, line)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("check what was restored: %w: %w", ErrTorn, err)
	}
	if !slices.Equal(found, []string{"ok"}) {
		return fmt.Errorf("check what was restored: %w: %v", ErrTorn, found)
	}
	return nil
}
