package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"
)

// tempCopies is how the name of a copy begins that is being made.
const tempCopies = ".copy-"

// unfinishedFor is how old one must be for it to be clear that nobody makes it any
// more.
const unfinishedFor = 24 * time.Hour

// DropOldCopies removes the copies from before migrations ("ID.db.v3.bak") that were
// made before a time, and what killed processes have left of copies, in a directory and
// those in it. It returns how many copies that were. One whose file is gone stays: who
// has moved the file may be about to put the copy in its place.
func DropOldCopies(ctx context.Context, dir string, before, now time.Time) (n int, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer func() { _ = root.Close() }()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && d != nil: // it has gone meanwhile
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !d.Type().IsRegular():
			return nil
		}
		old := before
		of, isCopy := copyIn(path)
		switch {
		case isCopy:
			if _, err := root.Lstat(of); err != nil {
				return nil
			}
		case strings.HasPrefix(d.Name(), tempCopies):
			old = now.Add(-unfinishedFor)
		default:
			return nil
		}
		if info, err := d.Info(); err != nil || !info.ModTime().Before(old) {
			return nil // what has gone is gone
		}
		switch err := root.Remove(path); {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case isCopy:
			n++
		}
		return nil
	})
	return n, err
}

// copyIn returns the path of the file that a path is the copy of.
func copyIn(path string) (of string, ok bool) {
	end := strings.LastIndex(path, ".db.v")
	if end < 0 {
		return "", false
	}
	of = path[:end+len(".db")]
	_, ok = copyOf(of, path)
	return of, ok
}
