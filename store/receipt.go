package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Receipt is what a carrier says later of a message it took. It waits in an
// inbox until it is folded into its message: it may come before the message's
// own row is written.
type Receipt struct {
	ID         int64
	CampaignID int64
	ContactID  int64
	Round      int
	Carrier    string        // who says it
	Status     MessageStatus // delivered, failed or unknown
	Code, Text *string
	ReceivedAt time.Time
	NotBefore  time.Time
}

// MessageID names the message it is for.
func (r *Receipt) MessageID() string { return MessageID(r.CampaignID, r.ContactID, r.Round) }

// AddReceipts puts a carrier's receipts into the inbox, all or none. Those of
// messages that do not exist are dropped later, when they have waited long enough.
// Of their texts only what both databases can keep is kept: valid UTF-8 without NUL.
func (s *Store) AddReceipts(ctx context.Context, carrier string, rs []Receipt) error {
	if len(rs) == 0 {
		return nil
	}
	at := now()
	for i := range rs {
		r := &rs[i]
		r.Carrier, r.ReceivedAt, r.Code, r.Text = carrier, at, harmlessIf(r.Code), harmlessIf(r.Text)
		if r.NotBefore.Before(at) {
			r.NotBefore = at
		}
		r.NotBefore = r.NotBefore.UTC().Truncate(time.Microsecond)
	}
	err := s.write(ctx, func(tx *gorm.DB) error { return tx.CreateInBatches(rs, 1000).Error })
	if err != nil {
		return fmt.Errorf("keep receipts: %w", err)
	}
	s.announce(0)
	return nil
}

func harmlessIf(s *string) *string {
	if s == nil {
		return nil
	}
	t := harmless(*s)
	return &t
}

const (
	foldBatch = 1000

	// receiptPatience is how long a receipt waits for its message to have a row.
	receiptPatience = 24 * time.Hour
)

// FoldReceipts folds a batch of receipts into their messages and the counters,
// and returns how many it took, and those among them that it dropped, as they are
// for no message that their carrier had. It is idempotent and forward only: sent,
// then unknown, then delivered or failed, which are final. Several processes may
// fold at once.
func (s *Store) FoldReceipts(ctx context.Context) (n int, dropped []Receipt, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		var rs []Receipt
		if err := s.skipLocked(tx).Where("not_before <= ?", now()).Order("not_before, id").Limit(foldBatch).Find(&rs).Error; err != nil {
			return err
		}
		if n = len(rs); n == 0 {
			return nil
		}
		ms, err := s.messagesOf(tx, rs)
		if err != nil {
			return err
		}
		dropped, err = s.fold(tx, rs, ms)
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("fold receipts: %w", err)
	}
	return n, dropped, nil
}

func (s *Store) skipLocked(tx *gorm.DB) *gorm.DB {
	if s.Embedded() {
		return tx
	}
	return tx.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
}

type messageKey struct {
	campaign, contact int64
	round             int
}

// messagesOf reads the rows of the messages that receipts are for, campaign by
// campaign, locked, in contact order so that two folders never wait crosswise.
func (s *Store) messagesOf(tx *gorm.DB, rs []Receipt) (map[messageKey]*Message, error) {
	contacts := map[int64][]int64{}
	for _, r := range rs {
		contacts[r.CampaignID] = append(contacts[r.CampaignID], r.ContactID)
	}
	ms := make(map[messageKey]*Message, len(rs))
	for _, campaign := range slices.Sorted(maps.Keys(contacts)) {
		var rows []Message
		err := s.locked(tx).Select("campaign_id, contact_id, round, status, variant, carrier").
			Where("campaign_id = ?", campaign).Where(s.among("contact_id", contacts[campaign])).Order("contact_id, round").Find(&rows).Error
		if err != nil {
			return nil, err
		}
		for i := range rows {
			m := &rows[i]
			ms[messageKey{m.CampaignID, m.ContactID, m.Round}] = m
		}
	}
	return ms, nil
}

