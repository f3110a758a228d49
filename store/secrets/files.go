package secrets

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// replace writes a file of mode 0600 in one step: whoever reads it, also after a
// crash, finds all of the old or all of the new.
func replace(path string, content []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), temporary+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return err
	}
	// It is there; that the folder can't be synced changes nothing about that.
	if syncErr := syncDir(filepath.Dir(path)); syncErr != nil {
		return fmt.Errorf("%s is written, but may be lost if the machine fails now: %w", path, syncErr)
	}
	return nil
}

// syncDir makes what was created, renamed or removed in a folder last.
func syncDir(path string) error {
	if runtime.GOOS == "windows" { // where a folder can't be
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readBounded reads a file of at most a size.
func readBounded(path string, size int64) (_ []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err := io.ReadAll(io.LimitReader(f, size+1))
	if err == nil && int64(len(content)) > size {
		return nil, fmt.Errorf("%s is too long: want at most %d bytes", path, size)
	}
	return content, err
}

// A Finding is something about files that their owner should change.
type Finding struct {
	Path   string
	Refuse bool   // they are not used as they are
	Advice string // what is wrong, and the command that mends it
}

// Private finds out whether others can get at a file or folder. A path that is not
// there is fine. That others can write it is a reason to refuse it: they might have
// put there what is in it.
func Private(path string, want os.FileMode) []Finding {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" {
		return nil
	}
	mode := info.Mode().Perm()
	mend := fmt.Sprintf("(mode %04o): run 'chmod %o %s'", mode, want, path)
	switch {
	case mode&0o022 != 0 && info.Mode()&os.ModeSticky == 0:
		return []Finding{{path, true, "others can write " + path + " " + mend}}
	case mode&0o077 != 0:
		return []Finding{{path, false, "others can read " + path + " " + mend}}
	}
	return nil
}
