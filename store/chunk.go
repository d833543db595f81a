package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Chunk is a slice of a campaign's frozen audience that one sender works at a
// time. Who holds the lease knows Epoch; every write is fenced by it.
type Chunk struct {
	Campaign int64
	N        int
	Variant  int
	Epoch    int
	IDs      []int64 // the contacts, ascending
	Done     int     // IDs[:Done] have a recorded outcome
	Intent   int     // IDs[Done:Intent] may have been handed over, if nobody recorded them
}

// MessageStatus is where a message stands. The numbers are stored.
type MessageStatus int16

// The statuses of a message: a row exists once the outcome is known.
const (
	MessageSent      MessageStatus = 1
	MessageDelivered MessageStatus = 2
	MessageFailed    MessageStatus = 3
	MessageUnknown   MessageStatus = 4
	MessageSkipped   MessageStatus = 5
	MessageCancelled MessageStatus = 6
)

// Outcome is what became of one hand-over. Of its texts only what both databases
// can keep is kept: valid UTF-8 without NUL.
type Outcome struct {
	Contact int64
	Status  MessageStatus // sent, failed, unknown or skipped; 0: to be tried again after RetryAfter
	Ref     string        // the carrier's name for it
	Code    string        // the carrier's own, or the reason of a skip
	Text    string

	RetryAfter time.Duration
}

func (o *Outcome) tidy() {
	o.Ref, o.Code, o.Text = harmless(o.Ref), harmless(o.Code), harmless(o.Text)
}

// Record is what a sender tells of its chunk.
type Record struct {
	Carrier  string
	Outcomes []Outcome
	Done     int           // IDs[:Done] are now recorded
	Intent   int           // IDs[Done:Intent] may be handed over before the next record
	Lease    time.Duration // from now; 0 gives the chunk back: finished if Done covers it, else free
}

// chunkSQL are the statements on chunks, each once per dialect.
type chunkSQL struct{ insert, claim, recorded, record, results, retries string }

var postgresChunks = chunkSQL{
	insert: `INSERT INTO campaign_chunks (campaign_id, n, variant, ids) VALUES ($1, $2, $3, $4)`,
	claim: `UPDATE campaign_chunks SET status = 1, epoch = epoch + 1, owner = $4, lease_until = now() + $2 * interval '1 ms', intent = GREATEST(intent, LEAST(done + $3::int, cardinality(ids)))
WHERE (campaign_id, n) = (
  SELECT campaign_id, n FROM campaign_chunks
  WHERE campaign_id = $1 AND status < 2 AND (status = 0 OR lease_until < now()) AND (not_before IS NULL OR not_before <= now())
    AND EXISTS (SELECT 1 FROM campaigns WHERE id = $1 AND status = 'sending')
  ORDER BY n LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING n, variant, epoch, ids, done, intent`,
	// One look-up for each contact: without statistics, as in the first minutes of
	// a campaign, "= ANY" makes the planner read all of its messages.
	recorded: `SELECT r.contact FROM unnest($2::bigint[]) r (contact) CROSS JOIN LATERAL (
  SELECT 1 FROM messages WHERE campaign_id = $1 AND contact_id = r.contact
  UNION ALL SELECT 1 FROM retries WHERE campaign_id = $1 AND contact_id = r.contact LIMIT 1) known`,
	// One statement: the cursor moves if and only if the results are kept.
	record: `WITH held AS (
  UPDATE campaign_chunks SET status = $4::smallint, done = $5, intent = $6,
    lease_until = CASE WHEN $4::smallint = 1 THEN now() + $7 * interval '1 ms' END,
    accepted = accepted + $8, unknown = unknown + $9, rejected = rejected + $10,
    skipped_no_address = skipped_no_address + $11, skipped_opted_out = skipped_opted_out + $12, skipped_deleted = skipped_deleted + $13
  WHERE campaign_id = $1 AND n = $2 AND epoch = $3 AND status = 1 RETURNING variant),
results AS (
  INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, carrier, carrier_ref, code, text, recorded_at)
  SELECT $1, r.contact, r.status, held.variant, CASE WHEN r.status = 5 THEN 0 ELSE 1 END, NULLIF($14, ''), NULLIF(r.ref, ''), NULLIF(r.code, ''), NULLIF(r.text, ''), $20
  FROM held, unnest($15::bigint[], $16::smallint[], $17::text[], $18::text[], $19::text[]) r (contact, status, ref, code, text)),
again AS (
  INSERT INTO retries (campaign_id, contact_id, variant, attempts, code, text, first_at, run_after)
  SELECT $1, r.contact, held.variant, 1, NULLIF(r.code, ''), NULLIF(r.text, ''), now(), now() + r.wait * interval '1 ms'
  FROM held, unnest($21::bigint[], $22::text[], $23::text[], $24::bigint[]) r (contact, code, text, wait))
SELECT count(*) FROM held`,
}

