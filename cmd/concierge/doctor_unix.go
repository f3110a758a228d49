//go:build linux || darwin || freebsd

package main

import (
	"io/fs"
	"syscall"
)

// roomOn returns how many bytes of the disk at a directory are free for this account,
// and how many it has.
func roomOn(dir string) (free, total uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return uint64(max(s.Bavail, 0)) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize), nil // #nosec G115 -- a block has no size below zero
}

// ownerOf returns the account that a file belongs to.
func ownerOf(info fs.FileInfo) (uid uint32, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Uid, true
}
