package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Account owns keys and data.
type Account struct {
	ID        int64
	PublicID  string // acc_…
	Name      string
	Rate      float64 // of all its live sending, messages per second; 0 for no bound
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

// SetAccountRate bounds all live sending of an account, in messages per second
// over all processes; 0 takes the bound away. Senders heed it within a second.
func (s *Store) SetAccountRate(ctx context.Context, id string, rate float64) (a Account, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		if err := s.locked(tx).Where("public_id = ?", id).Take(&a).Error; err != nil {
			return missing(err, "account", id)
		}
		a.Rate = rate
		if err := tx.Select("rate").UpdateColumns(&a).Error; err != nil {
			return fmt.Errorf("bound the account: %w", err)
		}
		if s.Embedded() {
			return nil
		}
		// Places reserved at the old rate may reach far.
		return tx.Exec("DELETE FROM throttles WHERE name = ?", AccountThrottle(a.ID)).Error
	})
	return a, err
}

// AccountThrottle is the name of an account's bound: see Reserve.
func AccountThrottle(account int64) string { return fmt.Sprint("account ", account) }

// Accounts lists all of them, oldest first.
func (s *Store) Accounts(ctx context.Context) (as []Account, err error) {
	if err := s.read(ctx).Order("id").Find(&as).Error; err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return as, nil
}
