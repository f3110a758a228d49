package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// loadSecret reads the server's secret, and makes it at the first start. Of
// two processes that start at once one makes it and both read the same.
func loadSecret(dir string, rand io.Reader) ([]byte, error) {
	path := filepath.Join(dir, secretFile)
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(dir, rand); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		secret, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	if len(secret) != 32 {
		return nil, fmt.Errorf("%s has %d bytes, want 32: it is damaged; restore it from a backup, for users are named by it", path, len(secret))
	}
	return secret, nil
}

func makeSecret(dir string, rand io.Reader) error {
	path := filepath.Join(dir, secretFile)
	// The secret is always there before the users are. Where they are without it,
	// it was lost (or is being made by another process, which had to come first).
	if _, err := os.Stat(filepath.Join(dir, serverFile)); err == nil {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing, but there are users: restore it from a backup, for users are named by it", path)
		}
	}
	var secret [32]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		return err
	}
	return writeNew(path, secret[:])
}

// claimNetwork makes a data directory belong to a network, or finds that it
// belongs to another.
func claimNetwork(path, network string) error {
	if network == "" {
		return nil
	}
	if err := writeNew(path, []byte(network+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("data directory: %w", err)
	}
	owner, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if got := strings.TrimSpace(string(owner)); got != network {
		return fmt.Errorf("the data directory %s has the books of network %q, not of %q: choose another with --data", filepath.Dir(path), got, network)
	}
	return nil
}

// writeNew writes a file whole or not at all, and never over another.
func writeNew(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}
