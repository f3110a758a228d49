// Package secrets keeps the secrets of a server encrypted, one file each, in a folder
// of its data directory: passwords and API keys, not the keys of Hosts' wallets, which
// are in their own files.
//
//	secrets/NAME.age   mode 0600 in a folder of 0700; a file of age (age-encryption.org/v1)
//	secrets/.lock      taken by who writes
//
// The [Key] that opens them is elsewhere: in a [File], a [Credential] of systemd, or a
// keyring. What is read is a [Value], which shows itself to nobody. Start at [Store].
// Which secrets there are, and that a variable of the environment goes before a stored
// one, is the command's affair.
package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/gofrs/flock"
)

// MaxValue is how long a secret may be, in bytes.
const MaxValue = 64 << 10

// Errors of [Store].
var (
	ErrName     = errors.New("a secret's name has small letters and digits, with a - between words, and at most 64 of them")
	ErrNotFound = errors.New("no such secret is stored")
	ErrEmpty    = errors.New("an empty secret is none")
	ErrTooLong  = fmt.Errorf("a secret has at most %d bytes", MaxValue)
	// ErrLocked is that the key is not that of a stored secret, or its file is damaged.
	ErrLocked = errors.New("the key does not open it: it was put with another key, or its file is damaged")
)

const (
	suffix    = ".age"
	lockFile  = ".lock"
	temporary = ".writing-" // begins the names of files that are not complete yet
	// maxFile is more than age makes of the longest secret.
	maxFile = MaxValue + 4<<10
	// patience is how long another process may take to write.
	patience = 10 * time.Second
)

// Store is the folder with the secrets. It need not be there.
type Store struct{ dir string }

// In returns the Store of a data directory.
func In(data string) *Store { return &Store{filepath.Join(data, "secrets")} }

// Dir is the folder.
func (s *Store) Dir() string { return s.dir }

// An Entry is what everybody who can see the folder may know about a secret.
type Entry struct {
	Name string
	Put  time.Time
}

// List returns what is stored, in the order of names.
func (s *Store) List() ([]Entry, error) {
	files, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), suffix)
		if !ok || !ValidName(name) || !f.Type().IsRegular() {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, os.ErrNotExist) { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Entry{name, info.ModTime()})
	}
	return all, nil
}

// Check finds what is wrong with who can get at the folder and the files in it.
func (s *Store) Check() []Finding {
	found := Private(s.dir, 0o700)
	entries, err := s.List()
	if err != nil {
		return append(found, Finding{s.dir, true, err.Error()})
	}
	for _, e := range entries {
		found = append(found, Private(s.path(e.Name), 0o600)...)
	}
	return found
}

// usable fails if others can write what is in the folder.
func (s *Store) usable() error {
	for _, f := range s.Check() {
		if f.Refuse {
			return errors.New(f.Advice)
		}
	}
	return nil
}

// Get returns a secret. Errors: [ErrName], [ErrNotFound], [ErrLocked].
func (s *Store) Get(name string, k Key) (Value, error) {
	if !ValidName(name) {
		return Value{}, ErrName
	}
	if err := s.usable(); err != nil {
		return Value{}, err
	}
	return s.get(name, k)
}

func (s *Store) get(name string, k Key) (Value, error) {
	sealed, err := readBounded(s.path(name), maxFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Value{}, fmt.Errorf("%w: %s", ErrNotFound, name)
	case err != nil:
		return Value{}, err
	}
	v, err := open(sealed, name, k)
	if err != nil {
		return Value{}, fmt.Errorf("secret %s: %w", name, err)
	}
	return v, nil
}

// Put stores a secret, in place of one that was there. The key is loaded while nobody
// else writes, so that none is locked with one that is being changed. Errors:
// [ErrName], [ErrEmpty], [ErrTooLong], and those of the Keeper.
func (s *Store) Put(ctx context.Context, name string, v Value, from Keeper) error {
	switch {
	case !ValidName(name):
		return ErrName
	case v.IsZero():
		return ErrEmpty
	case len(v.text) > MaxValue:
		return ErrTooLong
	}
	return s.alone(ctx, func() error {
		k, err := from.Load()
		if err != nil {
			return err
		}
		return s.put(name, v, k)
	})
}

func (s *Store) put(name string, v Value, k Key) error {
	sealed, err := seal(name, v, k)
	if err != nil {
		return fmt.Errorf("secret %s: %w", name, err)
	}
	return replace(s.path(name), sealed)
}

// Delete deletes a secret. Errors: [ErrName], [ErrNotFound].
func (s *Store) Delete(ctx context.Context, name string) error {
	if !ValidName(name) {
		return ErrName
	}
	if _, err := os.Stat(s.path(name)); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return s.alone(ctx, func() error {
		err := os.Remove(s.path(name))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %s", ErrNotFound, name)
		}
		return errors.Join(err, syncDir(s.dir))
	})
}

// alone makes the folder, and does something while nobody else writes in it.
func (s *Store) alone(ctx context.Context, do func() error) (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := s.usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lock := flock.New(filepath.Join(s.dir, lockFile), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return fmt.Errorf("another process writes secrets: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := s.sweep(); err != nil {
		return err
	}
	return do()
}

// sweep removes what writers left that were killed.
func (s *Store) sweep() error {
	left, err := filepath.Glob(filepath.Join(s.dir, temporary+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name+suffix) }

// ValidName reports whether a secret may have a name.
func ValidName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '-' || name[len(name)-1] == '-' || strings.Contains(name, "--") {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// head begins what is encrypted. The name is in it, so that a file under another's
// name is of no use: who can write files could else have a password sent elsewhere.
func head(name string) string { return "concierge-secret/1 " + name + "\n" }

func seal(name string, v Value, k Key) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, k.recipient())
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(w, head(name)+v.text)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

// open decrypts a stored file. Errors: [ErrLocked].
func open(sealed []byte, name string, k Key) (Value, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), k.all()...)
	if err != nil {
		return Value{}, ErrLocked
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return Value{}, ErrLocked
	}
	text, ok := strings.CutPrefix(string(plain), head(name))
	switch {
	case !ok:
		return Value{}, fmt.Errorf("%w (what is in it was not put under this name)", ErrLocked)
	case text == "":
		return Value{}, ErrEmpty
	case len(text) > MaxValue:
		return Value{}, ErrTooLong
	}
	return Value{text}, nil
}
