package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Segment is the contacts that match a rule, whenever it is asked.
type Segment struct {
	ID        int64
	PublicID  string // seg_…
	AccountID int64
	Mode      Mode
	Name      string
	Search    string
	Rule      Rule `gorm:"serializer:json"`
	CreatedAt time.Time
	UpdatedAt time.Time
}

func (g *Segment) normalise() []Fault {
	var fs faults
	fs.name(&g.Name)
	g.Search = fold(g.Name)
	return append(fs, g.Rule.Check()...)
}

// CreateSegment makes a segment of the given name and rule.
func (s *Store) CreateSegment(ctx context.Context, sc Scope, g Segment) (Segment, error) {
	if err := faulty(g.normalise()...); err != nil {
		return Segment{}, err
	}
	g.ID, g.PublicID, g.AccountID, g.Mode = 0, newID("seg"), sc.Account, sc.Mode
	g.CreatedAt = now()
	g.UpdatedAt = g.CreatedAt
	if err := s.db.WithContext(ctx).Create(&g).Error; err != nil {
		return Segment{}, fmt.Errorf("create segment: %w", err)
	}
	return g, nil
}

// Segment finds a segment by its public id.
func (s *Store) Segment(ctx context.Context, sc Scope, id string) (Segment, error) {
	return find[Segment](s.read(ctx), sc, "segment", id)
}

// Segments are those with search in their name, newest first.
func (s *Store) Segments(ctx context.Context, sc Scope, search string, p Page) (gs []Segment, next string, err error) {
	q := searching(s.read(ctx).Where(sc.in()), search)
	gs, next, err = pageOf(ctx, s, q, sc, "segments", p, newestFirst, scopeKey, func(g *Segment) int64 { return g.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list segments: %w", err)
	}
	return gs, next, nil
}

// UpdateSegment lets change alter name and rule, under a lock. An error of
// change is returned and nothing saved.
func (s *Store) UpdateSegment(ctx context.Context, sc Scope, id string, change func(*Segment) error) (Segment, error) {
	return revise(ctx, s, sc, "segment", id, func(g *Segment) error {
		if err := change(g); err != nil {
			return err
		}
		g.UpdatedAt = now()
		return faulty(g.normalise()...)
	})
}

// DeleteSegment deletes a segment; its contacts stay.
func (s *Store) DeleteSegment(ctx context.Context, sc Scope, id string) error {
	return remove[Segment](ctx, s, sc, "segment", id)
}

// CountSegment counts the contacts that match now.
func (s *Store) CountSegment(ctx context.Context, sc Scope, id string) (n int64, err error) {
	g, err := s.Segment(ctx, sc, id)
	if err != nil {
		return 0, err
	}
	q, err := s.matching(s.read(ctx).Model(&Contact{}).Where(sc.in()), g.Rule)
	if err != nil {
		return 0, err
	}
	if err := q.Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count segment: %w", err)
	}
	return n, nil
}

// matching narrows a query of contacts to those that match the rule.
func (s *Store) matching(q *gorm.DB, r Rule) (*gorm.DB, error) {
	where, args, err := s.ruleWhere(r)
	if err != nil {
		return nil, err
	}
	return q.Where(where, args...), nil
}
