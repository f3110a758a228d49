package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// socketFile is the socket's name in a data directory.
const socketFile = "admin.sock"

// longest is how long the path of a socket may be: macOS has room for 104 bytes, and
// an end of its name is wanted while it is made.
const longest = 96

// ErrTaken means that another server on the data directory has the socket.
var ErrTaken = errors.New("another server on this data directory has the admin socket")

// SocketPath returns where the socket of a data directory is: in it, or, if that path
// is too long for a socket, in a private folder named after it below os.TempDir.
func SocketPath(data string) (string, error) {
	path, _, err := socketPath(data)
	return path, err
}

// socketPath is SocketPath; elsewhere says that it is not in the data directory.
func socketPath(data string) (path string, elsewhere bool, err error) {
	dir, err := filepath.Abs(data)
	if err != nil {
		return "", false, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if path := filepath.Join(dir, socketFile); len(path) <= longest {
		return path, false, nil
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(os.TempDir(), "concierge-"+hex.EncodeToString(sum[:8]), socketFile), true, nil
}

// Listen makes the socket of a data directory, for this account alone. One that a
// dead server has left is replaced; one at which somebody answers is too if it is
// handed over, else it is [ErrTaken]: who listened there stays until it closes, and
// is found by nobody new.
func Listen(ctx context.Context, data string, handedOver bool) (net.Listener, error) {
	path, elsewhere, err := socketPath(data)
	if err == nil && elsewhere {
		err = private(filepath.Dir(path))
	}
	if err != nil {
		return nil, err
	}
	if !handedOver && answers(ctx, path) {
		return nil, ErrTaken
	}
	// It gets its name when nobody else can connect to it any more.
	early := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(early); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: early, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	made, err := os.Lstat(early)
	if err == nil {
		err = os.Chmod(early, 0o600)
	}
	if err == nil {
		err = os.Rename(early, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close(), os.Remove(early))
	}
	return &listener{Listener: l, path: path, made: made}, nil
}

// listener takes the socket's file away with it, if it is still its own.
type listener struct {
	net.Listener
	path string
	made fs.FileInfo
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
		_ = os.Remove(l.path) // what is left is replaced by the next
	}
	return l.Listener.Close()
}

// answers reports whether somebody listens at a socket.
func answers(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// private makes a folder for this account alone, or makes sure that it is: below
// os.TempDir anybody may have made it.
func private(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir() || !ours(info):
		return fmt.Errorf("admin socket: %s belongs to somebody else: remove it, or choose a data directory with a shorter path", dir)
	}
	return os.Chmod(dir, 0o700) // #nosec G302 -- a directory
}
