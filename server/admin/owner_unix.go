//go:build unix

package admin

import (
	"io/fs"
	"os"
	"syscall"
)

// ours reports whether a file belongs to this account.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
