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
	Process     string    // as another on its machine would recognise it; "" if none would
	HeartbeatAt time.Time
}

// HeartbeatEvery is how often a worker says that it lives; without a word for
// three times as long it counts as dead. The clock is the database's, as the
// machines' own may differ.
const HeartbeatEvery = 2 * time.Second

// Heartbeat registers a worker, or says that it still lives.
func (s *Store) Heartbeat(ctx context.Context, w Worker) error {
	doc, err := json.Marshal(w.Channels)
	if err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
	err = s.db.WithContext(ctx).Exec(`INSERT INTO workers (id, channels, process, heartbeat_at) VALUES (?, ?, ?, `+s.clock(0)+`)
ON CONFLICT (id) DO UPDATE SET channels = excluded.channels, heartbeat_at = excluded.heartbeat_at`, w.ID, string(doc), w.Process).Error
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

// BuryWorkers takes those off the register whose processes have ended, as far as
// the caller can tell, and ends their leases: whoever comes next goes on as after
// leases that ran out.
func (s *Store) BuryWorkers(ctx context.Context, ended func(process string) bool) (ids []string, err error) {
	var all []Worker
	err = s.read(ctx).Where("process <> ''").Find(&all).Error
	for _, w := range all {
		if ended(w.Process) {
			ids = append(ids, w.ID)
		}
	}
	if err == nil && len(ids) > 0 {
		err = s.write(ctx, func(tx *gorm.DB) error { return s.bury(tx, ids) })
	}
	if err != nil {
		return nil, fmt.Errorf("bury workers: %w", err)
	}
	return ids, nil
}

func (s *Store) bury(tx *gorm.DB, ids []string) error {
	over := s.clock(-time.Second) // surely before whoever looks next
	for _, q := range []string{
		"UPDATE campaign_chunks SET lease_until = " + over + " WHERE owner IN ? AND status = 1",
		"UPDATE retries SET lease_until = " + over + " WHERE owner IN ? AND lease_until IS NOT NULL",
		"DELETE FROM workers WHERE id IN ?",
	} {
		if err := tx.Exec(q, ids).Error; err != nil {
			return err
		}
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
