package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// ImportClaim is the right to apply an import, until the lease ends or another
// process claims it. It belongs to one goroutine.
type ImportClaim struct {
	ID       int64
	PublicID string
	Scope    Scope

	epoch  int
	next   int // the part to be applied next
	lease  time.Duration
	format ImportFormat
	header []string
	list   *int64
	ahead  chan parsedPart // the part after next, being parsed; may be nil
}

// parsedPart is a part that has been read, or could not be.
type parsedPart struct {
	n    int
	rows []importRow
	err  error // gorm.ErrRecordNotFound after the last part
}

// MaxImportErrors is how many faults of one import are kept; all are counted.
const MaxImportErrors = 10_000

// ClaimImport leases the import to work on next, by the database's clock: of
// each account and mode the oldest (so that of two files the later one has the
// last word), of these the first that comes after scope after, in a circle. It
// returns nil when there is none. It also gives up uploads that stand still.
func (s *Store) ClaimImport(ctx context.Context, after Scope, lease time.Duration) (*ImportClaim, error) {
	if err := s.giveUpUploads(ctx); err != nil {
		return nil, err
	}
	var im Import
	q := s.db.WithContext(ctx).Raw(s.importSQL().claim, map[string]any{
		"lease": lease.Milliseconds(), "account": after.Account, "mode": after.Mode, "now": now(),
	}).Scan(&im)
	if q.Error != nil {
		return nil, fmt.Errorf("claim an import: %w", q.Error)
	}
	if q.RowsAffected == 0 {
		return nil, nil
	}
	return &ImportClaim{
		ID: im.ID, PublicID: im.PublicID, Scope: Scope{Account: im.AccountID, Mode: im.Mode}, epoch: im.Epoch,
		next: im.NextPart, lease: lease, format: im.Format, header: im.Header, list: im.ListID,
	}, nil
}

// giveUpUploads ends the imports whose upload has not moved for receiveTimeout:
// the process that took it in is gone.
func (s *Store) giveUpUploads(ctx context.Context) error {
	var ids []int64
	if err := s.read(ctx).Model(&Import{}).Where(openImports).Where(standsStill, ImportReceiving, now()).Pluck("id", &ids).Error; err != nil {
		return fmt.Errorf("look for uploads that stand still: %w", err)
	}
	for _, id := range ids {
		if err := s.write(ctx, func(tx *gorm.DB) error { return giveUpUpload(tx, id) }); err != nil {
			return err
		}
	}
	return nil
}

const standsStill = "status = ? AND lease_until <= ?"

// giveUpUpload ends an import whose upload stands still; any other it leaves.
func giveUpUpload(tx *gorm.DB, id int64) error {
	r := tx.Model(&Import{}).Where("id = ?", id).Where(standsStill, ImportReceiving, now()).Updates(map[string]any{
		"status": ImportFailed, "completed_at": now(), "lease_until": nil,
		"error_code": codeUnavailable, "error_message": "The upload broke off. Nothing was imported; send the file again.",
	})
	err := r.Error
	if err == nil && r.RowsAffected > 0 {
		err = tx.Where("import_id = ?", id).Delete(&importPart{}).Error
	}
	if err != nil {
		return fmt.Errorf("give up an upload: %w", err)
	}
	return nil
}

// codeUnavailable is the contract's word for what another try may mend.
const codeUnavailable = "UNAVAILABLE"

// ReleaseImport gives the claim back, so that it need not run out.
func (s *Store) ReleaseImport(ctx context.Context, k *ImportClaim) error {
	if err := s.held(s.db.WithContext(ctx), k).Update("lease_until", nil).Error; err != nil {
		return fmt.Errorf("release %s: %w", k.PublicID, err)
	}
	return nil
}

// held narrows q to the claimed import, and to nothing once the claim is lost.
func (s *Store) held(q *gorm.DB, k *ImportClaim) *gorm.DB {
	return q.Model(&Import{}).Where("id = ? AND epoch = ? AND status = ?", k.ID, k.epoch, ImportRunning)
}

