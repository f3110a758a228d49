//go:build linux || darwin || freebsd

package store

import "syscall"

// DiskSpace returns how many bytes of the disk of a directory are left for this
// process, and how many it has; ok is false where nobody knows.
func DiskSpace(dir string) (free, size int64, ok bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, false
	}
	block := int64(s.Bsize)
	return int64(s.Bavail) * block, int64(s.Blocks) * block, true // #nosec G115 -- no disk has that many bytes
}
