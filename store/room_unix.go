//go:build unix

package store

import (
	"math"
	"syscall"
)

// DescriptorLimit is how many descriptors the process may have; 0: nobody knows.
func DescriptorLimit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}
