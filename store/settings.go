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

// Secret signs what goes out and must come back unaltered: cursors, links. It
// is made on first use, 32 random bytes, and shared by all processes through
// the database.
func (s *Store) Secret(ctx context.Context) ([]byte, error) {
	s.secretOnce.Lock()
	defer s.secretOnce.Unlock()
	if s.secret != nil {
		return s.secret, nil
	}
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails: crypto/rand
	row := setting{Name: "secret", Value: base64.StdEncoding.EncodeToString(fresh)}
	if err := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return nil, fmt.Errorf("make the secret: %w", err)
	}
	if err := s.db.WithContext(ctx).Where("name = ?", "secret").Take(&row).Error; err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	b, err := base64.StdEncoding.DecodeString(row.Value)
	if err != nil {
		return nil, fmt.Errorf("decode the secret: %w", err)
	}
	s.secret = b
	return b, nil
}
