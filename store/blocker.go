package store

import (
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Blocker is a reason why a draft or scheduled campaign cannot be sent or
// scheduled as it is.
type Blocker struct {
	Code    string
	Message string
	Blocks  []string // send, schedule
}

// same says whether two blockers say the same of the same thing.
func (b Blocker) same(c Blocker) bool { return b.Code == c.Code && b.Message == c.Message }

// loadBlockers fills Blockers for those campaigns that can still have any. What
// several of them share (an audience, a template) is looked up once.
func (s *Store) loadBlockers(q *gorm.DB, cs ...*Campaign) error {
	l := blockerLookup{s: s, q: q, seen: map[string]*Blocker{}}
	for _, c := range cs {
		c.Blockers = nil
		if c.Status != Draft && c.Status != Scheduled {
			continue
		}
		if err := l.load(c); err != nil {
			return fmt.Errorf("look for blockers: %w", err)
		}
	}
	return nil
}

type blockerLookup struct {
	s    *Store
	q    *gorm.DB
	seen map[string]*Blocker
}

func (l *blockerLookup) load(c *Campaign) error {
	both := []string{"send", "schedule"}
	add := func(b *Blocker, err error) error {
		if b != nil {
			b.Blocks = both
			c.Blockers = append(c.Blockers, *b)
		}
		return err
	}
	if err := add(l.audience(c)); err != nil {
		return err
	}
	if err := l.contents(c, add); err != nil {
		return err
	}
	if err := add(l.once(fmt.Sprint("channel ", c.AccountID, c.Mode, c.Channel), func() (*Blocker, error) { return l.channel(c) })); err != nil {
		return err
	}
	switch {
	case c.ScheduledAt == nil:
	case c.ScheduleMissed:
		c.Blockers = append(c.Blockers, Blocker{"SCHEDULE_MISSED", "The campaign fell due and could not be sent; set a new scheduled_at.", []string{"schedule"}})
	case !c.ScheduledAt.After(now()):
		c.Blockers = append(c.Blockers, Blocker{"SCHEDULE_IN_PAST", fmt.Sprintf("scheduled_at, %s, is in the past.", c.ScheduledAt.UTC().Format(time.RFC3339)), []string{"schedule"}})
	}
	return nil
}

func (l *blockerLookup) once(key string, look func() (*Blocker, error)) (*Blocker, error) {
	if b, ok := l.seen[key]; ok {
		return b, nil
	}
	b, err := look()
	l.seen[key] = b
	return b, err
}

func (l *blockerLookup) audience(c *Campaign) (*Blocker, error) {
	if c.SegmentID == nil && c.ListID == nil {
		return &Blocker{Code: "NO_AUDIENCE", Message: "The campaign has neither a segment_id nor a list_id."}, nil
	}
	return l.once(fmt.Sprint("audience ", deref(c.SegmentID), " ", deref(c.ListID)), func() (*Blocker, error) {
		a, err := l.s.audienceOf(l.q, c)
		if b := asBlocker(err); b != nil {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		empty, err := l.empty(c, a)
		if err != nil || !empty {
			return nil, err
		}
		return &Blocker{Code: "AUDIENCE_EMPTY", Message: "The segment or list has no contacts."}, nil
	})
}

// lookedAt is how many contacts are looked at for one that a segment matches. It
// is asked at every read of a draft, and a segment that matches nobody, or few,
// would have all contacts of the account read each time. In a bigger account a
// segment that matches nobody is not noticed: its campaign reaches nobody.
const lookedAt = 10_000

// empty says whether an audience certainly has no contacts.
func (l *blockerLookup) empty(c *Campaign, a Audience) (bool, error) {
	if a.Rule == nil {
		rows, err := l.s.audiencePage(l.q, c, a, 0, 1)
		return len(rows) == 0, err
	}
	sc := Scope{Account: c.AccountID, Mode: c.Mode}
	contacts := func() *gorm.DB { return l.q.Table("contacts").Where(sc.in()).Order(scopeKey) }
	matching, err := l.s.matching(l.q.Table("(?) AS contacts", contacts().Limit(lookedAt)).Select("id"), *a.Rule)
	if err != nil {
		return false, err
	}
	var found []int64
	if err := matching.Limit(1).Find(&found).Error; err != nil || len(found) > 0 {
		return false, err
	}
	err = contacts().Select("id").Offset(lookedAt).Limit(1).Find(&found).Error
	return len(found) == 0, err
}

// contents asks whether each content the campaign will send exists and fits.
func (l *blockerLookup) contents(c *Campaign, add func(*Blocker, error) error) error {
	if c.ABTest == nil {
		if c.Body == nil && c.TemplateID == nil {
			return add(&Blocker{Code: "NO_CONTENT", Message: "The campaign has neither a body nor a template_id."}, nil)
		}
		return add(l.template(c, c.TemplateID))
	}
	told := map[string]bool{}
	for _, v := range c.ABTest.Variants {
		if v.TemplateID == nil || told[*v.TemplateID] {
			continue
		}
		told[*v.TemplateID] = true
		if err := add(l.template(c, v.TemplateID)); err != nil {
			return err
		}
	}
	return nil
}

func (l *blockerLookup) template(c *Campaign, id *string) (*Blocker, error) {
	if id == nil {
		return nil, nil
	}
	return l.once(fmt.Sprint("template ", *id, " ", c.Channel), func() (*Blocker, error) {
		t, err := templateOf(l.q, c, *id)
		if b := asBlocker(err); b != nil {
			return b, nil
		}
		if err == nil && t.Channel != c.Channel {
			return &Blocker{Code: "TEMPLATE_CHANNEL_MISMATCH", Message: fmt.Sprintf("The template %s is for %s, the campaign for %s.", *id, t.Channel, c.Channel)}, nil
		}
		return nil, err
	})
}

// channel asks whether a living worker has a carrier for it. Test campaigns go
// to the sandbox, which every worker has.
func (l *blockerLookup) channel(c *Campaign) (*Blocker, error) {
	if c.Mode == Test {
		return nil, nil
	}
	live, err := l.s.liveWorkers(l.q)
	if err != nil {
		return nil, err
	}
	for _, w := range live {
		for _, ch := range w.Channels {
			if ch == c.Channel {
				return nil, nil
			}
		}
	}
	return &Blocker{Code: "CHANNEL_NOT_CONFIGURED", Message: fmt.Sprintf("No carrier is configured for %s.", c.Channel)}, nil
}

// absent is a part of a campaign that does not exist: a blocker, not a failure.
type absent struct{ Blocker }

func (a absent) Error() string { return a.Message }

func asBlocker(err error) *Blocker {
	var a absent
	if errors.As(err, &a) {
		return &a.Blocker
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