// ApplyPart applies the next part of a claimed import in one transaction and
// renews the lease. A row that is wrong changes nothing and is kept as an
// ImportError. done says that the claim is over: the import is completed, or
// somebody else has it. After an error nothing of the part is applied, and the
// same claim may be tried again.
func (s *Store) ApplyPart(ctx context.Context, k *ImportClaim) (done bool, err error) {
	part := s.parsedPart(ctx, k)
	if errors.Is(part.err, gorm.ErrRecordNotFound) {
		return true, s.completeImport(ctx, k)
	}
	if part.err != nil {
		return false, fmt.Errorf("read part %d of %s: %w", k.next, k.PublicID, part.err)
	}
	var held bool
	for _, apply := range []applyFunc{s.applyTogether, s.applyTogether, s.applyOneByOne} {
		if held, err = s.applyPart(ctx, k, part.rows, apply); !collided(err) {
			break
		}
	}
	if err != nil {
		return false, fmt.Errorf("apply part %d of %s: %w", k.next, k.PublicID, err)
	}
	k.next++
	return !held, nil
}

// parsedPart gives the next part, and has the one after it parsed while the
// database is busy with this one.
func (s *Store) parsedPart(ctx context.Context, k *ImportClaim) (p parsedPart) {
	if k.ahead != nil {
		p = <-k.ahead
		k.ahead = nil
	}
	if p.rows == nil || p.n != k.next {
		p = s.readPart(ctx, k.ID, k.next, k.format, k.header)
	}
	if p.err == nil {
		k.ahead = make(chan parsedPart, 1) // so that nobody need wait for it
		go func(id int64, n int, into chan<- parsedPart) {
			into <- s.readPart(ctx, id, n, k.format, k.header)
		}(k.ID, k.next+1, k.ahead)
	}
	return p
}

func (s *Store) readPart(ctx context.Context, id int64, n int, format ImportFormat, header []string) parsedPart {
	part := importPart{}
	if err := s.read(ctx).Where("import_id = ? AND n = ?", id, n).Take(&part).Error; err != nil {
		return parsedPart{n: n, err: err}
	}
	rows, err := parsePart(format, header, part)
	return parsedPart{n: n, rows: rows, err: err}
}

func (s *Store) completeImport(ctx context.Context, k *ImportClaim) error {
	err := s.held(s.db.WithContext(ctx), k).Updates(map[string]any{
		"status": ImportCompleted, "completed_at": now(), "lease_until": nil,
	}).Error
	if err != nil {
		return fmt.Errorf("complete %s: %w", k.PublicID, err)
	}
	return nil
}

// collided says whether somebody else's change stood in the way, so that it may
// go better with a fresh look.
func collided(err error) bool {
	const deadlock, serialization = "40P01", "40001"
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == deadlock || pg.Code == serialization) {
		return true
	}
	_, taken := uniqueViolation(err)
	return taken
}

// applyFunc applies rows to the contacts of sc and gives the ids of those that
// the rows belong to.
type applyFunc func(tx *gorm.DB, sc Scope, rows []importRow) (importResult, []int64, error)

// applyPart is the transaction of ApplyPart.
func (s *Store) applyPart(ctx context.Context, k *ImportClaim, rows []importRow, apply applyFunc) (held bool, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		im, err := s.lockImport(tx, k)
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		held = true
		if prepare := s.importSQL().prepare; prepare != "" {
			if err := tx.Exec(prepare).Error; err != nil {
				return fmt.Errorf("prepare: %w", err)
			}
		}
		result, ids, err := apply(tx, k.Scope, rows)
		if err != nil {
			return err
		}
		if im.ListID != nil && len(ids) > 0 {
			slices.Sort(ids) // as others do who put contacts into lists: no deadlock
			if _, err := sqlTx(tx).ExecContext(ctx, s.importSQL().members, *im.ListID, s.idsArg(ids)); err != nil {
				return fmt.Errorf("put contacts into the list: %w", err)
			}
		}
		return s.finishPart(tx, k, result)
	})
	return held, err
}

