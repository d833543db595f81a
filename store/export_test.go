package store

import "context"

// Exec changes the database behind the store's back: tests make rows old with it
// instead of waiting.
func (s *Store) Exec(ctx context.Context, query string, args ...any) error {
	return s.db.WithContext(ctx).Exec(query, args...).Error
}

// Count runs a query that gives one number.
func (s *Store) Count(ctx context.Context, query string, args ...any) (n int, err error) {
	return n, s.db.WithContext(ctx).Raw(query, args...).Scan(&n).Error
}
