package store

import (
	"errors"
	"fmt"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Each connection of SQLite has a room of its own for what it needs for moments. By
// itself it has 48 KB, all in memory from the beginning. A call needs a tenth of
// that, and with hundreds of files open it was a fifth of what they took.
const (
	roomSlot  = 1200 // bytes; SQLite divides some of them into smaller ones
	roomSlots = 10
)

// TuneMemory sets SQLite up for a process that has many files open. Call it before
// the first is opened: later it changes nothing.
func TuneMemory() error {
	tls := libc.NewTLS()
	defer tls.Close()
	list := libc.Xmalloc(tls, 16)
	if list == 0 {
		return errors.New("set up SQLite: no memory")
	}
	defer libc.Xfree(tls, list)
	rc := sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_LOOKASIDE, libc.VaList(list, int32(roomSlot), int32(roomSlots)))
	if rc != sqlite3.SQLITE_OK && rc != sqlite3.SQLITE_MISUSE { // that is: later
		return fmt.Errorf("set up SQLite: error %d", rc)
	}
	return nil
}
