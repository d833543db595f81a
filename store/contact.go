package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Contact is a person as the account knows them. ExternalID, Phone and Email
// are each unique within account and mode; at least one of them is set.
type Contact struct {
	ID         int64
	PublicID   string // con_…
	AccountID  int64
	Mode       Mode
	ExternalID *string
	Phone      *string // E.164
	Email      *string // lower case
	FirstName  *string
	LastName   *string
	Country    *string        // ISO 3166-1 alpha-2, upper case
	Tags       []string       `gorm:"serializer:json"` // sorted, each once
	Attributes map[string]any `gorm:"serializer:json"` // string, float64 or bool
	OptedOut   ChannelSet
	Search     string // folded names, addresses and external id
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// CreateContact stores a new contact; what the caller leaves to us (ids, scope,
// times, Search) is filled in.
func (s *Store) CreateContact(ctx context.Context, sc Scope, c Contact) (Contact, error) {
	if err := faulty(normalise(&c)...); err != nil {
		return Contact{}, err
	}
	c.ID, c.PublicID, c.AccountID, c.Mode = 0, newID("con"), sc.Account, sc.Mode
	c.CreatedAt = now()
	c.UpdatedAt = c.CreatedAt
	// A transaction, so that within Once contactClash may read after a refusal.
	err := s.write(ctx, func(tx *gorm.DB) error { return tx.Create(&c).Error })
	if err != nil {
		return Contact{}, s.contactClash(ctx, sc, &c, fmt.Errorf("create contact: %w", err))
	}
	return c, nil
}

// Contact finds a contact by its public id.
func (s *Store) Contact(ctx context.Context, sc Scope, id string) (Contact, error) {
	return find[Contact](s.read(ctx), sc, "contact", id)
}

// ContactFilter narrows a list of contacts; what is empty does not. List is taken
// alone.
type ContactFilter struct {
	Search  string // part of names, addresses or external id
	List    string // public id
	Segment string // public id
}

// Contacts lists contacts, newest first. A list or segment that does not exist
// is CodeNotFound.
func (s *Store) Contacts(ctx context.Context, sc Scope, f ContactFilter, p Page) (cs []Contact, next string, err error) {
	if f.List != "" {
		return s.members(ctx, sc, f.List, p)
	}
	q := searching(s.read(ctx).Where(sc.in()), f.Search)
	if f.Segment != "" {
		g, err := s.Segment(ctx, sc, f.Segment)
		if err != nil {
			return nil, "", err
		}
		if q, err = s.matching(q, g.Rule); err != nil {
			return nil, "", err
		}
	}
	cs, next, err = pageOf(ctx, s, q, sc, "contacts "+f.Segment, p, newestFirst, scopeKey, func(c *Contact) int64 { return c.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list contacts: %w", err)
	}
	return cs, next, nil
}

// members lists the contacts of a list. The list is read first, which may be
// short among many contacts: a join PostgreSQL may turn around, see audiencePage.
func (s *Store) members(ctx context.Context, sc Scope, list string, p Page) (cs []Contact, next string, err error) {
	l, err := s.List(ctx, sc, list)
	if err != nil {
		return nil, "", err
	}
	err = s.walk(ctx, func(tx *gorm.DB) error {
		var ms []listMember
		ms, next, err = pageOf(ctx, s, tx.Where("list_id = ?", l.ID), sc, "members "+list, p, newestFirst, "contact_id", func(m *listMember) int64 { return m.ContactID })
		if err != nil {
			return fmt.Errorf("list members: %w", err)
		}
		ids := make([]int64, len(ms))
		for i, m := range ms {
			ids[i] = m.ContactID
		}
		if err := tx.Where("id IN ?", ids).Order("id DESC").Find(&cs).Error; err != nil {
			return fmt.Errorf("read members: %w", err)
		}
		return nil
	})
	return cs, next, err
}

// UpdateContact loads a contact, lets change alter it and saves it, all under
// one lock. An error of change is returned and nothing saved. Attributes is
// never nil; change removes an attribute by setting it to nil.
func (s *Store) UpdateContact(ctx context.Context, sc Scope, id string, change func(*Contact) error) (Contact, error) {
	c, err := revise(ctx, s, sc, "contact", id, func(c *Contact) error {
		if err := change(c); err != nil {
			return err
		}
		c.UpdatedAt = now()
		return faulty(normalise(c)...)
	})
	if err != nil {
		return Contact{}, s.contactClash(ctx, sc, &c, err)
	}
	return c, nil
}

// contactClash turns the refusal of a unique index into faults, one for each
// field that another contact has already. Any other error it leaves as it is.
func (s *Store) contactClash(ctx context.Context, sc Scope, c *Contact, err error) error {
	index, ok := uniqueViolation(err)
	if !ok {
		return err
	}
	var fs faults
	for _, f := range []struct {
		column string
		value  *string
	}{{"external_id", c.ExternalID}, {"phone", c.Phone}, {"email", c.Email}} {
		if f.value == nil {
			continue
		}
		var others int64
		q := s.read(ctx).Model(&Contact{}).Where(sc.in()).Where(f.column+" = ? AND id <> ?", *f.value, c.ID)
		if err := q.Count(&others).Error; err != nil {
			return fmt.Errorf("look for contacts with this %s: %w", f.column, err)
		}
		if others > 0 || strings.HasSuffix(index, f.column) {
			fs.add(CodeValidation, "/"+f.column, "is already used by another contact", *f.value)
		}
	}
	if fs == nil {
		return err
	}
	return faulty(fs...)
}

// DeleteContact forgets a contact; it leaves its lists. Messages that went to it
// stay in their campaigns' ledgers, without it.
func (s *Store) DeleteContact(ctx context.Context, sc Scope, id string) error {
	return remove[Contact](ctx, s, sc, "contact", id)
}

// OptOut makes a contact unreachable over channels, for every campaign that has
// not handed its message to a carrier yet. Doing it twice changes nothing.
func (s *Store) OptOut(ctx context.Context, sc Scope, id string, channels ChannelSet) (Contact, error) {
	return s.UpdateContact(ctx, sc, id, func(c *Contact) error {
		c.OptedOut |= channels
		return nil
	})
}

// OptIn takes an opt-out back.
func (s *Store) OptIn(ctx context.Context, sc Scope, id string, channels ChannelSet) (Contact, error) {
	return s.UpdateContact(ctx, sc, id, func(c *Contact) error {
		c.OptedOut &^= channels
		return nil
	})
}
