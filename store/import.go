package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gorm.io/gorm"
)

// Import is a file of contacts and how far it is. The file is taken in first,
// whole and in parts (CreateImport), and worked afterwards, part by part, by
// whichever process holds the lease (ClaimImport, ApplyPart).
type Import struct {
	ID           int64
	PublicID     string // imp_…
	AccountID    int64
	Mode         Mode
	Status       ImportStatus
	Format       ImportFormat
	ListID       *int64
	List         *string  `gorm:"->;column:list_public_id"` // lst_…; only read
	Header       []string `gorm:"serializer:json"`          // a CSV file's columns
	Bytes        int64    // the size of the file, as far as it has come in
	Processed    int64    // = Created + Updated + Failed
	Created      int64    // rows that made a contact
	Updated      int64    // rows that matched one, changed or not
	Failed       int64    // rows that were refused
	ErrorCode    *string  // why the file as a whole could not be worked
	ErrorMessage *string
	NextPart     int // parts before it are applied and gone
	Epoch        int // counts the claims; a write of an earlier one is refused
	LeaseUntil   *time.Time
	CreatedAt    time.Time
	StartedAt    *time.Time
	CompletedAt  *time.Time
}

// ImportStatus is where an import stands.
type ImportStatus string

// The statuses of an import, in their order.
const (
	ImportReceiving ImportStatus = "receiving" // the file is coming in
	ImportPending   ImportStatus = "pending"   // it is here whole
	ImportRunning   ImportStatus = "running"   // its rows are being applied
	ImportCompleted ImportStatus = "completed" // every row was applied or reported
	ImportFailed    ImportStatus = "failed"    // it never came in whole; nothing was applied
)

// ImportFormat is how a file is written.
type ImportFormat string

// The formats.
const (
	CSV    ImportFormat = "csv"    // RFC 4180; the first record names the columns
	NDJSON ImportFormat = "ndjson" // an object on each line
)

// ImportError is one fault of one row.
type ImportError struct {
	ImportID int64
	Line     int64   // of the file, from 1; where the row begins
	N        int     // counts the faults of the row
	Field    *string // JSON pointer, nil for the row as a whole
	Code     string
	Message  string
}

// ImportOptions say what a file is.
type ImportOptions struct {
	Format ImportFormat
	List   string // put every contact of the file into it as well; "" for none
	// Request, if given, makes a repeat give the import that was made at first,
	// however far it is by now.
	Request *Request
}

// importPart is a piece of a file, whole rows, until it is applied.
type importPart struct {
	ImportID  int64
	N         int
	FirstLine int64
	Data      []byte
}

// receiveTimeout is how long an upload may stand still before it is given up.
const receiveTimeout = 5 * time.Minute

// CreateImport takes in a file, to be applied by a worker once it is here whole.
// It holds a few parts' memory, however long the file. A faulty CSV header, an
// unknown list or an empty file is an *Error; a body that breaks off is that
// error, wrapped. After any error nothing of the file is kept. A repeat of
// o.Request takes in nothing.
func (s *Store) CreateImport(ctx context.Context, sc Scope, o ImportOptions, body io.Reader) (im Import, repeated bool, err error) {
	if o.Request != nil { // asked again below, once there is something to lose
		kept, err := recall(s.read(ctx), sc, *o.Request)
		if err != nil {
			return Import{}, false, err
		}
		if repeated, err = importMade(s.read(ctx), kept, &im); repeated || err != nil {
			return im, repeated, err
		}
	}
	im = Import{
		PublicID: newID("imp"), AccountID: sc.Account, Mode: sc.Mode,
		Status: ImportReceiving, Format: o.Format, CreatedAt: now(),
	}
	if o.List != "" {
		l, err := s.List(ctx, sc, o.List)
		if err != nil {
			return Import{}, false, err
		}
		im.ListID, im.List = &l.ID, &l.PublicID
	}
	cut, err := newCutter(o.Format, body)
	if err != nil {
		return Import{}, false, err
	}
	im.Header = cut.header
	if repeated, err = s.beginImport(ctx, sc, o.Request, &im); repeated || err != nil {
		return im, repeated, err
	}
	if err := s.receive(ctx, &im, cut); err != nil {
		return Import{}, false, errors.Join(err, s.discard(ctx, im.ID))
	}
	s.announce(0)
	return im, false, nil
}

// beginImport keeps a new import, or loads into im the one that the request
// made before.
func (s *Store) beginImport(ctx context.Context, sc Scope, r *Request, im *Import) (repeated bool, err error) {
	until := now().Add(receiveTimeout)
	im.LeaseUntil = &until
	create := func(tx *gorm.DB) error {
		if err := tx.Create(im).Error; err != nil {
			return fmt.Errorf("create import: %w", err)
		}
		return nil
	}
	if r == nil {
		return false, create(s.db.WithContext(ctx))
	}
	err = s.claimed(ctx, sc, *r, func(tx *gorm.DB, kept *answered) error {
		if repeated, err = importMade(tx, kept, im); repeated || err != nil {
			return err
		}
		if kept != nil && kept.ImportID != nil { // should it come to life again, it would be a second effect
			if err := giveUpUpload(tx, *kept.ImportID); err != nil {
				return err
			}
		}
		if err := create(tx); err != nil {
			return err
		}
		return remember(tx, sc, *r, answered{ImportID: &im.ID})
	})
	return repeated, err
}

