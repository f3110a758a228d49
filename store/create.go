package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// checkFile returns why the file at path can't be opened, if that can be seen from
// outside: [ErrNoFile], or [ErrNotDatabase].
func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNoFile
	case err == nil && info.Size() > 0 && info.Size() < 512:
		// Less than a header. SQLite would take it for an empty database and
		// write over it.
		return ErrNotDatabase
	}
	return err
}

// createFile makes sure that there is a file at path: an empty one of mode
// 0600 if there was none, in a directory of mode 0700 if there was none. An
// existing file or directory keeps the mode its owner gave it. SQLite gives
// the log next to a file the mode of the file.
func createFile(path string) error {
	if err := checkFile(path); !errors.Is(err, ErrNoFile) {
		return err
	}
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return err
	}
	// The file is made under another name and linked to its own. Opened by its
	// own name and closed here, it would lose the locks that another Host of
	// this process may have on it by then (see the package comment).
	temp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(temp.Close(), os.Link(temp.Name(), path))
	if errors.Is(err, fs.ErrExist) {
		err = nil // another process was faster
	}
	return errors.Join(err, os.Remove(temp.Name()), SyncDir(dir))
}

// makeDir is os.MkdirAll, with the new directories' names synced to the disk:
// a committed booking in a directory that a power cut takes away is no good.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncDir syncs the names in a directory to the disk, where that can be done.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // where a directory can't be synced
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
