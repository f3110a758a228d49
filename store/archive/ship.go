package archive

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"
	"time"
)

// segment archives what a part of the log has changed.
func (v *visit) segment(ctx context.Context, st state, now stamp, log *wal, from place, new changes, at time.Time) error {
	new.inside()
	h := header{
		Format: format, File: v.file, Generation: st.Last.Generation, Sequence: st.Last.Sequence + 1, Time: at, Follows: st.Last,
		PageSize: log.pageSize, Pages: len(new.frames), Size: new.size,
		Log: span{Salt: from.Salt, From: from.Frame, To: new.to.Frame},
	}
	st.Log, st.Stamp = new.to, now
	return v.put(ctx, h, st, func(w io.Writer) (string, error) { return encode(v.z, w, h, log.read(new)) })
}

// base begins a generation. Its pages are those of a read transaction that begins
// after the place in the log that its segments go on from: what both have is the
// same, or newer in the segment.
func (v *visit) base(ctx context.Context, st state, now stamp, log *wal, at time.Time) error {
	var id [4]byte
	if _, err := io.ReadFull(v.Rand, id[:]); err != nil {
		return err
	}
	h := header{Format: format, File: v.file, Generation: at.Format(generationTime) + "-" + hex.EncodeToString(id[:]), Time: at, Follows: st.Last}
	st = state{Base: at, Stamp: now}
	if log != nil {
		c, err := log.since(log.start)
		if err != nil {
			return err
		}
		st.Log = c.to
	}
	db, err := sql.Open("sqlite", dsn(v.path, url.Values{"mode": {"ro"}, "_busy_timeout": {"10000"}, "_pragma": {"cache_size(-256)"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := tx.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&h.Size); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, `PRAGMA page_size`).Scan(&h.PageSize); err != nil {
		return err
	}
	if h.Size == 0 {
		return nil // nothing was ever written to it
	}
	h.Pages = int(h.Size)
	rows, err := tx.QueryContext(ctx, `SELECT pgno, data FROM sqlite_dbpage ORDER BY pgno`)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := v.put(ctx, h, st, func(w io.Writer) (string, error) { return encode(v.z, w, h, databasePages(rows)) }); err != nil {
		return err
	}
	if err := prune(ctx, v.To, v.file, at.Add(-v.Keep)); err != nil {
		v.Log.Warn("what is too old to be kept could not be removed", "file", v.file, "err", err)
	}
	return nil
}

func databasePages(rows *sql.Rows) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		var data sql.RawBytes
		for p := (page{}); rows.Next(); {
			err := rows.Scan(&p.number, &data)
			p.data = data
			if !yield(p, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(page{}, err)
		}
	}
}

// generationTime is the form in which a generation is named by its beginning, so
// that names sort as times do.
const generationTime = "20060102T150405.000Z"

func objectName(file, generation string, sequence int) string {
	return fmt.Sprintf("%s/%s/%08d", file, generation, sequence)
}

// begun is when a generation began; ok is false for a name that is none.
func begun(generation string) (t time.Time, ok bool) {
	stamp, id, _ := strings.Cut(generation, "-")
	t, err := time.Parse(generationTime, stamp)
	return t, err == nil && len(id) == 8
}
