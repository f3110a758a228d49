package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/events-concierge/concierge/server/admin"
	"github.com/events-concierge/concierge/store/secrets"
)

// configuration finds what 'serve' would refuse before it does anything.
func (d *doctor) configuration() (all []finding) {
	o := &d.serve
	for _, err := range causes(o.valid()) {
		all = append(all, failed("configuration", err.Error(), "'concierge serve' does not start with it: change the flag, its variable, or its key in concierge.toml"))
	}
	if len(all) == 0 {
		all = append(all, fine("configuration", "network "+o.network.name+", data "+o.hosts.data))
	}
	if o.network.name == onBase && o.publicURL == "" {
		all = append(all, warning("configuration", "there is no --public-url", "set it to the https address that clients use; else it is what each request says"))
	}
	return all
}

// causes returns the errors that were joined.
func causes(err error) (all []error) {
	joined, is := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !is:
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		all = append(all, causes(e)...)
	}
	return all
}

// maxWalked bounds the files whose owner is looked at.
const maxWalked = 20_000

// directory finds who else can get at the data directory, and what its owner can't.
func (d *doctor) directory() (all []finding) {
	data := d.serve.hosts.data
	for _, f := range []struct {
		path string
		mode os.FileMode
		holy bool
	}{{data, 0o700, false}, {filepath.Join(data, "secret.key"), 0o600, true}, {filepath.Join(data, "server.db"), 0o600, false},
		{filepath.Join(data, "secrets"), 0o700, true}} {
		for _, p := range secrets.Private(f.path, f.mode) {
			says, advice, _ := strings.Cut(p.Advice, ": run ")
			if f.holy || p.Refuse {
				all = append(all, failed("permissions", says, "run "+advice))
			} else {
				all = append(all, warning("permissions", says, "run "+advice))
			}
		}
	}
	if name, err := os.ReadFile(filepath.Join(data, "network")); err == nil && strings.TrimSpace(string(name)) != d.serve.network.name {
		all = append(all, failed("data", fmt.Sprintf("it has the books of network %q, not of %q", strings.TrimSpace(string(name)), d.serve.network.name),
			"choose another --data, or another --network: play money and real money must not meet"))
	}
	foreign, err := foreignFiles(data)
	switch {
	case err != nil:
		all = append(all, failed("permissions", "the files can't be looked at: "+err.Error(), "run this as the account that the server runs as"))
	case foreign != "":
		all = append(all, failed("permissions", foreign+" belongs to another account than "+data+": the server may not be able to open it",
			"run 'chown -R --reference="+data+" "+data+"', and commands on it as the server's account"))
	case len(all) == 0:
		all = append(all, fine("permissions", data+" is its owner's alone"))
	}
	return all
}

// foreignFiles returns a file that does not belong to the owner of its directory, ""
// if there is none.
func foreignFiles(data string) (found string, err error) {
	info, err := os.Stat(data)
	if err != nil {
		return "", err
	}
	owner, ok := ownerOf(info)
	if !ok {
		return "", nil
	}
	walked := 0
	err = filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a server is at work
			return nil
		}
		if err != nil {
			return err
		}
		if walked++; walked > maxWalked {
			return fs.SkipAll
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		if other, _ := ownerOf(info); other != owner {
			found = path
			return fs.SkipAll
		}
		return nil
	})
	return found, err
}

// Bounds of a disk.
const (
	roomFailed  = 200 << 20 // the log of one Host's file may have 64 MB, and an index is rebuilt
	roomWarning = 2 << 30
	syncWarning = 100 * time.Millisecond
)

// disk looks for room, and how long it takes until something is on the disk.
func (d *doctor) disk() finding {
	data := d.serve.hosts.data
	free, total, err := d.room(data)
	told := ""
	switch {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		return failed("disk", "its room can't be found out: "+err.Error(), "see that "+data+" can be read")
	default:
		told = fmt.Sprintf("%s of %s free, ", sizeOf(free), sizeOf(total))
	}
	if told != "" && free < roomFailed {
		return failed("disk", strings.TrimSuffix(told, ", "), "make room, or move "+data+" to a larger disk: bookings fail when it is full")
	}
	took, err := syncTime(data)
	if err != nil {
		return failed("disk", "nothing can be written: "+err.Error(), "run this as the server's account; or the disk is full or read-only")
	}
	told += fmt.Sprintf("a write is on it in %s", short(took))
	switch {
	case strings.Contains(told, "free") && free < roomWarning:
		return warning("disk", told, "make room soon: bookings fail when it is full")
	case took > syncWarning:
		return warning("disk", told, "every booking waits for that: use a faster disk if it stays so")
	}
	return fine("disk", told)
}

// syncTime writes a file, measures how long it takes until it is on the disk, and
// removes it.
func syncTime(dir string) (took time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	for range 3 { // the best of them: others use the disk, too
		start := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		if t := time.Since(start); took == 0 || t < took {
			took = t
		}
	}
	return took, nil
}

// sizeOf writes a number of bytes for people.
func sizeOf(n uint64) string {
	for _, unit := range []struct {
		size uint64
		name string
	}{{1 << 40, "TB"}, {1 << 30, "GB"}, {1 << 20, "MB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d KB", n>>10)
}

// running tells of the server on the directory, if there is one.
func (d *doctor) running(ctx context.Context) []finding {
	c, err := admin.NewClient(d.serve.hosts.data)
	if err != nil {
		return []finding{failed("server", err.Error(), "see --data")}
	}
	s, err := c.Status(ctx)
	switch {
	case errors.Is(err, admin.ErrNoServer):
		return []finding{fine("server", "none is running on this directory")}
	case err != nil:
		return []finding{failed("server", "it does not answer: "+err.Error(), "look at its log; restart it if it hangs")}
	case s.Network != d.serve.network.name:
		return []finding{failed("server", fmt.Sprintf("process %d serves network %s, not %s", s.PID, s.Network, d.serve.network.name),
			"run doctor with the server's own --network and configuration")}
	case s.Version != versionName():
		return []finding{warning("server", fmt.Sprintf("process %d is version %s, this program %s", s.PID, s.Version, versionName()),
			"restart it, to have what was installed in use")}
	}
	return []finding{fine("server", fmt.Sprintf("process %d, version %s, since %s, at %s", s.PID, s.Version, s.Started.Format(time.RFC3339), s.Addr))}
}
