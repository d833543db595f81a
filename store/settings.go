package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"gorm.io/gorm/clause"
)

type setting struct {
	Name  string `gorm:"primaryKey"`
	Value string
}

// Secret signs what goes out and must come back unaltered: cursors, links. It is
// made by Migrate, 32 random bytes, and shared by all processes through the
// database; each reads it once. Nobody waits for anybody here: who waited might
// hold the one connection that the reader needs.
func (s *Store) Secret(ctx context.Context) ([]byte, error) {
	if known := s.secret.Load(); known != nil {
		return *known, nil
	}
	var row setting
	if err := s.read(ctx).Where("name = ?", "secret").Take(&row).Error; err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	b, err := base64.StdEncoding.DecodeString(row.Value)
	if err != nil {
		return nil, fmt.Errorf("decode the secret: %w", err)
	}
	s.secret.Store(&b)
	return b, nil
}

// makeSecret makes the secret of an installation that has none.
func (s *Store) makeSecret(ctx context.Context) error {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails: crypto/rand
	row := setting{Name: "secret", Value: base64.StdEncoding.EncodeToString(fresh)}
	if err := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return fmt.Errorf("make the secret: %w", err)
	}
	return nil
}
