package secrets

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"filippo.io/age"
)

// Errors about keys.
var (
	// ErrNoKey is that there is no key where one is looked for.
	ErrNoKey = errors.New("no key for the stored secrets")
	// ErrKeyExists is that a new key would take the place of another.
	ErrKeyExists = errors.New("there is a key already")
)

// maxKeyFile is more than a file of keys and comments has.
const maxKeyFile = 16 << 10

// Key opens what is stored, and locks what is put: an X25519 identity of age, as
// age-keygen makes it. While keys are changed ([Store.Rekey]) it is two, the newer
// one first. It prints as [redacted].
type Key struct{ identities []*age.X25519Identity }

// NewKey makes a key. Its randomness is the system's: age takes no other.
func NewKey() (Key, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return Key{}, fmt.Errorf("new key: %w", err)
	}
	return Key{[]*age.X25519Identity{id}}, nil
}

// ParseKey reads a key as [Key.Text] writes it: one AGE-SECRET-KEY-1… a line, at most
// two, between empty lines and comments. No error tells any of it.
func ParseKey(text string) (Key, error) {
	if len(text) > maxKeyFile {
		return Key{}, errors.New("want a file of age-keygen: this is too long for one")
	}
	var k Key
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		id, err := age.ParseX25519Identity(line)
		if err != nil { // which may quote it
			return Key{}, errors.New("want a line that begins with AGE-SECRET-KEY-1, as age-keygen and 'concierge secret key' make it")
		}
		k.identities = append(k.identities, id)
	}
	switch n := len(k.identities); {
	case n == 0:
		return Key{}, errors.New("there is no key in it: want a line that begins with AGE-SECRET-KEY-1")
	case n > 2:
		return Key{}, fmt.Errorf("there are %d keys in it: want one, or two while they are changed", n)
	}
	return k, nil
}

// Text is the key in the format of age-keygen.
func (k Key) Text() Value {
	var b strings.Builder
	b.WriteString("# The key of the secrets of a Concierge server. Who has it and the data directory has them.\n")
	for _, id := range k.identities {
		b.WriteString(id.String() + "\n")
	}
	return NewValue(b.String())
}

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return len(k.identities) == 0 }

// Format implements [fmt.Formatter].
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler], for slog and JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// changing reports whether a change of keys was broken off.
func (k Key) changing() bool { return len(k.identities) > 1 }

func (k Key) recipient() age.Recipient { return k.identities[0].Recipient() }

func (k Key) all() []age.Identity {
	var all []age.Identity
	for _, id := range k.identities {
		all = append(all, id)
	}
	return all
}

// Keeper is where a key is kept: a [File], or a keyring.
type Keeper interface {
	// Load returns the key. Errors: [ErrNoKey].
	Load() (Key, error)
	// Save writes the key over the one that was there; the one or the other is kept,
	// whatever happens.
	Save(Key) error
}

// File keeps a key in a file that nobody else may read.
type File string

// Load implements [Keeper]. It refuses a file that others can read.
func (f File) Load() (Key, error) {
	info, err := os.Stat(string(f))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Key{}, fmt.Errorf("%w: there is no file %s; 'concierge secret key %s' makes one", ErrNoKey, f, f)
	case err != nil:
		return Key{}, err
	case !info.Mode().IsRegular():
		return Key{}, fmt.Errorf("the key %s is not a regular file", f)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return Key{}, fmt.Errorf("others can read the key %s (mode %04o): run 'chmod 600 %s', and change the key if they did ('concierge secret rekey')", f, mode, f)
	}
	return readKey(string(f))
}

// Save implements [Keeper].
func (f File) Save(k Key) error { return replace(string(f), []byte(k.Text().Reveal())) }

// Create writes a key to a file that is not there yet. Errors: [ErrKeyExists].
func (f File) Create(k Key) error {
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o700); err != nil {
		return err
	}
	to, err := os.OpenFile(string(f), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s; none is ever overwritten", ErrKeyExists, f)
	}
	if err != nil {
		return err
	}
	_, err = to.WriteString(k.Text().Reveal())
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return errors.Join(err, os.Remove(string(f)))
	}
	return syncDir(filepath.Dir(string(f)))
}

// Credential is a key that systemd hands to a service (LoadCredential=): a file that
// it alone reads, whatever its mode shows, and that can't be written.
type Credential string

// Load implements [Keeper].
func (c Credential) Load() (Key, error) {
	k, err := readKey(string(c))
	if errors.Is(err, os.ErrNotExist) {
		return Key{}, fmt.Errorf("%w: there is no credential %s", ErrNoKey, c)
	}
	return k, err
}

// Save implements [Keeper]: it fails.
func (c Credential) Save(Key) error {
	return errors.New("systemd's credential can't be written: name the file that it is loaded from with --secrets-key-file")
}

func readKey(path string) (Key, error) {
	text, err := readBounded(path, maxKeyFile)
	if err != nil {
		return Key{}, err
	}
	k, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("the key %s: %w", path, err)
	}
	return k, nil
}

// with returns the key with another before it, in place of an older one.
func (k Key) with(newer Key) Key {
	return Key{slices.Concat(newer.identities[:1], k.identities[:1])}
}

// first is the key that holds when the change of keys is over.
func (k Key) first() Key { return Key{k.identities[:1]} }
