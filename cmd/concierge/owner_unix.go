//go:build unix

package main

import (
	"os"
	"syscall"
)

// sameOwner refuses to have root write files into somebody else's data directory:
// the server there could not read them.
func sameOwner(data string) error {
	info, err := os.Stat(data)
	if err != nil {
		return nil // it is made
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if me := os.Geteuid(); ok && me == 0 && stat.Uid != 0 {
		return misuse("%s belongs to user %d, who could not read what root writes there: run it as that user ('sudo -u \"#%d\" concierge …')", data, stat.Uid, stat.Uid)
	}
	return nil
}
