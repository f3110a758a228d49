package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Dir keeps objects as files below a directory. What is private in a data
// directory is so here: directories are made with mode 0700, files with 0600.
type Dir struct{ root string }

// NewDir returns the Dir below root, which is made when something is put there.
// What processes that died have left half-written is removed after a day.
func NewDir(root string) (*Dir, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	halves, err := filepath.Glob(filepath.Join(root, half+"*"))
	for _, path := range halves {
		if info, statErr := os.Stat(path); statErr == nil && time.Since(info.ModTime()) > 24*time.Hour {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return &Dir{root}, err
}

// half is what the names of files begin with that are being written.
const half = ".new-"

// String names it.
func (d *Dir) String() string { return d.root }

func (d *Dir) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// Put implements [Backend].
func (d *Dir) Put(ctx context.Context, name string, write func(io.Writer) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := d.path(name)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	if err := makeDir(d.root); err != nil {
		return err
	}
	temp, err := os.CreateTemp(d.root, half+"*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(temp.Name())) }()
	if err := errors.Join(write(temp), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	// By a link, for that never takes the place of another.
	if err := os.Link(temp.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, name)
	} else if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Get implements [Backend].
func (d *Dir) Get(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return f, err
}

// List implements [Backend].
func (d *Dir) List(ctx context.Context, prefix string) (names []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(d.path(prefix)); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, nil
	}
	entries, err := os.ReadDir(d.path(prefix))
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), "."): // half-written, or none of ours
		case e.IsDir():
			names = append(names, e.Name()+"/")
		default:
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// Delete implements [Backend]. Directories that have become empty go too.
func (d *Dir) Delete(_ context.Context, name string) error {
	path := d.path(name)
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for path = filepath.Dir(path); path != d.root; path = filepath.Dir(path) {
		if os.Remove(path) != nil { // not empty
			return syncDir(path)
		}
	}
	return nil
}

// makeDir is os.MkdirAll, with the new names synced to the disk.
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
	return syncDir(parent)
}

func syncDir(dir string) error {
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