// lockImport keeps others from claiming the import, and its list from going
// away, until the transaction ends. The list comes first, as when it is deleted.
func (s *Store) lockImport(tx *gorm.DB, k *ImportClaim) (im Import, err error) {
	if k.list != nil {
		if err := s.staying(tx).Select("id").Where("id = ?", *k.list).Find(&[]List{}).Error; err != nil {
			return Import{}, fmt.Errorf("lock the list: %w", err)
		}
	}
	return im, s.held(s.locked(tx), k).Where("next_part = ?", k.next).Take(&im).Error
}

// finishPart counts, keeps the faults and moves on to the next part.
func (s *Store) finishPart(tx *gorm.DB, k *ImportClaim, r importResult) error {
	if err := s.keepFaults(tx, k.ID, r.faults); err != nil {
		return err
	}
	if err := tx.Where("import_id = ? AND n = ?", k.ID, k.next).Delete(&importPart{}).Error; err != nil {
		return fmt.Errorf("forget the part: %w", err)
	}
	err := s.held(tx, k).Updates(map[string]any{
		"next_part":   k.next + 1,
		"processed":   gorm.Expr("processed + ?", r.created+r.updated+r.failed),
		"created":     gorm.Expr("created + ?", r.created),
		"updated":     gorm.Expr("updated + ?", r.updated),
		"failed":      gorm.Expr("failed + ?", r.failed),
		"lease_until": gorm.Expr(s.importSQL().lease, k.lease.Milliseconds()),
	}).Error
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	return nil
}

func (s *Store) keepFaults(tx *gorm.DB, id int64, es []ImportError) error {
	if len(es) == 0 {
		return nil
	}
	var kept int64
	if err := tx.Model(&ImportError{}).Where("import_id = ?", id).Count(&kept).Error; err != nil {
		return fmt.Errorf("count the faults kept: %w", err)
	}
	es = es[:min(len(es), max(0, MaxImportErrors-int(kept)))]
	for i := range es {
		es[i].ImportID = id
	}
	const atOnce = 1000 // rows of a statement: PostgreSQL takes 65,535 parameters
	if err := tx.CreateInBatches(es, atOnce).Error; err != nil {
		return fmt.Errorf("keep the faults: %w", err)
	}
	return nil
}

// applyTogether applies rows with a handful of statements.
func (s *Store) applyTogether(tx *gorm.DB, sc Scope, rows []importRow) (importResult, []int64, error) {
	contacts, err := s.findImported(tx, sc, rows)
	if err != nil {
		return importResult{}, nil, err
	}
	b := newImportBatch(sc, contacts)
	for i := range rows {
		b.apply(&rows[i])
	}
	ids, err := s.saveImported(tx, b)
	return b.done, ids, err
}

// applyOneByOne applies each row by itself, for a part that cannot be applied
// together: others keep making contacts with the same identifiers, or rows pass
// identifiers round between contacts, so that the last state of each contact
// cannot be written in any order. A row that collides even then is refused.
func (s *Store) applyOneByOne(tx *gorm.DB, sc Scope, rows []importRow) (sum importResult, ids []int64, err error) {
	const tries = 3
	for i := range rows {
		for try := 1; ; try++ {
			var one importResult
			var touched []int64
			err := tx.Transaction(func(tx *gorm.DB) (err error) {
				one, touched, err = s.applyTogether(tx, sc, rows[i:i+1])
				return err
			})
			if err == nil {
				sum.add(one)
				ids = append(ids, touched...)
				break
			}
			if _, taken := uniqueViolation(err); !taken {
				return importResult{}, nil, err
			}
			if try == tries {
				sum.fail(rows[i].line, Fault{Code: CodeValidation, Message: "has an identifier that another contact is just being given"})
				break
			}
		}
	}
	return sum, ids, nil
}
