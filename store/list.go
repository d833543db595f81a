package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// List is contacts put together by hand or by an import.
type List struct {
	ID          int64
	PublicID    string // lst_…
	AccountID   int64
	Mode        Mode
	Name        string
	Search      string
	Description *string
	CreatedAt   time.Time
	UpdatedAt   time.Time // when name or description last changed
}

const (
	maxNounName    = 200 // of a list, a segment, a template
	maxDescription = 1000
)

// normalise tidies the list and says what is wrong with it.
func (l *List) normalise() []Fault {
	var fs faults
	fs.name(&l.Name)
	fs.text(&l.Description, "/description", maxDescription)
	l.Search = fold(l.Name)
	return fs
}

// name tidies the name of a noun, which must not be blank.
func (fs *faults) name(p *string) {
	s, wrong := tidy(*p, maxNounName)
	switch {
	case wrong != "":
		fs.add(CodeValidation, "/name", wrong, "")
	case s == "":
		fs.add(CodeMissingField, "/name", "must not be blank", "")
	default:
		*p = s
	}
}

// CreateList makes an empty list of the given name and description.
func (s *Store) CreateList(ctx context.Context, sc Scope, l List) (List, error) {
	if err := faulty(l.normalise()...); err != nil {
		return List{}, err
	}
	l.ID, l.PublicID, l.AccountID, l.Mode = 0, newID("lst"), sc.Account, sc.Mode
	l.CreatedAt = now()
	l.UpdatedAt = l.CreatedAt
	if err := s.db.WithContext(ctx).Create(&l).Error; err != nil {
		return List{}, fmt.Errorf("create list: %w", err)
	}
	return l, nil
}

// List finds a list by its public id.
func (s *Store) List(ctx context.Context, sc Scope, id string) (List, error) {
	return find[List](s.read(ctx), sc, "list", id)
}

// Lists are those with search in their name, newest first.
func (s *Store) Lists(ctx context.Context, sc Scope, search string, p Page) (ls []List, next string, err error) {
	q := searching(s.read(ctx).Where(sc.in()), search)
	ls, next, err = pageOf(ctx, s, q, sc, "lists", p, newestFirst, scopeKey, func(l *List) int64 { return l.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list lists: %w", err)
	}
	return ls, next, nil
}

// UpdateList lets change alter name and description, under a lock. An error of
// change is returned and nothing saved.
func (s *Store) UpdateList(ctx context.Context, sc Scope, id string, change func(*List) error) (List, error) {
	return revise(ctx, s, sc, "list", id, func(l *List) error {
		if err := change(l); err != nil {
			return err
		}
		l.UpdatedAt = now()
		return faulty(l.normalise()...)
	})
}

// DeleteList deletes a list; its contacts stay.
func (s *Store) DeleteList(ctx context.Context, sc Scope, id string) error {
	return remove[List](ctx, s, sc, "list", id)
}

type listMember struct {
	ListID    int64 `gorm:"primaryKey;autoIncrement:false"`
	ContactID int64 `gorm:"primaryKey;autoIncrement:false"`
}

func (listMember) TableName() string { return "list_members" }

// AddMembers puts contacts, by their public ids, into a list: all of them, or
// none when one is unknown; each unknown one is a fault. It says how many are
// new in the list and how many were there before; a repeated id counts once.
func (s *Store) AddMembers(ctx context.Context, sc Scope, list string, contacts []string) (added, already int, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		l, err := find[List](s.staying(tx), sc, "list", list)
		if err != nil {
			return err
		}
		var found []Contact
		q := s.staying(tx).Select("id", "public_id").Where(sc.in()).Where("public_id IN ?", contacts)
		if err := q.Find(&found).Error; err != nil {
			return fmt.Errorf("find the contacts: %w", err)
		}
		if err := unknownMembers(contacts, found); err != nil {
			return err
		}
		ms := make([]listMember, len(found))
		for i, c := range found {
			ms[i] = listMember{ListID: l.ID, ContactID: c.ID}
		}
		r := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&ms)
		added, already = int(r.RowsAffected), len(ms)-int(r.RowsAffected)
		return r.Error
	})
	return added, already, err
}

// staying makes the next read of tx keep its rows from being deleted until the
// transaction ends, so that a member's list and contact exist.
func (s *Store) staying(tx *gorm.DB) *gorm.DB {
	if s.Embedded() {
		return tx
	}
	return tx.Clauses(clause.Locking{Strength: "KEY SHARE"})
}

func unknownMembers(wanted []string, found []Contact) error {
	known := make(map[string]bool, len(found))
	for _, c := range found {
		known[c.PublicID] = true
	}
	var fs faults
	for i, id := range wanted {
		if !known[id] {
			fs.add(CodeValidation, fmt.Sprintf("/contact_ids/%d", i), "is not a contact", shown(id))
		}
	}
	return faulty(fs...)
}

// RemoveMember takes a contact out of a list; one that is not in it is
// CodeNotFound.
func (s *Store) RemoveMember(ctx context.Context, sc Scope, list, contact string) error {
	l, err := s.List(ctx, sc, list)
	if err != nil {
		return err
	}
	c, err := s.Contact(ctx, sc, contact)
	if err != nil {
		return err
	}
	r := s.db.WithContext(ctx).Where("list_id = ? AND contact_id = ?", l.ID, c.ID).Delete(&listMember{})
	if r.Error != nil {
		return fmt.Errorf("remove from the list: %w", r.Error)
	}
	if r.RowsAffected == 0 {
		return notFound("contact in the list,", contact)
	}
	return nil
}
