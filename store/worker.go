package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Worker is a process that sends, and the channels it has carriers for.
type Worker struct {
	ID          string    `gorm:"primaryKey"`
	Channels    []Channel `gorm:"serializer:json"`
	HeartbeatAt time.Time
}

// HeartbeatEvery is how often a worker says that it lives; without a word for
// three times as long it counts as dead. The clock is the database's, as the
// machines' own may differ.
const HeartbeatEvery = 2 * time.Second

// Heartbeat registers a worker, or says that it still lives.
func (s *Store) Heartbeat(ctx context.Context, id string, channels []Channel) error {
	doc, err := json.Marshal(channels)
	if err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
	err = s.db.WithContext(ctx).Exec(`INSERT INTO workers (id, channels, heartbeat_at) VALUES (?, ?, `+s.clock(0)+`)
ON CONFLICT (id) DO UPDATE SET channels = excluded.channels, heartbeat_at = excluded.heartbeat_at`, id, string(doc)).Error
	if err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
	return nil
}

// Retire takes a worker off the register.
func (s *Store) Retire(ctx context.Context, id string) error {
	err := s.db.WithContext(ctx).Where("id = ?", id).Delete(&Worker{}).Error
	if err != nil {
		return fmt.Errorf("retire the worker: %w", err)
	}
	return nil
}

func (s *Store) liveWorkers(q *gorm.DB) (ws []Worker, err error) {
	err = q.Where("heartbeat_at > " + s.clock(-3*HeartbeatEvery)).Find(&ws).Error
	if err != nil {
		return nil, fmt.Errorf("read the workers: %w", err)
	}
	return ws, nil
}

// clock is the database's clock in SQL, moved by so much.
func (s *Store) clock(by time.Duration) string {
	if s.Embedded() {
		return fmt.Sprintf("%s + %d", sqliteNow, by.Microseconds())
	}
	return fmt.Sprintf("now() + %d * interval '1 microsecond'", by.Microseconds())
}
