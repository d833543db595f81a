package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	sqlitedriver "modernc.org/sqlite"
)

// Error is a failure the caller caused and may read. Every other error is ours.
type Error struct {
	Code    string // one of the Code… constants
	Message string // one sentence
	Faults  []Fault
	Status  Status   // CodeInvalidState: what the campaign is now
	Allowed []string // CodeInvalidState: what may be done with it now
}

// Fault is one thing that is wrong with what was given.
type Fault struct {
	Code     string // a Code… constant, or the code of a blocker
	Field    string // JSON pointer into the request's body, "" for the whole
	Message  string
	Value    string // what was given, "" when it must not be repeated
	Expected string // what would have been right, if that can be said shortly
}

func (e *Error) Error() string {
	if len(e.Faults) == 0 {
		return e.Code + ": " + e.Message
	}
	parts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		parts[i] = f.Field + " " + f.Message
	}
	return e.Code + ": " + strings.Join(parts, "; ")
}

// The codes of Error: the words of the contract.
const (
	CodeNotFound        = "NOT_FOUND"
	CodeInvalidState    = "INVALID_STATE"
	CodeValidation      = "VALIDATION_ERROR"
	CodeMissingField    = "MISSING_REQUIRED_FIELD"
	CodeInvalidPhone    = "INVALID_PHONE_NUMBER"
	CodeInvalidEmail    = "INVALID_EMAIL"
	CodeInvalidTemplate = "INVALID_TEMPLATE"
	CodeInvalidCursor   = "INVALID_CURSOR"
	CodeNotReady        = "CAMPAIGN_NOT_READY"
	CodeInvalidKey      = "INVALID_API_KEY"
	CodePayloadTooLarge = "PAYLOAD_TOO_LARGE"
	CodeInProgress      = "IDEMPOTENCY_IN_PROGRESS"
	CodeMismatch        = "IDEMPOTENCY_MISMATCH"
)

// notFound says that there is no such thing in the caller's scope.
func notFound(noun, id string) error {
	return &Error{Code: CodeNotFound, Message: fmt.Sprintf("There is no %s %s.", noun, id)}
}

// faulty is nil without faults; one fault gives its own code.
func faulty(faults ...Fault) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return &Error{Code: faults[0].Code, Message: sentence(faults[0]), Faults: faults}
	}
	return &Error{Code: CodeValidation, Message: fmt.Sprintf("The request has %d faults.", len(faults)), Faults: faults}
}

func sentence(f Fault) string {
	name := strings.TrimPrefix(f.Field, "/")
	if name == "" {
		name = "The request"
	}
	return name + " " + f.Message + "."
}

// Away says whether err means that the database cannot be reached or cannot take
// work now, so that the same call may succeed a little later.
func Away(err error) bool {
	var refused *pgconn.ConnectError
	var cut net.Error
	var pg *pgconn.PgError
	var lite *sqlitedriver.Error
	switch {
	case errors.As(err, &pg): // it answered: shutting down, starting, too many connections, or out of room
		return strings.HasPrefix(pg.Code, "57P0") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "08")
	case errors.As(err, &lite):
		const busy, ioError, full = 5, 10, 13
		return lite.Code() == full || lite.Code()&0xff == busy || lite.Code()&0xff == ioError
	case errors.As(err, &refused), errors.As(err, &cut), pgconn.Timeout(err):
		return true
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	// The driver's word that it sent nothing: its connection was found closed.
	return pgconn.SafeToRetry(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE)
}

// missing turns GORM's "record not found" into ours.
func missing(err error, noun, id string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return notFound(noun, id)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", noun, err)
	}
	return nil
}

// uniqueViolation says which unique index refused a row: its name on
// PostgreSQL, "table.column, …" on SQLite, which names no index.
func uniqueViolation(err error) (index string, ok bool) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" {
		return pg.ConstraintName, true
	}
	const sqliteUnique, sqlitePrimaryKey = 2067, 1555
	var lite *sqlitedriver.Error
	if errors.As(err, &lite) && (lite.Code() == sqliteUnique || lite.Code() == sqlitePrimaryKey) {
		_, index, _ = strings.Cut(lite.Error(), "UNIQUE constraint failed: ")
		return index, true
	}
	return "", false
}
