package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// IdempotencyWindow is how long a Request is remembered.
const IdempotencyWindow = 24 * time.Hour

// Request names a call that its caller may repeat: the caller's own key, and
// what it was used on.
type Request struct {
	Method, Path, Key string
	// Fingerprint tells a repeat from another call with the same key.
	Fingerprint [sha256.Size]byte
}

// hash is the request's place within its scope.
func (r *Request) hash() []byte {
	h := sha256.Sum256([]byte(r.Method + "\x00" + r.Path + "\x00" + r.Key))
	return h[:]
}

// Ending says what stays of a piece of work.
type Ending int

// The endings.
const (
	Done    Ending = iota // the change, and its answer
	Refused               // the answer alone: the change was the caller's mistake
	Failed                // nothing: a repeat starts afresh
)

// answered is a Request with what was answered, or with the import it made,
// which is the answer of its own.
type answered struct {
	AccountID   int64  `gorm:"primaryKey;autoIncrement:false"`
	Mode        Mode   `gorm:"primaryKey;autoIncrement:false"`
	Request     []byte `gorm:"primaryKey"`
	Fingerprint []byte
	Answer      []byte
	ImportID    *int64
	CreatedAt   time.Time
}

// TableName is where GORM finds them.
func (answered) TableName() string { return "idempotency_keys" }

// errUndo takes a transaction back without being anybody's failure.
var errUndo = errors.New("undo")

// Once has work done at most once for a Request. work gets a Store that takes
// part in the transaction which also keeps the answer, and must use no other;
// everything it calls there is undone unless it is Done. A repeat gets the kept
// answer. A Request that is being worked on, in whichever process, is an *Error
// of CodeInProgress; one with another fingerprint is of CodeMismatch.
func (s *Store) Once(ctx context.Context, sc Scope, r Request, work func(*Store) ([]byte, Ending)) (answer []byte, replayed bool, err error) {
	var waiting []int64
	err = s.claimed(ctx, sc, r, func(tx *gorm.DB, kept *answered) error {
		if kept != nil {
			answer, replayed = kept.Answer, true
			return nil
		}
		var ending Ending
		err := tx.Transaction(func(tx *gorm.DB) error {
			answer, ending = work(&Store{db: tx, ro: tx, waiting: &waiting, base: s.base})
			if ending != Done {
				return errUndo
			}
			return nil
		})
		if err != nil && !errors.Is(err, errUndo) || ending == Failed {
			return err
		}
		return remember(tx, sc, r, answered{Answer: answer})
	})
	if err != nil && !errors.Is(err, errUndo) {
		return nil, false, err
	}
	for _, id := range waiting {
		s.announce(id)
	}
	return answer, replayed, nil
}

// claimed runs f in a transaction that is alone with a Request, with what was
// answered to it already, if anything.
func (s *Store) claimed(ctx context.Context, sc Scope, r Request, f func(tx *gorm.DB, kept *answered) error) error {
	place := binary.BigEndian.AppendUint64(nil, uint64(sc.Account))
	place = append(append(place, byte(sc.Mode)), r.hash()...)
	if s.Embedded() { // one process: its own memory tells, without waiting for the writer
		if _, taken := s.claims.LoadOrStore(string(place), true); taken {
			return inProgress()
		}
		defer s.claims.Delete(string(place))
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		if !s.Embedded() {
			sum := sha256.Sum256(place)
			var alone bool
			if err := tx.Raw("SELECT pg_try_advisory_xact_lock(?)", int64(binary.BigEndian.Uint64(sum[:]))).Scan(&alone).Error; err != nil {
				return fmt.Errorf("claim an idempotency key: %w", err)
			}
			if !alone {
				return inProgress()
			}
		}
		kept, err := recall(tx, sc, r)
		if err != nil {
			return err
		}
		return f(tx, kept)
	})
}

func inProgress() error {
	return &Error{Code: CodeInProgress, Message: "A call with this Idempotency-Key is being worked on."}
}

// recall is what was answered to a Request within the window, or nil.
func recall(tx *gorm.DB, sc Scope, r Request) (*answered, error) {
	var kept answered
	err := tx.Where(sc.in()).Where("request = ? AND created_at > ?", r.hash(), now().Add(-IdempotencyWindow)).Take(&kept).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for an idempotency key: %w", err)
	case !bytes.Equal(kept.Fingerprint, r.Fingerprint[:]):
		return nil, &Error{Code: CodeMismatch, Message: "This Idempotency-Key was used for a call with another body."}
	}
	return &kept, nil
}

// remember keeps what was answered, in place of what is no longer good.
func remember(tx *gorm.DB, sc Scope, r Request, a answered) error {
	a.AccountID, a.Mode, a.Request, a.Fingerprint, a.CreatedAt = sc.Account, sc.Mode, r.hash(), r.Fingerprint[:], now()
	if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&a).Error; err != nil {
		return fmt.Errorf("keep an idempotency key: %w", err)
	}
	return nil
}

// ForgetAnswers drops the requests whose window has passed.
func (s *Store) ForgetAnswers(ctx context.Context) error {
	err := s.db.WithContext(ctx).Where("created_at <= ?", now().Add(-IdempotencyWindow)).Delete(&answered{}).Error
	if err != nil {
		return fmt.Errorf("forget old idempotency keys: %w", err)
	}
	return nil
}
