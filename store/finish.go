package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// Active is a campaign that the engine may have work for.
type Active struct {
	ID       int64
	PublicID string
	Account  int64 `gorm:"column:account_id"`
	Mode     Mode
	Channel  Channel
	Status   Status
	Name     string
	Sender   *string
	Throttle *int
	Built    bool

	AccountRate float64 // of all live sending of the account, messages per second; 0 for no bound
}

// ActiveCampaigns lists those that have started and are not settled.
func (s *Store) ActiveCampaigns(ctx context.Context) (as []Active, err error) {
	err = s.read(ctx).Model(&Campaign{}).
		Select("id, public_id, account_id, mode, channel, status, name, sender, throttle, built, (SELECT rate FROM accounts WHERE accounts.id = account_id) AS account_rate").
		Where("started_at IS NOT NULL AND NOT settled").Order("id").Find(&as).Error
	if err != nil {
		return nil, fmt.Errorf("list active campaigns: %w", err)
	}
	return as, nil
}

// Settle ends what has nothing left to do: a campaign that is sending, whose
// audience is final and that has no open chunk and no retry, is completed; a
// cancelled one has its rest recorded. The chunks of an ended campaign fold into
// its counters and go. It says whether the campaign is settled now. Any process
// may try at any time.
func (s *Store) Settle(ctx context.Context, campaign int64) (settled bool, err error) {
	settled, err = s.trySettle(ctx, campaign)
	if err != nil {
		return false, fmt.Errorf("settle campaign %d: %w", campaign, err)
	}
	return settled, nil
}

func (s *Store) trySettle(ctx context.Context, campaign int64) (settled bool, err error) {
	c, err := s.campaignByKey(s.read(ctx), campaign)
	if err != nil || c.Settled {
		return c.Settled, err
	}
	if c.Status == Cancelled {
		if err := s.cancelRest(ctx, &c); err != nil {
			return false, err
		}
	}
	// Most tries end here, without a lock.
	if end, err := s.nothingOpen(s.read(ctx), &c); err != nil || !end {
		return false, err
	}
	err = s.write(ctx, func(tx *gorm.DB) (err error) {
		settled, err = s.settle(tx, campaign)
		return err
	})
	if err == nil {
		s.announce(campaign)
	}
	return settled, err
}

func (s *Store) settle(tx *gorm.DB, campaign int64) (settled bool, err error) {
	c, err := s.campaignByKey(s.locked(tx), campaign)
	if err != nil || c.Settled {
		return c.Settled, err
	}
	if settled, err = s.nothingOpen(tx, &c); err != nil || !settled {
		return false, err
	}
	if c.Status == Sending {
		c.complete()
		c.Version, c.UpdatedAt = c.Version+1, now()
	}
	c.Settled = true
	err = tx.Select("status", "completed_at", "sending_since", "sending_for", "version", "updated_at", "settled").UpdateColumns(&c).Error
	if err != nil {
		return false, err
	}
	if err := s.announceTx(tx, c.ID); err != nil {
		return false, err
	}
	return true, foldChunks(tx, c.ID)
}

// nothingOpen says whether a campaign that is sending or cancelled has neither a
// recipient to come nor one on its way.
func (s *Store) nothingOpen(q *gorm.DB, c *Campaign) (bool, error) {
	if !c.Built || c.StartedAt == nil || c.Status != Sending && c.Status != Cancelled {
		return false, nil
	}
	var open bool
	err := q.Raw(`SELECT EXISTS (SELECT 1 FROM campaign_chunks WHERE campaign_id = ? AND status < 2)
 OR EXISTS (SELECT 1 FROM retries WHERE campaign_id = ?)`, c.ID, c.ID).Scan(&open).Error
	return !open, err
}

// foldChunks moves the chunks' counts into the counters.
func foldChunks(tx *gorm.DB, campaign int64) error {
	var sums []Counters
	err := tx.Raw(`SELECT campaign_id, variant, SUM(accepted) AS accepted, SUM(rejected) AS rejected, SUM(unknown) AS unknown,
 SUM(skipped_no_address) AS skipped_no_address, SUM(skipped_opted_out) AS skipped_opted_out, SUM(skipped_deleted) AS skipped_deleted
FROM campaign_chunks WHERE campaign_id = ? GROUP BY campaign_id, variant`, campaign).Scan(&sums).Error
	if err != nil {
		return err
	}
	if err := tx.Exec("DELETE FROM campaign_chunks WHERE campaign_id = ?", campaign).Error; err != nil {
		return err
	}
	ns := counts{}
	for _, n := range sums {
		ns.add(n)
	}
	return ns.store(tx)
}

// cancelSQL are the statements that record what a cancelled campaign has left,
// once per dialect: the chunks that nobody holds, the rest of one of them, and
// the retries that nobody holds. What a process had in hand when it ended may
// have been handed over: that is unknown (4), the others are cancelled (6).
type cancelSQL struct{ free, chunk, close, retries string }

