package store

import (
	"errors"
	"fmt"
	"strings"

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
