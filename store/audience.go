package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"gorm.io/gorm"
)

// audienceOf finds who the campaign goes to as things are now; what does not
// exist comes back as an absent error.
func (s *Store) audienceOf(q *gorm.DB, c *Campaign) (Audience, error) {
	sc := Scope{Account: c.AccountID, Mode: c.Mode}
	if c.ListID != nil {
		var l List
		err := q.Where(sc.in()).Where("public_id = ?", *c.ListID).Take(&l).Error
		return Audience{List: l.ID}, orAbsent(err, "LIST_NOT_FOUND", "list", *c.ListID)
	}
	var g Segment
	err := q.Where(sc.in()).Where("public_id = ?", deref(c.SegmentID)).Take(&g).Error
	return Audience{Rule: &g.Rule}, orAbsent(err, "SEGMENT_NOT_FOUND", "segment", deref(c.SegmentID))
}

func templateOf(q *gorm.DB, c *Campaign, id string) (t Template, err error) {
	err = q.Where(Scope{Account: c.AccountID, Mode: c.Mode}.in()).Where("public_id = ?", id).Take(&t).Error
	return t, orAbsent(err, "TEMPLATE_NOT_FOUND", "template", id)
}

func orAbsent(err error, code, noun, id string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return absent{Blocker{Code: code, Message: fmt.Sprintf("The %s %s does not exist.", noun, id)}}
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", noun, err)
	}
	return nil
}

// Why a contact of the audience gets no message, in the contract's words: the
// Code of an Outcome that is skipped.
const (
	SkipNoAddress = "no_address"
	SkipOptedOut  = "opted_out"
	SkipDeleted   = "deleted"
)

// member is a contact of the audience.
type member struct {
	ID   int64
	Skip string // why it cannot be sent to, "" if it can
}

// audiencePage reads the next contacts of an audience by keyset. For a list it
// asks for each member's contact by a subquery: a join PostgreSQL may turn around,
// and without statistics does, to ask for each contact of the account whether it
// is a member.
func (s *Store) audiencePage(q *gorm.DB, c *Campaign, a Audience, after int64, limit int) (ms []member, err error) {
	skip := "CASE WHEN contacts." + addressColumn(c.Channel) + " IS NULL THEN '" + SkipNoAddress + "' WHEN contacts.opted_out & ? <> 0 THEN '" + SkipOptedOut + "' ELSE '' END"
	if a.Rule == nil {
		q = q.Table("list_members").Select("contact_id AS id, (SELECT "+skip+" FROM contacts WHERE contacts.id = contact_id) AS skip", c.Channel.bit()).
			Where("list_id = ? AND contact_id > ?", a.List, after).Order("contact_id")
	} else {
		where, args, err := s.ruleWhere(*a.Rule)
		if err != nil {
			return nil, fmt.Errorf("compile the segment's rule: %w", err)
		}
		q = q.Table("contacts").Select("contacts.id, "+skip+" AS skip", c.Channel.bit()).
			Where("contacts.account_id = ? AND contacts.mode = ? AND "+scopeKey+" > ?", c.AccountID, c.Mode, after).
			Where(where, args...).Order(scopeKey)
	}
	if err := q.Limit(limit).Find(&ms).Error; err != nil {
		return nil, fmt.Errorf("read the audience: %w", err)
	}
	return ms, nil
}

func addressColumn(c Channel) string {
	if c == Email {
		return "email"
	}
	return "phone"
}

// Content is what one variant of a campaign says, as copied when sending
// started. Without an A/B test there is one, variant 0.
type Content struct {
	CampaignID  int64 `gorm:"primaryKey"`
	Variant     int   `gorm:"primaryKey;autoIncrement:false"`
	Name        string
	Percentage  int
	Subject     string
	Body        string
	ContentType string
}

// TableName is where GORM finds contents.
func (Content) TableName() string { return "campaign_contents" }

// freezeContent copies content and audience: from here on edits of templates,
// segments and lists' rules change nothing. Send has seen that they exist; what
// was deleted since refuses it all the same.
func (s *Store) freezeContent(tx *gorm.DB, c *Campaign) error {
	err := s.copyContent(tx, c)
	if b := asBlocker(err); b != nil {
		return unready("send", Fault{Code: b.Code, Message: b.Message})
	}
	return err
}

func (s *Store) copyContent(tx *gorm.DB, c *Campaign) error {
	a, err := s.audienceOf(tx, c)
	if err != nil {
		return err
	}
	c.Audience = &a
	variants := []Variant{{Name: "", Body: c.Body, TemplateID: c.TemplateID, Percentage: 100}}
	if c.ABTest != nil {
		variants = c.ABTest.Variants
	}
	for i, v := range variants {
		content, err := c.contentOf(tx, v)
		if err != nil {
			return err
		}
		content.CampaignID, content.Variant = c.ID, i
		if err := tx.Create(&content).Error; err != nil {
			return fmt.Errorf("copy the content: %w", err)
		}
		if err := tx.Create(&Counters{CampaignID: c.ID, Variant: i}).Error; err != nil {
			return fmt.Errorf("start the counters: %w", err)
		}
	}
	return nil
}

// contentOf resolves a variant. The subject is the variant's, else the
// campaign's, else the template's, else the campaign's name.
func (c *Campaign) contentOf(tx *gorm.DB, v Variant) (Content, error) {
	out := Content{Name: v.Name, Percentage: v.Percentage, Body: deref(v.Body), ContentType: c.contentType()}
	var ofTemplate *string
	if v.TemplateID != nil {
		t, err := templateOf(tx, c, *v.TemplateID)
		if err != nil {
			return Content{}, err
		}
		out.Body, out.ContentType, ofTemplate = t.Body, t.ContentType, t.Subject
	}
	for _, subject := range []*string{v.Subject, c.Subject, ofTemplate, &c.Name} {
		if subject != nil {
			out.Subject = *subject
			break
		}
	}
	return out, nil
}

// Contents are what a campaign that is sending says, by variant.
func (s *Store) Contents(ctx context.Context, campaign int64) (cs []Content, err error) {
	if err := s.read(ctx).Where("campaign_id = ?", campaign).Order("variant").Find(&cs).Error; err != nil {
		return nil, fmt.Errorf("read the content: %w", err)
	}
	return cs, nil
}

// variantOf gives a contact its variant: a hash of campaign and contact, so
// that it is the same however often and in whatever order it is asked, and the
// shares are even. FNV-1a's low bits are mixed by the finaliser of MurmurHash3.
func variantOf(campaign, contact int64, contents []Content) int {
	if len(contents) == 1 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(campaign)), uint64(contact)))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	share := int(x % 100)
	for i, c := range contents {
		if share -= c.Percentage; share < 0 {
			return i
		}
	}
	return len(contents) - 1
}
