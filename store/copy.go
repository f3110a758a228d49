package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keepCopy keeps a copy of the file at path beside it, as "path.v3.bak" for one
// of version 3: whoever goes back to the program that wrote it has its file.
// There is one for good, or none. A copy that is there stays: this one may come
// of a migration that failed in between.
func keepCopy(ctx context.Context, db *sql.DB, path string, version int) error {
	name := fmt.Sprintf("%s.v%d.bak", path, version)
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, tempCopies+"*") // mode 0600; SQLite fills it
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", temp.Name())
	// SQLite has closed it, and has not synced it.
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(dir)
}