var postgresCancel = cancelSQL{
	free: `SELECT n FROM campaign_chunks WHERE campaign_id = $1 AND (status = 0 OR status = 1 AND lease_until < now()) ORDER BY n LIMIT $2 FOR UPDATE SKIP LOCKED`,
	chunk: `INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, recorded_at)
SELECT k.campaign_id, r.contact, CASE WHEN k.done + r.place <= k.intent THEN 4 ELSE 6 END, k.variant, CASE WHEN k.done + r.place <= k.intent THEN 1 ELSE 0 END, $3
FROM campaign_chunks k, unnest(k.ids[k.done + 1:]) WITH ORDINALITY r (contact, place)
WHERE k.campaign_id = $1 AND k.n = $2
  AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.campaign_id = k.campaign_id AND m.contact_id = r.contact)
  AND NOT EXISTS (SELECT 1 FROM retries t WHERE t.campaign_id = k.campaign_id AND t.contact_id = r.contact)
RETURNING variant, status, code`,
	close: `UPDATE campaign_chunks SET status = 2, epoch = epoch + 1, done = cardinality(ids), lease_until = NULL WHERE campaign_id = $1 AND n = $2`,
	retries: `WITH gone AS (DELETE FROM retries WHERE (campaign_id, contact_id) IN (
  SELECT campaign_id, contact_id FROM retries WHERE campaign_id = $1 AND (lease_until IS NULL OR lease_until < now()) LIMIT $2 FOR UPDATE SKIP LOCKED)
  RETURNING *)
INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, code, text, recorded_at)
SELECT campaign_id, contact_id, CASE WHEN lease_until IS NULL THEN 6 ELSE 4 END, variant, CASE WHEN lease_until IS NULL THEN attempts ELSE attempts + 1 END, code, text, $3 FROM gone
RETURNING variant, status, code`,
}

// On SQLite sqliteForgetRecorded deletes the retries that were recorded.
var sqliteCancel = cancelSQL{
	free: `SELECT n FROM campaign_chunks WHERE campaign_id = ?1 AND (status = 0 OR status = 1 AND lease_until < ` + sqliteNow + `) ORDER BY n LIMIT ?2`,
	chunk: `INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, recorded_at)
SELECT k.campaign_id, r.value, CASE WHEN r.key < k.intent THEN 4 ELSE 6 END, k.variant, CASE WHEN r.key < k.intent THEN 1 ELSE 0 END, ?3
FROM campaign_chunks k, json_each(k.ids) r
WHERE k.campaign_id = ?1 AND k.n = ?2 AND r.key >= k.done
  AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.campaign_id = k.campaign_id AND m.contact_id = r.value)
  AND NOT EXISTS (SELECT 1 FROM retries t WHERE t.campaign_id = k.campaign_id AND t.contact_id = r.value)
RETURNING variant, status, code`,
	close: `UPDATE campaign_chunks SET status = 2, epoch = epoch + 1, done = json_array_length(ids), lease_until = NULL WHERE campaign_id = ?1 AND n = ?2`,
	retries: `INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, code, text, recorded_at)
SELECT campaign_id, contact_id, CASE WHEN lease_until IS NULL THEN 6 ELSE 4 END, variant, CASE WHEN lease_until IS NULL THEN attempts ELSE attempts + 1 END, code, text, ?3
FROM retries WHERE campaign_id = ?1 AND (lease_until IS NULL OR lease_until < ` + sqliteNow + `) ORDER BY contact_id LIMIT ?2
RETURNING variant, status, code`,
}

const sqliteForgetRecorded = `DELETE FROM retries WHERE campaign_id = ? AND EXISTS (
  SELECT 1 FROM messages m WHERE m.campaign_id = retries.campaign_id AND m.contact_id = retries.contact_id)`

// What one transaction takes of a cancelled campaign, so that none is long.
const (
	cancelChunks  = 20
	cancelRetries = 10000
)

// cancelRest records the rest of chunks and retries that nobody holds; what a
// sender still holds it gives back within a second, and a later try takes it.
func (s *Store) cancelRest(ctx context.Context, c *Campaign) error {
	for {
		var more bool
		err := s.write(ctx, func(tx *gorm.DB) (err error) {
			more, err = s.cancelSome(tx, c.ID)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}

func (s *Store) cancelSome(tx *gorm.DB, campaign int64) (more bool, err error) {
	q := &postgresCancel
	if s.Embedded() {
		q = &sqliteCancel
	}
	ctx, ns := tx.Statement.Context, counts{}
	var free []int64
	if free, err = scanIDs(ctx, sqlTx(tx), q.free, campaign, cancelChunks); err != nil {
		return false, err
	}
	for _, n := range free {
		if _, err := insertCounted(tx, ns, campaign, q.chunk, campaign, n, now()); err != nil {
			return false, err
		}
		if _, err := sqlTx(tx).ExecContext(ctx, q.close, campaign, n); err != nil {
			return false, err
		}
	}
	waiting, err := insertCounted(tx, ns, campaign, q.retries, campaign, cancelRetries, now())
	if err != nil {
		return false, err
	}
	if waiting > 0 && s.Embedded() {
		if err := tx.Exec(sqliteForgetRecorded, campaign).Error; err != nil {
			return false, err
		}
	}
	return len(free) == cancelChunks || waiting == cancelRetries, ns.store(tx)
}

// FreeLeases frees every lease, whatever the clock says. Only the one process
// that sends from an SQLite file may do it, at its start: see Exclusive.
func (s *Store) FreeLeases(ctx context.Context) error {
	err := s.write(ctx, func(tx *gorm.DB) error {
		for _, q := range []string{
			"UPDATE campaign_chunks SET status = 0, lease_until = NULL WHERE status = 1",
			"UPDATE retries SET lease_until = 0 WHERE lease_until IS NOT NULL", // not NULL: they may have been handed over
			"UPDATE imports SET lease_until = NULL WHERE lease_until IS NOT NULL AND status = 'running'",
			"DELETE FROM workers",
		} {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("free the leases: %w", err)
	}
	return nil
}
