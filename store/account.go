package store

import (
	"context"
	"fmt"
	"time"
)

// Account owns keys and data.
type Account struct {
	ID        int64
	PublicID  string // acc_…
	Name      string
	CreatedAt time.Time
}

// CreateAccount makes an account.
func (s *Store) CreateAccount(ctx context.Context, name string) (Account, error) {
	a := Account{PublicID: newID("acc"), Name: name, CreatedAt: now()}
	if err := s.db.WithContext(ctx).Create(&a).Error; err != nil {
		return Account{}, fmt.Errorf("create account: %w", err)
	}
	return a, nil
}

// Account finds an account by its public id.
func (s *Store) Account(ctx context.Context, id string) (a Account, err error) {
	err = s.read(ctx).Where("public_id = ?", id).Take(&a).Error
	return a, missing(err, "account", id)
}

// Accounts lists all of them, oldest first.
func (s *Store) Accounts(ctx context.Context) (as []Account, err error) {
	if err := s.read(ctx).Order("id").Find(&as).Error; err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return as, nil
}
