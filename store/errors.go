package store

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Reasons not to book. Each is wrapped; compare with errors.Is.
var (
	ErrEventNotFound  = errors.New("no such event")
	ErrEventCancelled = errors.New("the event is cancelled")
	ErrEventPast      = errors.New("the event is over")
	ErrEventFull      = errors.New("the event has not enough seats left")
	ErrAlreadyBooked  = errors.New("this guest has booked the event already")
	ErrPriced         = errors.New("the event is not free")
)

// Errors about single rows and arguments.
var (
	ErrRSVPNotFound = errors.New("no such RSVP")
	ErrUserNotFound = errors.New("no such user")
	ErrEventExists  = errors.New("an event with this id exists")
	ErrRSVPExists   = errors.New("an RSVP with this id exists")
	ErrUserExists   = errors.New("the user exists")
	ErrCursor       = errors.New("not a cursor of this list")
	ErrNoFile       = errors.New("there is no such file")
	ErrInvalid      = errors.New("invalid value")
)

// Errors about accounts. Each is wrapped.
var (
	// ErrUserLeaving is an [ErrUserNotFound].
	ErrUserLeaving   = fmt.Errorf("%w: it is being removed", ErrUserNotFound)
	ErrTokenNotFound = errors.New("no such token")
	ErrTokenExists   = errors.New("a token of this name exists")
	ErrTooManyTokens = fmt.Errorf("the user has %d tokens", MaxTokens)
	ErrLastOwner     = errors.New("it is the last token of scope owner")
	ErrInvite        = errors.New("not an invitation, or one that was used or has expired")
	ErrCode          = errors.New("not the code, or one that was used or has expired")
	ErrTooManyCodes  = errors.New("too many codes to this email within the hour")
	ErrNoSession     = errors.New("not a session, or one that has ended")
)

// Reasons not to cancel or change. Each is wrapped.
var (
	ErrTooLate     = errors.New("the time to cancel has passed")
	ErrRSVPPending = errors.New("the RSVP's payment is being settled")
	ErrNotBooked   = errors.New("the RSVP is not confirmed")
	ErrCheckedIn   = errors.New("the guest has been checked in")
	ErrSeatsTaken  = errors.New("more seats are taken than there would be")
	ErrCutOff      = errors.New("guests have booked with a later time to cancel")
)

// Reasons not to pay, and errors about approvals. Each is wrapped.
var (
	ErrOverBudget  = errors.New("over budget")
	ErrNotApproved = errors.New("a person has to approve the payment first")
	ErrDenied      = errors.New("the person said no to this payment")
	ErrNoApproval  = errors.New("there is no such question, or it has expired or was answered for good")
)

// Errors about a file as a whole.
var (
	// ErrNewerSchema: a newer version of this program has written the file.
	ErrNewerSchema = errors.New("written by a newer version of this program; use that version")
	// ErrNotDatabase: there is a file, but not one of SQLite.
	ErrNotDatabase = errors.New("not a database")
	// ErrWrongFile: a database, but of another kind or another program.
	ErrWrongFile = errors.New("a database of something else")
	// ErrCorrupt: the file is damaged; restore a backup.
	ErrCorrupt = errors.New("the database is damaged; restore a backup")
	// ErrBusy: another process kept the file locked for too long. Nothing
	// was changed.
	ErrBusy = errors.New("another process keeps the database locked")
	// ErrLogFull: another process has been reading the file for so long that
	// its log must not grow any more. Nothing was changed.
	ErrLogFull = errors.New("the database takes no changes until another process ends that has been reading it for long")
	// ErrClosed: the Host or Server has been closed.
	ErrClosed = errors.New("the database is closed")
)

// classify adds one of the errors above to what SQLite reports, where there
// is one that says more.
func classify(err error) error {
	var kind error
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_BUSY:
		kind = ErrBusy
	case sqlite3.SQLITE_CORRUPT:
		kind = ErrCorrupt
	case sqlite3.SQLITE_NOTADB:
		kind = ErrNotDatabase
	default:
		return err
	}
	return fmt.Errorf("%w (%w)", kind, err)
}

// duplicate reports whether err is a row whose key is taken.
func duplicate(err error) bool {
	code := sqliteCode(err)
	return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// refused reports whether err is a value that a CHECK of the schema rejects.
func refused(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_CHECK }

// sqliteCode returns the extended result code in err, or 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
