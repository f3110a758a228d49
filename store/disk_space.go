//go:build linux || darwin || freebsd

package store

import "syscall"

// DiskSpace returns how many bytes of the disk of a directory are left for this
// process, and how many it has. Errors: [errors.ErrUnsupported] where nobody knows.
func DiskSpace(dir string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return uint64(max(s.Bavail, 0)) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize), nil // #nosec G115 -- a block has no size below zero
}