// importMade loads into im the import that a request made before. One whose file
// did not come in whole does not count, one whose file is still coming in is an
// *Error.
func importMade(q *gorm.DB, kept *answered, im *Import) (ok bool, err error) {
	if kept == nil || kept.ImportID == nil {
		return false, nil
	}
	var made Import
	err = withList(q).Where("imports.id = ?", *kept.ImportID).Take(&made).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound): // discarded since the request was looked for
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the import of a request: %w", err)
	case made.Status == ImportFailed:
		return false, nil
	case made.Status == ImportReceiving && made.LeaseUntil.After(now()):
		return false, inProgress()
	case made.Status == ImportReceiving:
		return false, nil
	}
	*im = made
	return true, nil
}

// receive keeps the parts, each in a transaction of its own, and then lets the
// workers have the import.
func (s *Store) receive(ctx context.Context, im *Import, cut *cutter) error {
	for n := 0; ; n++ {
		part, ok, err := cut.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		part.ImportID, part.N = im.ID, n
		if err := s.receiving(ctx, im.ID, map[string]any{"bytes": cut.bytes(), "lease_until": now().Add(receiveTimeout)}, func(tx *gorm.DB) error {
			return tx.Create(&part).Error
		}); err != nil {
			return fmt.Errorf("keep part %d of an import: %w", n, err)
		}
	}
	im.Status, im.Bytes, im.LeaseUntil = ImportPending, cut.bytes(), nil
	err := s.receiving(ctx, im.ID, map[string]any{"bytes": im.Bytes, "status": im.Status, "lease_until": nil}, func(tx *gorm.DB) error {
		return s.announceTx(tx, 0)
	})
	if err != nil {
		return fmt.Errorf("finish receiving an import: %w", err)
	}
	return nil
}

// receiving changes an import that is still coming in, together with f.
func (s *Store) receiving(ctx context.Context, id int64, set map[string]any, f func(tx *gorm.DB) error) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&Import{}).Where("id = ? AND status = ?", id, ImportReceiving).Updates(set)
		if r.Error != nil {
			return r.Error
		}
		if r.RowsAffected == 0 {
			return errors.New("it was given up, because nothing had come in for too long")
		}
		return f(tx)
	})
}

// discard forgets an import that did not come in whole, also when that is
// because the caller has gone away. If it is because the database has, discard
// goes on trying after it has returned, so that a repeat of the call need not
// wait for receiveTimeout.
func (s *Store) discard(ctx context.Context, id int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := s.forgetUpload(ctx, id)
	if Away(err) {
		s.unfinished.Go(func() {
			for err := err; Away(err); err = s.forgetUpload(s.open, id) {
				select {
				case <-s.open.Done():
					return
				case <-time.After(discardPause):
				}
			}
		})
	}
	return err
}

const discardPause = 500 * time.Millisecond

// forgetUpload leaves an import that has come in whole: the database may have
// kept that and gone away before it could say so.
func (s *Store) forgetUpload(ctx context.Context, id int64) error {
	if err := s.db.WithContext(ctx).Where("id = ? AND status = ?", id, ImportReceiving).Delete(&Import{}).Error; err != nil {
		return fmt.Errorf("forget an import: %w", err)
	}
	return nil
}

// withList adds the public id of an import's list, which may be gone by now.
func withList(q *gorm.DB) *gorm.DB {
	return q.Select("imports.*, (SELECT public_id FROM lists WHERE lists.id = imports.list_id) AS list_public_id")
}

// Import finds an import by its public id.
func (s *Store) Import(ctx context.Context, sc Scope, id string) (Import, error) {
	return find[Import](withList(s.read(ctx)), sc, "import", id)
}

// Imports lists imports, newest first.
func (s *Store) Imports(ctx context.Context, sc Scope, p Page) (ims []Import, next string, err error) {
	ims, next, err = pageOf(ctx, s, withList(s.read(ctx)).Where(sc.in()), sc, "imports", p, newestFirst, scopeKey, func(im *Import) int64 { return im.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list imports: %w", err)
	}
	return ims, next, nil
}

// ImportErrors lists what was wrong with an import's rows, in the order of the
// file: the first MaxImportErrors faults, of a row no more than maxRowFaults.
func (s *Store) ImportErrors(ctx context.Context, sc Scope, id string, p Page) (es []ImportError, next string, err error) {
	im, err := s.Import(ctx, sc, id)
	if err != nil {
		return nil, "", err
	}
	q := s.read(ctx).Where("import_id = ?", im.ID)
	kind := "errors of " + im.PublicID
	es, next, err = pageOf(ctx, s, q, sc, kind, p, oldestFirst, fmt.Sprintf("(line * %d + n)", maxRowFaults), func(e *ImportError) int64 {
		return e.Line*maxRowFaults + int64(e.N)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list the errors of an import: %w", err)
	}
	return es, next, nil
}
