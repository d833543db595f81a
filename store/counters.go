package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Counters count the recipients of one variant of a campaign. Every recipient
// is in Total; what is in none of the others is still queued.
type Counters struct {
	CampaignID       int64 `gorm:"primaryKey;autoIncrement:false"`
	Variant          int   `gorm:"primaryKey;autoIncrement:false"`
	Total            int64
	Accepted         int64 // taken by the carrier, whatever came later
	Rejected         int64 // refused for good, never taken
	Delivered        int64 // of the accepted: a final good receipt
	Undelivered      int64 // of the accepted: a final bad receipt
	Unknown          int64 // of the accepted: the outcome is lost
	SkippedNoAddress int64
	SkippedOptedOut  int64
	SkippedDeleted   int64
	Cancelled        int64
}

// TableName is where GORM finds counters.
func (Counters) TableName() string { return "campaign_counters" }

// Skipped is the sum over the reasons.
func (c Counters) Skipped() int64 { return c.SkippedNoAddress + c.SkippedOptedOut + c.SkippedDeleted }

// Sent are those taken by the carrier that have no final receipt yet.
func (c Counters) Sent() int64 { return c.Accepted - c.Delivered - c.Undelivered - c.Unknown }

// Failed are those refused for good or with a final bad receipt.
func (c Counters) Failed() int64 { return c.Rejected + c.Undelivered }

// Queued are those not yet taken by a carrier.
func (c Counters) Queued() int64 {
	return c.Total - c.Accepted - c.Rejected - c.Skipped() - c.Cancelled
}

// count counts a message that is recorded; code is why one is skipped.
func (c *Counters) count(s MessageStatus, code string) {
	switch s {
	case MessageSent:
		c.Accepted++
	case MessageUnknown:
		c.Accepted++
		c.Unknown++
	case MessageFailed:
		c.Rejected++
	case MessageCancelled:
		c.Cancelled++
	case MessageSkipped:
		switch code {
		case SkipNoAddress:
			c.SkippedNoAddress++
		case SkipOptedOut:
			c.SkippedOptedOut++
		case SkipDeleted:
			c.SkippedDeleted++
		}
	}
}

// insertCounted runs an insert of a campaign's messages that returns (variant,
// status, code), and counts them. It says how many they are.
func insertCounted(tx *gorm.DB, ns counts, campaign int64, query string, args ...any) (n int, err error) {
	rows, err := sqlTx(tx).QueryContext(tx.Statement.Context, query, args...)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for ; rows.Next(); n++ {
		c := Counters{CampaignID: campaign}
		var status MessageStatus
		var code sql.NullString
		if err := rows.Scan(&c.Variant, &status, &code); err != nil {
			return n, err
		}
		c.count(status, code.String)
		ns.add(c)
	}
	return n, rows.Err()
}

// add adds the counts to the stored ones of the same campaign and variant.
func (c Counters) add(tx *gorm.DB) error {
	err := tx.Exec(`UPDATE campaign_counters SET total = total + ?, accepted = accepted + ?, rejected = rejected + ?,
 delivered = delivered + ?, undelivered = undelivered + ?, unknown = unknown + ?, skipped_no_address = skipped_no_address + ?,
 skipped_opted_out = skipped_opted_out + ?, skipped_deleted = skipped_deleted + ?, cancelled = cancelled + ?
 WHERE campaign_id = ? AND variant = ?`, c.Total, c.Accepted, c.Rejected, c.Delivered, c.Undelivered, c.Unknown,
		c.SkippedNoAddress, c.SkippedOptedOut, c.SkippedDeleted, c.Cancelled, c.CampaignID, c.Variant).Error
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	return nil
}

// counts are Counters to add, by campaign and variant.
type counts map[[2]int64]Counters

func (cs counts) add(n Counters) {
	k := [2]int64{n.CampaignID, int64(n.Variant)}
	cs[k] = n.plus(cs[k])
}

