package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Retry is a recipient whose last attempt failed softly. It is leased and fenced
// like a chunk.
type Retry struct {
	Campaign int64
	Contact  int64
	Variant  int
	Attempts int // made so far
	Epoch    int
	Age      time.Duration // since the first attempt
}

// retrySQL are the statements on retries, each once per dialect.
type retrySQL struct{ claim, lose, settle, again, release string }

var postgresRetries = retrySQL{
	claim: `UPDATE retries SET epoch = epoch + 1, owner = $5, lease_until = now() + $2 * interval '1 ms'
WHERE (campaign_id, contact_id) IN (
  SELECT campaign_id, contact_id FROM retries
  WHERE campaign_id = $1 AND run_after <= now() AND (lease_until IS NULL OR $4 AND lease_until < now())
    AND EXISTS (SELECT 1 FROM campaigns WHERE id = $1 AND status = 'sending')
  ORDER BY run_after LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING contact_id, variant, attempts, epoch, (extract(epoch FROM now() - first_at) * 1000)::bigint`,
	lose: `WITH gone AS (DELETE FROM retries WHERE (campaign_id, contact_id) IN (
  SELECT campaign_id, contact_id FROM retries WHERE campaign_id = $1 AND lease_until < now() LIMIT $2 FOR UPDATE SKIP LOCKED)
  RETURNING *)
INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, carrier, code, text, recorded_at)
SELECT campaign_id, contact_id, 4, variant, attempts + 1, $3, $4, $5, $6 FROM gone
RETURNING variant, status, code`,
	settle: `WITH r AS (SELECT (v ->> 0)::bigint AS contact, (v ->> 1)::int AS epoch, (v ->> 2)::smallint AS status, v ->> 3 AS ref, v ->> 4 AS code, v ->> 5 AS text FROM jsonb_array_elements($4::jsonb) v),
gone AS (DELETE FROM retries USING r WHERE campaign_id = $1 AND contact_id = r.contact AND retries.epoch = r.epoch
  RETURNING contact_id, variant, attempts)
INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, carrier, carrier_ref, code, text, recorded_at)
SELECT $1, gone.contact_id, r.status, gone.variant, gone.attempts + CASE WHEN r.status = 5 THEN 0 ELSE 1 END, NULLIF($2, ''), NULLIF(r.ref, ''), NULLIF(r.code, ''), NULLIF(r.text, ''), $3
FROM gone JOIN r ON r.contact = gone.contact_id RETURNING variant, status, code`,
	again: `UPDATE retries SET attempts = attempts + 1, code = NULLIF(r.code, ''), text = NULLIF(r.text, ''), lease_until = NULL, run_after = now() + r.wait * interval '1 ms'
FROM (SELECT (v ->> 0)::bigint AS contact, (v ->> 1)::int AS epoch, v ->> 2 AS code, v ->> 3 AS text, (v ->> 4)::bigint AS wait FROM jsonb_array_elements($2::jsonb) v) r
WHERE campaign_id = $1 AND contact_id = r.contact AND retries.epoch = r.epoch AND lease_until IS NOT NULL`,
	release: `UPDATE retries SET lease_until = NULL
FROM (SELECT (v ->> 0)::bigint AS contact, (v ->> 1)::int AS epoch FROM jsonb_array_elements($2::jsonb) v) r
WHERE campaign_id = $1 AND contact_id = r.contact AND retries.epoch = r.epoch`,
}

// On SQLite settle and what follows it are run row by row; settle deletes no
// row, sqliteForgetRetry does, and sqliteForgetRecorded those that are lost. One statement over a list would leave the order
// of its join to the planner, which takes all retries first.
var sqliteRetries = retrySQL{
	claim: `UPDATE retries SET epoch = epoch + 1, owner = ?5, lease_until = ` + sqliteNow + ` + ?2 * 1000
WHERE rowid IN (
  SELECT rowid FROM retries
  WHERE campaign_id = ?1 AND run_after <= ` + sqliteNow + ` AND (lease_until IS NULL OR ?4 AND lease_until < ` + sqliteNow + `)
    AND EXISTS (SELECT 1 FROM campaigns WHERE id = ?1 AND status = 'sending')
  ORDER BY run_after LIMIT ?3)
RETURNING contact_id, variant, attempts, epoch, (` + sqliteNow + ` - first_at) / 1000`,
	lose: `INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, carrier, code, text, recorded_at)
SELECT campaign_id, contact_id, 4, variant, attempts + 1, ?3, ?4, ?5, ?6
FROM retries WHERE campaign_id = ?1 AND lease_until < ` + sqliteNow + ` ORDER BY contact_id LIMIT ?2
RETURNING variant, status, code`,
	settle: `INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, carrier, carrier_ref, code, text, recorded_at)
SELECT ?1, ?4, ?6, variant, attempts + CASE WHEN ?6 = 5 THEN 0 ELSE 1 END, NULLIF(?2, ''), NULLIF(?7, ''), NULLIF(?8, ''), NULLIF(?9, ''), ?3
FROM retries WHERE campaign_id = ?1 AND contact_id = ?4 AND epoch = ?5
RETURNING variant, status, code`,
	again: `UPDATE retries SET attempts = attempts + 1, code = NULLIF(?4, ''), text = NULLIF(?5, ''), lease_until = NULL, run_after = ` + sqliteNow + ` + ?6 * 1000
WHERE campaign_id = ?1 AND contact_id = ?2 AND epoch = ?3 AND lease_until IS NOT NULL`,
	release: `UPDATE retries SET lease_until = NULL WHERE campaign_id = ?1 AND contact_id = ?2 AND epoch = ?3`,
}

