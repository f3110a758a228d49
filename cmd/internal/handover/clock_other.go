//go:build !linux

package handover

// monotonic is asked for by nobody on this system.
func monotonic() (usec int64, ok bool) { return 0, false }
