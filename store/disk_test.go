package store_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// disk is a file system of SQLite's that remembers what would be left after a
// power cut: what was synced, and by chance some of what was written since. It
// passes everything on to the usual one.
type disk struct {
	name string
	lies bool // it forgets to sync, as some disks do

	base, own uintptr // *sqlite3.Tsqlite3_vfs
	keep      []any   // functions that C knows by their address

	mu      sync.Mutex
	files   map[string]*shadow  // by path
	open    map[uintptr]*shadow // by *sqlite3.Tsqlite3_file
	real    map[uintptr]uintptr // a file's methods, by *sqlite3.Tsqlite3_file
	methods map[uintptr]uintptr // ours, by the real ones
}

// shadow is a file as it is on the disk for sure, and what has been done to it
// since then.
type shadow struct {
	synced  []byte
	pending []change
}

// change is a write, or sets the size if it has no data.
type change struct {
	at   int64
	data []byte
}

func (c change) apply(to []byte) []byte {
	end := c.at + int64(len(c.data))
	if c.data == nil {
		return append(to, make([]byte, max(0, c.at-int64(len(to))))...)[:c.at]
	}
	if grow := end - int64(len(to)); grow > 0 {
		to = append(to, make([]byte, grow)...)
	}
	copy(to[c.at:], c.data)
	return to
}

// image writes the files as they may be found after a power cut that comes now.
func (d *disk) image(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, s := range d.files {
		content := append([]byte(nil), s.synced...)
		for _, c := range s.pending {
			if c.data != nil && random.IntN(4) == 0 { // torn, between sectors
				c.data = c.data[:len(c.data)/512*512*random.IntN(8)/8/512*512]
			}
			if random.IntN(2) == 0 {
				content = c.apply(content)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// newDisk registers a disk with SQLite, until the end of the test.
func newDisk(t *testing.T, name string) *disk {
	t.Helper()
	d := &disk{name: name, files: map[string]*shadow{}, open: map[uintptr]*shadow{}, real: map[uintptr]uintptr{}, methods: map[uintptr]uintptr{}}
	tls := libc.NewTLS()
	unix, err := libc.CString("unix")
	if err != nil {
		t.Fatal(err)
	}
	d.base = sqlite3.Xsqlite3_vfs_find(tls, unix)
	d.own = libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	v := at[sqlite3.Tsqlite3_vfs](d.own)
	*v = *at[sqlite3.Tsqlite3_vfs](d.base)
	if v.FzName, err = libc.CString(name); err != nil {
		t.Fatal(err)
	}
	v.FxOpen, v.FxDelete = pointer(d, d.xOpen), pointer(d, d.xDelete)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, d.own, 0); rc != sqlite3.SQLITE_OK {
		t.Fatal(rc)
	}
	t.Cleanup(func() {
		sqlite3.Xsqlite3_vfs_unregister(tls, d.own)
		tls.Close()
	})
	return d
}

// at is what C has at an address.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// function is what C calls a function at an address.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{p})) }

// pointer is the address by which C calls f, as long as d is there.
func pointer[F any](d *disk, f F) uintptr {
	d.keep = append(d.keep, f)
	return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f}))
}

type (
	openFunc   = func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32
	deleteFunc = func(*libc.TLS, uintptr, uintptr, int32) int32
	closeFunc  = func(*libc.TLS, uintptr) int32
	writeFunc  = func(*libc.TLS, uintptr, uintptr, int32, int64) int32
	resizeFunc = func(*libc.TLS, uintptr, int64) int32
	syncFunc   = func(*libc.TLS, uintptr, int32) int32
)

func (d *disk) xOpen(tls *libc.TLS, _, name, file uintptr, flags int32, out uintptr) int32 {
	rc := function[openFunc](at[sqlite3.Tsqlite3_vfs](d.base).FxOpen)(tls, d.base, name, file, flags, out)
	if rc != sqlite3.SQLITE_OK || name == 0 {
		return rc
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	path := libc.GoString(name)
	if d.files[path] == nil {
		d.files[path] = &shadow{}
	}
	f := at[sqlite3.Tsqlite3_file](file)
	d.open[file], d.real[file] = d.files[path], f.FpMethods
	if d.methods[f.FpMethods] == 0 {
		ours := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
		m := at[sqlite3.Tsqlite3_io_methods](ours)
		*m = *at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
		m.FxClose, m.FxWrite = pointer[closeFunc](d, d.xClose), pointer[writeFunc](d, d.xWrite)
		m.FxTruncate, m.FxSync = pointer[resizeFunc](d, d.xTruncate), pointer[syncFunc](d, d.xSync)
		d.methods[f.FpMethods] = ours
	}
	f.FpMethods = d.methods[f.FpMethods]
	return rc
}

func (d *disk) xDelete(tls *libc.TLS, _, name uintptr, syncDir int32) int32 {
	d.mu.Lock()
	delete(d.files, libc.GoString(name))
	d.mu.Unlock()
	return function[deleteFunc](at[sqlite3.Tsqlite3_vfs](d.base).FxDelete)(tls, d.base, name, syncDir)
}

// of returns the real methods of a file, and its shadow with what is done to it.
func (d *disk) of(file uintptr, done func(*shadow)) *sqlite3.Tsqlite3_io_methods {
	d.mu.Lock()
	defer d.mu.Unlock()
	done(d.open[file])
	return at[sqlite3.Tsqlite3_io_methods](d.real[file])
}

func (d *disk) xClose(tls *libc.TLS, file uintptr) int32 {
	m := d.of(file, func(*shadow) {})
	rc := function[closeFunc](m.FxClose)(tls, file)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, file)
	delete(d.real, file)
	return rc
}

func (d *disk) xWrite(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	m := d.of(file, func(s *shadow) {
		s.pending = append(s.pending, change{offset, append([]byte{}, unsafe.Slice(at[byte](data), n)...)})
	})
	return function[writeFunc](m.FxWrite)(tls, file, data, n, offset)
}

func (d *disk) xTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	m := d.of(file, func(s *shadow) { s.pending = append(s.pending, change{at: size}) })
	return function[resizeFunc](m.FxTruncate)(tls, file, size)
}

func (d *disk) xSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	m := d.of(file, func(s *shadow) {
		if d.lies {
			return
		}
		for _, c := range s.pending {
			s.synced = c.apply(s.synced)
		}
		s.pending = nil
	})
	return function[syncFunc](m.FxSync)(tls, file, flags)
}
