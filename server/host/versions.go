package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/events-concierge/concierge/store"
)

// Versions are the versions of the schemas of a data directory's files.
type Versions struct {
	Server, CurrentServer int
	Hosts                 map[int]int // how many files have a version
	CurrentHost           int
	Failed                []FailedFile
}

// FailedFile is a file of a Host, or the server's, that can't be used.
type FailedFile struct {
	User string // "" for the server's file
	Err  error
}

// ReadVersions reads the versions of all files below a data directory, and
// changes none. It must not be called in a process that has opened the
// directory.
func ReadVersions(ctx context.Context, dir string) (v Versions, err error) {
	v.Hosts = map[int]int{}
	if v.Server, v.CurrentServer, err = store.ServerVersion(ctx, filepath.Join(dir, "server.db")); err != nil {
		v.Failed = append(v.Failed, FailedFile{Err: err})
	}
	err = filepath.WalkDir(filepath.Join(dir, "hosts"), func(path string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil { // there is no d then
			return err
		}
		user, is := strings.CutSuffix(d.Name(), ".db")
		if !is || d.IsDir() {
			return nil
		}
		version, current, err := store.HostVersion(ctx, path)
		v.CurrentHost = current
		if err != nil {
			v.Failed = append(v.Failed, FailedFile{User: user, Err: err})
			return nil
		}
		v.Hosts[version]++
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) { // nobody has a Host yet
		err = nil
	}
	if err != nil {
		return v, fmt.Errorf("read the versions of %s: %w", dir, err)
	}
	return v, nil
}
