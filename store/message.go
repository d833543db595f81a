package store

import (
	"context"
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Message is one campaign to one recipient. It has a row from the moment its
// outcome is known.
type Message struct {
	CampaignID int64
	ContactID  int64
	Round      int // grows when a failed recipient is sent to again on request
	Status     MessageStatus
	Variant    int
	Attempts   int
	Carrier    *string
	CarrierRef *string
	Code       *string // the carrier's own; the reason of a skipped one
	Text       *string
	RecordedAt time.Time
	UpdatedAt  *time.Time

	Contact *string `gorm:"->;column:contact"` // con_…, nil once the contact is deleted
}

// What stands at a message that somebody had in hand who is gone, where nothing is
// handed over twice.
const (
	CodeInterrupted = "interrupted"
	TextInterrupted = "The process that had the message in hand ended before the outcome was recorded."
)

// PublicID is the message's name outside, see MessageID.
func (m *Message) PublicID() string { return MessageID(m.CampaignID, m.ContactID, m.Round) }

// messageEncoding is Crockford's base32 in lower case, as in TypeID.
var messageEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// MessageID derives a message's id: the same message has the same id in every
// process and after every crash. It is the carrier's idempotency key, the
// Message-ID of a mail, and what a receipt comes back with. Campaign and round
// are bounded by 48 and 15 bits.
func MessageID(campaign, contact int64, round int) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[0:], uint64(campaign)<<16)
	binary.BigEndian.PutUint64(b[6:], uint64(contact))
	binary.BigEndian.PutUint16(b[14:], uint16(round))
	out := make([]byte, 4, 4+26)
	copy(out, "msg_")
	return string(messageEncoding.AppendEncode(out, b[:]))
}

// ParseMessageID reads what MessageID made; ok is false for anything else.
func ParseMessageID(id string) (campaign, contact int64, round int, ok bool) {
	text, prefixed := strings.CutPrefix(id, "msg_")
	b, err := messageEncoding.DecodeString(text)
	if !prefixed || err != nil || len(b) != 16 {
		return 0, 0, 0, false
	}
	campaign = int64(binary.BigEndian.Uint64(b[0:]) >> 16)
	contact = int64(binary.BigEndian.Uint64(b[6:]))
	round = int(binary.BigEndian.Uint16(b[14:]))
	// The decoder takes more than was ever encoded: line breaks, stray last bits,
	// a round that no column holds.
	return campaign, contact, round, MessageID(campaign, contact, round) == id && round <= math.MaxInt16
}

// Messages lists a campaign's messages in contact order; status 0 means all.
func (s *Store) Messages(ctx context.Context, sc Scope, campaign string, status MessageStatus, p Page) (c Campaign, ms []Message, next string, err error) {
	if err := s.read(ctx).Where(sc.in()).Where("public_id = ?", campaign).Take(&c).Error; err != nil {
		return c, nil, "", missing(err, "campaign", campaign)
	}
	if p.Cursor == "" && (status == MessageSent || status == MessageDelivered) {
		if some, err := anyMessage(s.read(ctx), &c, status); err != nil || !some {
			return c, nil, "", err // instead of looking through all of them
		}
	}
	err = s.walk(ctx, func(tx *gorm.DB) error {
		// The contact by a subquery, which runs for the rows of the page alone: for a
		// join, PostgreSQL without statistics of new tables reads all contacts for each.
		contact := tx.Model(&Contact{}).Select("public_id").Where(sc.in()).Where("id = messages.contact_id")
		q := tx.Table(s.messagesIn(status)).Select("messages.*, (?) AS contact", contact).Where("campaign_id = ?", c.ID)
		if status != 0 {
			q = q.Where("status = ?", status)
		}
		if status > MessageDelivered {
			q = q.Where("status > 2") // literally as in messages_rare
		}
		ms, next, err = pageOf(ctx, s, q, sc, fmt.Sprint("messages ", c.ID), p, oldestFirst, "contact_id", func(m *Message) int64 { return m.ContactID })
		if err != nil {
			return fmt.Errorf("list messages: %w", err)
		}
		return nil
	})
	return c, ms, next, err
}

// messagesIn is where messages in a status are read from. SQLite believes that the
// primary key leads to a few messages of a campaign.
func (s *Store) messagesIn(status MessageStatus) string {
	if s.Embedded() && status > MessageDelivered {
		return "messages INDEXED BY messages_rare"
	}
	return "messages"
}

// anyMessage says by the counters whether any message of the campaign is sent or
// delivered, whichever is asked.
func anyMessage(q *gorm.DB, c *Campaign, status MessageStatus) (bool, error) {
	all, err := c.counters(q)
	var sum Counters
	for _, n := range all {
		sum = sum.plus(n)
	}
	if status == MessageSent {
		return sum.Sent() > 0, err
	}
	return sum.Delivered > 0, err
}

// walk runs reads that cut a page out of many rows along an index. PostgreSQL
// guesses that a campaign or list it has no statistics of has few rows; then
// reading and sorting them all for each page looks no worse to it than the walk.
func (s *Store) walk(ctx context.Context, f func(tx *gorm.DB) error) error {
	if s.Embedded() {
		return f(s.read(ctx))
	}
	return s.read(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("SET LOCAL enable_sort = off").Error; err != nil {
			return fmt.Errorf("set the planner: %w", err)
		}
		return f(tx)
	}, &sql.TxOptions{ReadOnly: true})
}

// insertSkipped records contacts of the audience that get no message, with the
// reason.
func (s *Store) insertSkipped(tx *gorm.DB, campaign int64, ms []skippedMember) error {
	rows := make([]Message, len(ms))
	at := now()
	for i, m := range ms {
		rows[i] = Message{CampaignID: campaign, ContactID: m.contact, Variant: m.variant, Status: MessageSkipped, Code: &ms[i].why, RecordedAt: at}
	}
	if len(rows) == 0 {
		return nil
	}
	return tx.CreateInBatches(rows, 1000).Error
}

// Taken says whether a carrier took the message, whatever came later: a failed
// one was taken if a receipt changed it since.
func (m *Message) Taken() bool {
	switch m.Status {
	case MessageSent, MessageDelivered, MessageUnknown:
		return true
	case MessageFailed:
		return m.UpdatedAt != nil
	}
	return false
}