const sqliteNow = `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`

// SQLite has no data-modifying CTE: three statements in one transaction.
var sqliteChunks = chunkSQL{
	insert: `INSERT INTO campaign_chunks (campaign_id, n, variant, ids) VALUES (?1, ?2, ?3, ?4)`,
	claim: `UPDATE campaign_chunks SET status = 1, epoch = epoch + 1, owner = ?4, lease_until = ` + sqliteNow + ` + ?2 * 1000, intent = MAX(intent, MIN(done + ?3, json_array_length(ids)))
WHERE rowid = (
  SELECT rowid FROM campaign_chunks
  WHERE campaign_id = ?1 AND status < 2 AND (status = 0 OR lease_until < ` + sqliteNow + `) AND (not_before IS NULL OR not_before <= ` + sqliteNow + `)
    AND EXISTS (SELECT 1 FROM campaigns WHERE id = ?1 AND status = 'sending')
  ORDER BY n LIMIT 1)
RETURNING n, variant, epoch, ids, done, intent`,
	recorded: `SELECT contact_id FROM messages WHERE campaign_id = ?1 AND contact_id IN (SELECT value FROM json_each(?2))
UNION ALL SELECT contact_id FROM retries WHERE campaign_id = ?1 AND contact_id IN (SELECT value FROM json_each(?2))`,
	record: `UPDATE campaign_chunks SET status = ?4, done = ?5, intent = ?6,
  lease_until = CASE WHEN ?4 = 1 THEN ` + sqliteNow + ` + ?7 * 1000 END,
  accepted = accepted + ?8, unknown = unknown + ?9, rejected = rejected + ?10,
  skipped_no_address = skipped_no_address + ?11, skipped_opted_out = skipped_opted_out + ?12, skipped_deleted = skipped_deleted + ?13
WHERE campaign_id = ?1 AND n = ?2 AND epoch = ?3 AND status = 1`,
	results: `INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, carrier, carrier_ref, code, text, recorded_at)
SELECT ?1, value ->> 0, value ->> 1, ?2, CASE WHEN value ->> 1 = 5 THEN 0 ELSE 1 END, NULLIF(?3, ''), NULLIF(value ->> 2, ''), NULLIF(value ->> 3, ''), NULLIF(value ->> 4, ''), ?4
FROM json_each(?5)`,
	retries: `INSERT INTO retries (campaign_id, contact_id, variant, attempts, code, text, first_at, run_after)
SELECT ?1, value ->> 0, ?2, 1, NULLIF(value ->> 1, ''), NULLIF(value ->> 2, ''), ` + sqliteNow + `, ` + sqliteNow + ` + (value ->> 3) * 1000
FROM json_each(?3)`,
}

func (s *Store) chunkSQL() *chunkSQL {
	if s.Embedded() {
		return &sqliteChunks
	}
	return &postgresChunks
}

func (s *Store) insertChunks(tx *gorm.DB, chunks []Chunk) error {
	for _, k := range chunks {
		if _, err := sqlTx(tx).ExecContext(tx.Statement.Context, s.chunkSQL().insert, k.Campaign, k.N, k.Variant, s.idsArg(k.IDs)); err != nil {
			return err
		}
	}
	return nil
}

// sqlTx is the transaction that GORM runs on. It holds as long as PrepareStmt is off.
func sqlTx(tx *gorm.DB) *sql.Tx { return tx.Statement.ConnPool.(*sql.Tx) }

