package store

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// Stamp tells the states of a file apart without opening it: a change by this
// process or another makes a new one.
type Stamp struct {
	log      bool // of the write-ahead log, where every change comes first
	modified int64
	size     int64
}

// tick is longer than the clock of any file system takes from one time to the
// next: what was modified less than that ago may be modified again without a new
// stamp.
const tick = 100 * time.Millisecond

// State is a text that tells the states of a file apart without opening it, for
// being kept: it is the same when the file was opened and closed meanwhile, and not
// written to. Without a file it is empty. settled is as with [Host.Stamp].
func (h *Host) State() (state string, settled bool) {
	info, err := os.Stat(h.path)
	if err != nil {
		return "", false
	}
	last := info.ModTime()
	state = fmt.Sprintf("%d.%d", last.UnixNano(), info.Size())
	if log, err := os.Stat(h.path + "-wal"); err == nil && log.Size() > 0 {
		state += fmt.Sprintf("-%d.%d", log.ModTime().UnixNano(), log.Size())
		if log.ModTime().After(last) {
			last = log.ModTime()
		}
	}
	return state, time.Since(last) > tick && runtime.GOOS != "windows"
}

// Stamp returns the file's stamp, and whether it is settled: then whatever is
// read from now on is of this stamp for as long as the file has it. Without a file
// the stamp is zero.
func (h *Host) Stamp() (s Stamp, settled bool) {
	info, err := os.Stat(h.path + "-wal")
	s.log = err == nil && info.Size() > 0 // an empty one comes and goes with whoever has the file open
	if !s.log {
		if info, err = os.Stat(h.path); err != nil {
			return Stamp{}, false
		}
	}
	s.modified, s.size = info.ModTime().UnixNano(), info.Size()
	// The system's clock, for it is the system that dates files. Windows dates
	// them when they are closed, which is too late.
	return s, time.Since(info.ModTime()) > tick && runtime.GOOS != "windows"
}
