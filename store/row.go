package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// The verbs that contacts, lists, segments and templates have in common. T is
// one of them; noun is its name in errors; every one stays within its scope.

// find reads a row by its public id.
func find[T any](q *gorm.DB, sc Scope, noun, id string) (row T, err error) {
	err = q.Where(sc.in()).Where("public_id = ?", id).Take(&row).Error
	return row, missing(err, noun, id)
}

// revise loads a row, lets change alter it and saves it, all under one lock.
// What change returns undoes everything.
func revise[T any](ctx context.Context, s *Store, sc Scope, noun, id string, change func(*T) error) (row T, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		if row, err = find[T](s.locked(tx), sc, noun, id); err != nil {
			return err
		}
		if err := change(&row); err != nil {
			return err
		}
		// Columns: GORM would put a time of its own into updated_at.
		if err := tx.Select("*").UpdateColumns(&row).Error; err != nil {
			return fmt.Errorf("save %s: %w", noun, err)
		}
		return nil
	})
	return row, err
}

// remove deletes a row and, by the schema's cascades, what belongs to it.
func remove[T any](ctx context.Context, s *Store, sc Scope, noun, id string) error {
	r := s.db.WithContext(ctx).Where(sc.in()).Where("public_id = ?", id).Delete(new(T))
	if r.Error != nil {
		return fmt.Errorf("delete %s: %w", noun, r.Error)
	}
	if r.RowsAffected == 0 {
		return notFound(noun, id)
	}
	return nil
}
