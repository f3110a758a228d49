package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/events-concierge/concierge/payments/x402"
)

// Back is how a file is taken back to an older version of its schema, for a program
// that knows no newer one. [HostBack] and [ServerBack] find out, and change nothing;
// [Back.Make] makes the file that is to be in its place, for [Replace].
type Back struct {
	Path        string
	Version, To int
	Way         Way
	Copy        string    // from which it is made anew; "": there is none, and it begins empty
	At          time.Time // of the copy
	// Loses is what the scripts say that is lost by them, "" for nothing.
	Loses string
	// Lost is what is in the file and not in the copy.
	Lost Lost

	kind   kind
	copied int // the version of Copy
}

// Way is how a file is taken back.
type Way string

// The ways.
const (
	// BackNone: the older program reads it as it is.
	BackNone Way = ""
	// BackUndo: each migration is undone by a script that was written with it. What
	// was written since stays.
	BackUndo Way = "undo"
	// BackCopy: it becomes again what it was before the migration. What was written
	// since is lost, but for the wallet.
	BackCopy Way = "copy"
	// BackCarry: a new file of the older version is made, and all rows are carried
	// over of which that version knows the tables.
	BackCarry Way = "carry"
)

// Lost counts what is in a Host's file and not in the copy to which it goes back.
type Lost struct {
	Events   int         `json:"events"`   // made or changed since
	RSVPs    int         `json:"rsvps"`    // likewise
	Payments int         `json:"payments"` // that were settled since
	Amount   x402.Amount `json:"amount"`   // of these
}

// ErrNoWayBack: a file can't be taken back.
var ErrNoWayBack = errors.New("it can't be taken back")

// HostBack is about a Host's file. made is when its user was registered: there is no
// copy of a file that was made by a newer program, which began its work at since.
// Errors: [ErrNoWayBack].
func HostBack(ctx context.Context, path string, to int, made, since time.Time) (Back, error) {
	b, err := kindOf("host", hostID).back(ctx, path, to)
	if err != nil || b.Way != BackCopy {
		return b, err
	}
	if err := b.findCopy(); err != nil {
		return b, err
	}
	switch {
	case b.Copy == "" && made.Before(since):
		return b, fmt.Errorf("%s: %w: the copy from before the migration (%s.v%d.bak) is gone; put it back, or restore from a backup", path, ErrNoWayBack, filepath.Base(path), to)
	case b.Copy == "":
		b.At = made
	case since.Before(b.At): // by the server's clock, which nobody has touched as a file's time may have been
		b.At = since
	}
	b.Lost, err = b.lost(ctx)
	return b, err
}

// ServerBack is about a server's file: nothing of what the older version knows may be
// lost, least of all which authorizations are spent.
func ServerBack(ctx context.Context, path string, to int) (Back, error) {
	return kindOf("server", serverID).back(ctx, path, to)
}

// ChatsBack is about the agent's conversations, with its visitors' wallets.
func ChatsBack(ctx context.Context, path string, to int) (Back, error) {
	return kindOf("chat", chatID).back(ctx, path, to)
}

// PurseBack is about a purse.
func PurseBack(ctx context.Context, path string, to int) (Back, error) {
	return kindOf("purse", purseID).back(ctx, path, to)
}

// back finds out how a file is taken back. An error says that it is not one of this
// program.
func (k kind) back(ctx context.Context, path string, to int) (b Back, err error) {
	b = Back{Path: path, To: to, kind: k}
	if b.Version, _, err = k.version(ctx, path); err != nil {
		return b, fmt.Errorf("%s: %w", path, err)
	}
	if b.Version <= to {
		return b, nil
	}
	var undone bool
	if _, b.Loses, undone, err = k.undoing(b.Version, to); err != nil {
		return b, err
	}
	switch {
	case undone:
		b.Way = BackUndo
	case k.id == hostID:
		b.Way = BackCopy
	default:
		b.Way = BackCarry
	}
	return b, nil
}

// losesMark begins the line in which a script says what is lost by it.
const losesMark = "-- Loses: "

// undoing returns the scripts that undo the migrations of a file, the last first. ok
// is false if one of them has none.
func (k kind) undoing(version, to int) (scripts []string, loses string, ok bool, err error) {
	for v := version; v > to; v-- {
		text, err := fs.ReadFile(k.schema, fmt.Sprintf("undo/%04d.sql", v))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, "", false, nil
		}
		if err != nil {
			return nil, "", false, err
		}
		scripts = append(scripts, string(text))
		for line := range strings.Lines(string(text)) {
			if lost, is := strings.CutPrefix(strings.TrimSpace(line), losesMark); is {
				loses = strings.TrimPrefix(loses+"; "+lost, "; ")
			}
		}
	}
	return scripts, loses, true, nil
}

// copyOf returns the version of a copy that was kept of a file before a migration.
func copyOf(path, name string) (version int, ok bool) {
	middle, ok := strings.CutPrefix(name, path+".v")
	if middle, is := strings.CutSuffix(middle, ".bak"); ok && is {
		version, err := strconv.Atoi(middle)
		return version, err == nil && version > 0
	}
	return 0, false
}

// copiesOf are the copies of a file that were kept before migrations, by version.
func copiesOf(path string) (map[int]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	all := map[int]string{}
	for _, entry := range entries {
		if v, ok := copyOf(filepath.Base(path), entry.Name()); ok {
			all[v] = filepath.Join(filepath.Dir(path), entry.Name())
		}
	}
	return all, nil
}

// findCopy finds the copy of the newest version that is old enough.
func (b *Back) findCopy() error {
	copies, err := copiesOf(b.Path)
	if err != nil {
		return err
	}
	for version, path := range copies {
		if version > b.copied && version <= b.To {
			b.copied, b.Copy = version, path
		}
	}
	if b.Copy == "" {
		return nil
	}
	info, err := os.Stat(b.Copy)
	if err != nil {
		return err
	}
	b.At = info.ModTime() // it was written while nobody could write to the file
	return nil
}

// DropCopies removes the copies of a file that has been taken back which are of that
// version or a newer one: before the next migration another is kept.
func (b Back) DropCopies() error {
	copies, err := copiesOf(b.Path)
	if err != nil {
		return err
	}
	for version, path := range copies {
		if version >= b.To {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// attach opens a database with another one attached as "old", which is not there if
// its path is "".
func attach(ctx context.Context, path, old string, do func(*sql.Conn) error) (err error) {
	if path, err = filepath.Abs(path); err != nil { // a URI of SQLite has no relative one
		return err
	}
	c, err := sqlite.NewConnector(dsn(path, ""))
	if err != nil {
		return err
	}
	db := sql.OpenDB(c)
	defer func() { err = classify(errors.Join(err, db.Close())) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if old != "" {
		if _, err := conn.ExecContext(ctx, "ATTACH ? AS old", old); err != nil {
			return err
		}
	}
	return do(conn)
}