const sqliteForgetRetry = `DELETE FROM retries WHERE campaign_id = ?1 AND contact_id = ?2 AND epoch = ?3`

func (s *Store) retrySQL() *retrySQL {
	if s.Embedded() {
		return &sqliteRetries
	}
	return &postgresRetries
}

// ClaimRetries leases up to limit retries of a campaign that are due to a worker;
// lapsed: also those that somebody had in hand whose lease ran out.
func (s *Store) ClaimRetries(ctx context.Context, campaign int64, worker string, limit int, lease time.Duration, lapsed bool) ([]Retry, error) {
	rows, err := s.sql.QueryContext(ctx, s.retrySQL().claim, campaign, lease.Milliseconds(), limit, lapsed, worker)
	if err != nil {
		return nil, fmt.Errorf("claim retries: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var rs []Retry
	for rows.Next() {
		r, age := Retry{Campaign: campaign}, int64(0)
		if err := rows.Scan(&r.Contact, &r.Variant, &r.Attempts, &r.Epoch, &age); err != nil {
			return nil, fmt.Errorf("claim retries: %w", err)
		}
		r.Age = time.Duration(age) * time.Millisecond
		rs = append(rs, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("claim retries: %w", err)
	}
	return rs, nil
}

// loseRetries is how many one transaction takes.
const loseRetries = 1000

// LoseRetries records as unknown the retries that somebody had in hand whose lease
// ran out: they may have been handed over, and must not be again.
func (s *Store) LoseRetries(ctx context.Context, campaign int64, carrier string) error {
	for n := loseRetries; n == loseRetries; {
		err := s.write(ctx, func(tx *gorm.DB) (err error) {
			ns := counts{}
			n, err = insertCounted(tx, ns, campaign, s.retrySQL().lose, campaign, loseRetries, carrier, CodeInterrupted, TextInterrupted, now())
			if err != nil || n == 0 {
				return err
			}
			if s.Embedded() {
				if err := tx.Exec(sqliteForgetRecorded, campaign).Error; err != nil {
					return err
				}
			}
			return ns.store(tx)
		})
		if err != nil {
			return fmt.Errorf("record lost retries: %w", err)
		}
	}
	return nil
}

// RecordRetries keeps what became of claimed retries: outcomes[i] belongs to
// rs[i]; nil gives the retry back as it was. Those whose lease was lost are left
// alone. Done twice it changes nothing, so it may be tried again after an error.
func (s *Store) RecordRetries(ctx context.Context, campaign int64, carrier string, rs []Retry, outcomes []*Outcome) error {
	var settled, again, back [][]any
	for i, r := range rs {
		o := outcomes[i]
		if o == nil {
			back = append(back, []any{r.Contact, r.Epoch})
			continue
		}
		switch o.tidy(); o.Status {
		case 0:
			again = append(again, []any{r.Contact, r.Epoch, o.Code, o.Text, o.RetryAfter.Milliseconds()})
		default:
			settled = append(settled, []any{r.Contact, r.Epoch, o.Status, o.Ref, o.Code, o.Text})
		}
	}
	err := s.write(ctx, func(tx *gorm.DB) error {
		if err := s.execRows(tx, s.retrySQL().again, again, campaign); err != nil {
			return err
		}
		if err := s.execRows(tx, s.retrySQL().release, back, campaign); err != nil {
			return err
		}
		return s.settleRetries(tx, settled, campaign, carrier)
	})
	if err != nil {
		return fmt.Errorf("record retries: %w", err)
	}
	return nil
}

func (s *Store) settleRetries(tx *gorm.DB, settled [][]any, campaign int64, carrier string) error {
	ns, at := counts{}, now()
	err := s.eachRows(settled, []any{campaign, carrier, at}, func(args []any) error {
		_, err := insertCounted(tx, ns, campaign, s.retrySQL().settle, args...)
		return err
	})
	if err != nil {
		return err
	}
	if s.Embedded() {
		for _, r := range settled {
			if _, err := sqlTx(tx).ExecContext(tx.Statement.Context, sqliteForgetRetry, campaign, r[0], r[1]); err != nil {
				return err
			}
		}
	}
	return ns.store(tx)
}

// execRows runs a statement for rows: see eachRows.
func (s *Store) execRows(tx *gorm.DB, query string, rows [][]any, args ...any) error {
	ctx := tx.Statement.Context
	if len(rows) == 0 || !s.Embedded() {
		return s.eachRows(rows, args, func(args []any) error {
			_, err := sqlTx(tx).ExecContext(ctx, query, args...)
			return err
		})
	}
	stmt, err := sqlTx(tx).PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }()
	return s.eachRows(rows, args, func(args []any) error {
		_, err := stmt.ExecContext(ctx, args...)
		return err
	})
}

// eachRows runs a statement that takes args and after them a row, once for each
// row on SQLite; on PostgreSQL once for all of them, as one JSON document.
func (s *Store) eachRows(rows [][]any, args []any, run func(args []any) error) error {
	if len(rows) == 0 {
		return nil
	}
	if !s.Embedded() {
		doc, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		return run(append(args, string(doc)))
	}
	for _, r := range rows {
		if err := run(slices.Concat(args, r)); err != nil {
			return err
		}
	}
	return nil
}