// ClaimChunk leases the next free chunk of a campaign that is sending, or one
// whose lease ran out, by the database's clock, to a worker. window is how many
// recipients may be handed over before the first record; with 0, and only then, Intent says
// what the holder before may have. It returns nil when there is none.
func (s *Store) ClaimChunk(ctx context.Context, campaign int64, worker string, lease time.Duration, window int) (*Chunk, error) {
	k := &Chunk{Campaign: campaign}
	err := s.sql.QueryRowContext(ctx, s.chunkSQL().claim, campaign, lease.Milliseconds(), window, worker).
		Scan(&k.N, &k.Variant, &k.Epoch, s.idsScan(&k.IDs), &k.Done, &k.Intent)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("claim a chunk: %w", err)
	}
	return k, nil
}

// Unrecorded are those of the contacts, in their order, for whom the campaign
// has recorded neither an outcome nor a soft failure. A chunk that was held
// before can have recorded outcomes beyond its cursor.
func (s *Store) Unrecorded(ctx context.Context, campaign int64, contacts []int64) ([]int64, error) {
	done, err := scanIDs(ctx, s.sqlRO, s.chunkSQL().recorded, campaign, s.idsArg(contacts))
	if err != nil {
		return nil, fmt.Errorf("read what is recorded of a chunk: %w", err)
	}
	known := make(map[int64]struct{}, len(done))
	for _, id := range done {
		known[id] = struct{}{}
	}
	open := make([]int64, 0, len(contacts))
	for _, id := range contacts {
		if _, ok := known[id]; !ok {
			open = append(open, id)
		}
	}
	return open, nil
}

// RecordChunk keeps outcomes, moves the cursor and renews the lease in one
// statement, fenced by the epoch. held is false when the lease was lost: nothing
// was kept, and the sender must drop the chunk. After an error it is unknown
// whether anything was kept: ask Unrecorded before an outcome is told again.
func (s *Store) RecordChunk(ctx context.Context, k *Chunk, r Record) (held bool, err error) {
	status, intent := 1, min(r.Intent, len(k.IDs))
	if r.Lease == 0 {
		status, intent = 0, r.Done // nothing is on its way any more
		if r.Done == len(k.IDs) {
			status = 2
		}
	}
	var n Counters
	r.Outcomes = slices.Clone(r.Outcomes) // the sender appends to its own meanwhile
	for i := range r.Outcomes {
		r.Outcomes[i].tidy()
		n.count(r.Outcomes[i].Status, r.Outcomes[i].Code)
	}
	args := []any{
		k.Campaign, k.N, k.Epoch, status, r.Done, intent, r.Lease.Milliseconds(),
		n.Accepted, n.Unknown, n.Rejected, n.SkippedNoAddress, n.SkippedOptedOut, n.SkippedDeleted,
	}
	if s.Embedded() {
		held, err = s.recordSQLite(ctx, k, r, args)
	} else {
		held, err = s.recordPostgres(ctx, r, args)
	}
	if err != nil {
		return false, fmt.Errorf("record a chunk: %w", err)
	}
	return held, nil
}

func (s *Store) recordPostgres(ctx context.Context, r Record, args []any) (bool, error) {
	o := columnsOf(r.Outcomes)
	args = append(args, r.Carrier, o.contacts, o.statuses, o.refs, o.codes, o.texts, now(), o.again, o.againCodes, o.againTexts, o.waits)
	var held int
	err := s.sql.QueryRowContext(ctx, postgresChunks.record, args...).Scan(&held)
	return held == 1, err
}

func (s *Store) recordSQLite(ctx context.Context, k *Chunk, r Record, args []any) (bool, error) {
	tx, err := s.sql.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	res, err := tx.ExecContext(ctx, sqliteChunks.record, args...)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	settled, again := jsonOutcomes(r.Outcomes)
	if settled != "[]" {
		if _, err := tx.ExecContext(ctx, sqliteChunks.results, k.Campaign, k.Variant, r.Carrier, now(), settled); err != nil {
			return false, err
		}
	}
	if again != "[]" {
		if _, err := tx.ExecContext(ctx, sqliteChunks.retries, k.Campaign, k.Variant, again); err != nil {
			return false, err
		}
	}
	return true, tx.Commit()
}
