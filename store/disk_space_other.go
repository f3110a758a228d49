//go:build !linux && !darwin && !freebsd

package store

import "errors"

// DiskSpace returns how many bytes of the disk of a directory are left for this
// process, and how many it has. Errors: [errors.ErrUnsupported] where nobody knows.
func DiskSpace(string) (free, size uint64, err error) { return 0, 0, errors.ErrUnsupported }
