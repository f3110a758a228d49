//go:build linux || darwin || freebsd

package main

import (
	"io/fs"
	"syscall"
)

// ownerOf returns the account that a file belongs to.
func ownerOf(info fs.FileInfo) (uid uint32, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Uid, true
}