func (s *Store) fold(tx *gorm.DB, rs []Receipt, ms map[messageKey]*Message) (dropped []Receipt, err error) {
	ns, changed := counts{}, map[int64]map[messageKey][]any{} // by campaign
	gone, early := []int64{}, map[time.Duration][]int64{}
	for _, r := range rs {
		k := messageKey{r.CampaignID, r.ContactID, r.Round}
		m, age := ms[k], now().Sub(r.ReceivedAt)
		if m == nil && age < receiptPatience {
			early[earlyWait(age)] = append(early[earlyWait(age)], r.ID)
			continue
		}
		gone = append(gone, r.ID)
		if m == nil || !r.isFor(m) {
			dropped = append(dropped, r)
			continue
		}
		if !forward(m.Status, r.Status) {
			continue
		}
		n := transition(m.Status, r.Status)
		n.CampaignID, n.Variant = r.CampaignID, m.Variant
		ns.add(n)
		m.Status = r.Status
		if changed[r.CampaignID] == nil {
			changed[r.CampaignID] = map[messageKey][]any{}
		}
		changed[r.CampaignID][k] = []any{r.ContactID, r.Round, r.Status, r.Code, r.Text}
	}
	for campaign, rows := range changed {
		if err := s.changeMessages(tx, campaign, slices.Collect(maps.Values(rows))); err != nil {
			return nil, err
		}
	}
	if err := s.clearInbox(tx, gone, early); err != nil {
		return nil, err
	}
	return dropped, ns.store(tx)
}

// isFor says whether the receipt's carrier may speak for the message: the one
// that took it, and any where that is unknown, as of what a process had in hand
// when it died.
func (r *Receipt) isFor(m *Message) bool {
	return r.Carrier == "" || m.Carrier == nil || *m.Carrier == r.Carrier
}

// What receipts make of a campaign's messages, once per dialect: see eachRows.
// The messages are read and locked before.
const (
	postgresReceipts = `UPDATE messages SET status = r.status, code = r.code, text = r.text, updated_at = $2
FROM (SELECT (v ->> 0)::bigint AS contact, (v ->> 1)::smallint AS round, (v ->> 2)::smallint AS status, v ->> 3 AS code, v ->> 4 AS text FROM jsonb_array_elements($3::jsonb) v) r
WHERE campaign_id = $1 AND contact_id = r.contact AND messages.round = r.round`
	sqliteReceipts = `UPDATE messages SET status = ?5, code = ?6, text = ?7, updated_at = ?2 WHERE campaign_id = ?1 AND contact_id = ?3 AND round = ?4`
)

func (s *Store) changeMessages(tx *gorm.DB, campaign int64, rows [][]any) error {
	query := postgresReceipts
	if s.Embedded() {
		query = sqliteReceipts
	}
	return s.execRows(tx, query, rows, campaign, now())
}

// clearInbox takes out the receipts that are dealt with; those that came early
// are looked at again.
func (s *Store) clearInbox(tx *gorm.DB, gone []int64, early map[time.Duration][]int64) error {
	for wait, ids := range early {
		err := tx.Model(&Receipt{}).Where(s.among("id", ids)).UpdateColumn("not_before", now().Add(wait)).Error
		if err != nil {
			return err
		}
	}
	return tx.Where(s.among("id", gone)).Delete(&Receipt{}).Error
}

// earlyWait is how soon to look again for the message of a receipt that is so
// old. Most have their row within a flush; those still without one after minutes
// are for a message waiting for its next attempt, or for none at all.
func earlyWait(age time.Duration) time.Duration {
	switch {
	case age < 5*time.Second:
		return 250 * time.Millisecond
	case age < 5*time.Minute:
		return 5 * time.Second
	}
	return 5 * time.Minute
}

// forward says whether a receipt may still change a message.
func forward(from, to MessageStatus) bool {
	return from == MessageSent || from == MessageUnknown && to != MessageUnknown
}

// transition is what a message's move adds to the counters.
func transition(from, to MessageStatus) (n Counters) {
	if from == MessageUnknown {
		n.Unknown--
	}
	switch to {
	case MessageDelivered:
		n.Delivered++
	case MessageFailed:
		n.Undelivered++
	case MessageUnknown:
		n.Unknown++
	}
	return n
}