// store adds them to the stored ones. Everybody does it in one order and as the
// last thing in a transaction, so that no two wait for each other.
func (cs counts) store(tx *gorm.DB) error {
	for _, k := range slices.SortedFunc(maps.Keys(cs), func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) }) {
		if err := cs[k].add(tx); err != nil {
			return err
		}
	}
	return nil
}

// plus is the sum over variants.
func (c Counters) plus(d Counters) Counters {
	c.Total += d.Total
	c.Accepted += d.Accepted
	c.Rejected += d.Rejected
	c.Delivered += d.Delivered
	c.Undelivered += d.Undelivered
	c.Unknown += d.Unknown
	c.SkippedNoAddress += d.SkippedNoAddress
	c.SkippedOptedOut += d.SkippedOptedOut
	c.SkippedDeleted += d.SkippedDeleted
	c.Cancelled += d.Cancelled
	return c
}

// VariantProgress is the part of one variant of an A/B test.
type VariantProgress struct {
	Name string
	Counters
}

// Progress is how far a campaign is. Its parts are disjoint and add up to Total
// at every moment.
type Progress struct {
	Counters
	AudienceFinal bool              // Total stands
	Variants      []VariantProgress // A/B tests only
	Rate          float64           // messages per second of sending, pauses left out
	CompletedAt   *time.Time        // an estimate, while sending
}

// countersOf sums what is counted inside and outside the chunks, in one
// statement, so that both are of the same moment.
const countersOf = `SELECT campaign_id, variant, SUM(total) AS total, SUM(accepted) AS accepted, SUM(rejected) AS rejected, SUM(delivered) AS delivered,
 SUM(undelivered) AS undelivered, SUM(unknown) AS unknown, SUM(skipped_no_address) AS skipped_no_address,
 SUM(skipped_opted_out) AS skipped_opted_out, SUM(skipped_deleted) AS skipped_deleted, SUM(cancelled) AS cancelled
FROM (SELECT * FROM campaign_counters WHERE campaign_id = @id
 UNION ALL
 SELECT campaign_id, variant, 0, accepted, rejected, 0, 0, unknown, skipped_no_address, skipped_opted_out, skipped_deleted, 0
 FROM campaign_chunks WHERE campaign_id = @id) parts
GROUP BY campaign_id, variant ORDER BY variant`

// Progress of a campaign as read by Campaign. A campaign that never started has
// no recipients.
func (s *Store) Progress(ctx context.Context, c *Campaign) (p Progress, err error) {
	p.AudienceFinal = c.Built
	if c.StartedAt == nil {
		return p, nil
	}
	cs, err := c.counters(s.read(ctx))
	if err != nil {
		return p, err
	}
	for i, n := range cs {
		if c.Status == Cancelled { // what the sweep has not reached yet is cancelled all the same
			n.Cancelled += n.Queued()
		}
		p.Counters = p.plus(n)
		if c.ABTest != nil {
			p.Variants = append(p.Variants, VariantProgress{c.ABTest.Variants[i].Name, n})
		}
	}
	p.estimate(c)
	return p, nil
}

// counters are what is counted of the campaign, by variant.
func (c *Campaign) counters(q *gorm.DB) (cs []Counters, err error) {
	if err := q.Raw(countersOf, map[string]any{"id": c.ID}).Scan(&cs).Error; err != nil {
		return nil, fmt.Errorf("read the progress: %w", err)
	}
	return cs, nil
}

// farthest is how far ahead an end is estimated.
const farthest = 100 * 365 * 24 * time.Hour

// estimate takes the average over the time of sending.
func (p *Progress) estimate(c *Campaign) {
	if c.SendingSince == nil {
		return
	}
	took := time.Duration(c.SendingFor)*time.Microsecond + now().Sub(*c.SendingSince)
	handled := p.Accepted + p.Rejected
	if handled == 0 || took <= 0 {
		return
	}
	p.Rate = float64(handled) / took.Seconds()
	if left := float64(p.Queued()) / p.Rate; c.Built && left < farthest.Seconds() {
		at := now().Add(time.Duration(left * float64(time.Second)))
		p.CompletedAt = &at
	}
}
