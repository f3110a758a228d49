package host

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/events-concierge/concierge/store/archive"
)

// Objects of an archive that are no databases.
const (
	identityFile = "identity" // whose archive it is
	networkFile  = "network"
	secretFile   = "secret.key"
)

// ErrOtherArchive means that an archive has the files of another data directory.
var ErrOtherArchive = errors.New("the archive belongs to another data directory: another secret.key")

// OpenArchive returns the Archiver of a data directory, which is made if it is not
// there, for a network as in [Config]. The archive belongs to the first one that opens it, by its secret: that
// names the files in it. It is in the archive only if withSecret says so, for who
// has it has the wallets.
func OpenArchive(ctx context.Context, c archive.Config, network string, withSecret bool) (*archive.Archiver, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := claimNetwork(filepath.Join(c.Dir, networkFile), network); err != nil {
		return nil, err
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	secret, err := loadSecret(c.Dir, c.Rand)
	if err != nil {
		return nil, fmt.Errorf("server secret: %w", err)
	}
	if err := putOnce(ctx, c.To, identityFile, []byte(identity(secret)+"\n")); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	claimed, err := os.ReadFile(filepath.Join(c.Dir, networkFile))
	if err == nil {
		err = putOnce(ctx, c.To, networkFile, claimed)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("archive: %w", err)
	}
	if withSecret {
		if err := putOnce(ctx, c.To, secretFile, secret); err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
	}
	return archive.New(ctx, c)
}

// identity names a secret without telling it.
func identity(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	io.WriteString(mac, "archive") // #nosec G104 -- a hash never fails
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// putOnce makes an object that is the same ever after. Errors: [ErrOtherArchive]
// if it is another.
func putOnce(ctx context.Context, b archive.Backend, name string, content []byte) error {
	switch there, err := getSmall(ctx, b, name); {
	case errors.Is(err, archive.ErrNotFound):
		err = b.Put(ctx, name, func(w io.Writer) error {
			_, err := w.Write(content)
			return err
		})
		if errors.Is(err, archive.ErrExists) { // another process was faster
			return putOnce(ctx, b, name, content)
		}
		return err
	case err != nil:
		return err
	case !bytes.Equal(there, content):
		return fmt.Errorf("%w (its %s is another)", ErrOtherArchive, name)
	}
	return nil
}

func getSmall(ctx context.Context, b archive.Backend, name string) ([]byte, error) {
	r, err := b.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 1<<10))
}

// fileOf is the name of a user's file below a data directory, and in an archive.
func fileOf(user string) string { return "hosts/" + user[:2] + "/" + user + ".db" }

// serverFile is that of the server's.
const serverFile = "server.db"

// RemoveFromArchive deletes all that an archive has of a user. Their file must be
// gone, or it is archived anew.
func RemoveFromArchive(ctx context.Context, a *archive.Archiver, user string) error {
	return a.Remove(ctx, fileOf(user))
}

// ListArchive returns to which times a user's Host can be put back, or the server
// if user is "", and of how many users the archive has a file. Errors:
// [archive.ErrNotFound].
func ListArchive(ctx context.Context, b archive.Backend, user string) (r archive.Range, users int, err error) {
	file := serverFile
	if user != "" {
		file = fileOf(user)
	}
	r, ok, err := archive.RangeOf(ctx, b, file)
	if err == nil && !ok {
		err = fmt.Errorf("%w: nothing of %s", archive.ErrNotFound, file)
	}
	if err != nil {
		return r, 0, err
	}
	groups, err := b.List(ctx, "hosts")
	if err != nil {
		return r, 0, err
	}
	for _, group := range groups {
		files, err := b.List(ctx, "hosts/"+strings.TrimSuffix(group, "/"))
		if err != nil {
			return r, 0, err
		}
		users += len(files)
	}
	return r, users, nil
}
