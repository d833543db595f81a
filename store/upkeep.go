package store

import (
	"context"
	"fmt"
	"time"
)

// Dropped is what an Upkeep dropped.
type Dropped struct {
	Partitions   int   // of messages, whole
	Messages     int64 // one by one
	ImportErrors int64
}

// Upkeep drops what is of no use any more, and the messages of campaigns, and the
// errors of imports, that ended longer ago than the retention; 0 keeps them for
// ever. Counters stay. Any number of processes may do it at once.
//
// On PostgreSQL messages leave by dropping the partition, once all of its campaigns
// ended that long ago; what still waits for that after twice the time is deleted,
// as on SQLite everything is.
func (s *Store) Upkeep(ctx context.Context, retention time.Duration) (d Dropped, err error) {
	if err := s.forgetIdle(ctx); err != nil {
		return d, err
	}
	if retention == 0 {
		return d, nil
	}
	ended := now().Add(-retention)
	if d.ImportErrors, err = s.dropImportErrors(ctx, ended); err != nil {
		return d, err
	}
	if !s.Embedded() {
		if d.Partitions, err = s.dropPartitions(ctx, ended); err != nil {
			return d, err
		}
		ended = ended.Add(-retention)
	}
	d.Messages, err = s.deleteMessages(ctx, ended)
	return d, err
}

// forgetIdle forgets workers that died without a word and throttles that nothing
// goes under.
func (s *Store) forgetIdle(ctx context.Context) error {
	if err := s.db.WithContext(ctx).Where("heartbeat_at < " + s.clock(-time.Hour)).Delete(&Worker{}).Error; err != nil {
		return fmt.Errorf("forget dead workers: %w", err)
	}
	if s.Embedded() {
		s.places.forget()
		return nil
	}
	if err := s.db.WithContext(ctx).Exec("DELETE FROM throttles WHERE free_at < " + s.clock(-time.Hour)).Error; err != nil {
		return fmt.Errorf("forget idle throttles: %w", err)
	}
	return nil
}

func (s *Store) dropImportErrors(ctx context.Context, ended time.Time) (int64, error) {
	old := s.db.Model(&Import{}).Select("id").Where("completed_at < ?", ended)
	r := s.db.WithContext(ctx).Where("import_id IN (?)", old).Delete(&ImportError{})
	if r.Error != nil {
		return 0, fmt.Errorf("drop errors of old imports: %w", r.Error)
	}
	return r.RowsAffected, nil
}

// deleteBatch is how many messages are deleted in one transaction, so that none
// is long.
const deleteBatch = 2000

// deleteMessages deletes the messages of campaigns that ended before that time.
func (s *Store) deleteMessages(ctx context.Context, ended time.Time) (deleted int64, err error) {
	for {
		var old []int64
		err := s.read(ctx).Model(&Campaign{}).Where("settled AND COALESCE(completed_at, cancelled_at) < ?", ended).
			Where("EXISTS (SELECT 1 FROM messages WHERE campaign_id = campaigns.id)").Order("id").Limit(100).Pluck("id", &old).Error
		if err != nil {
			return deleted, fmt.Errorf("look for old messages: %w", err)
		}
		if len(old) == 0 {
			return deleted, nil
		}
		for _, campaign := range old {
			n, err := s.deleteMessagesOf(ctx, campaign)
			if deleted += n; err != nil {
				return deleted, fmt.Errorf("delete old messages: %w", err)
			}
		}
	}
}

func (s *Store) deleteMessagesOf(ctx context.Context, campaign int64) (deleted int64, err error) {
	for {
		some := s.db.Table("messages").Select("contact_id").Where("campaign_id = ?", campaign).Order("contact_id").Limit(deleteBatch)
		r := s.db.WithContext(ctx).Where("campaign_id = ? AND contact_id IN (?)", campaign, some).Delete(&Message{})
		if deleted += r.RowsAffected; r.Error != nil || r.RowsAffected == 0 {
			return deleted, r.Error
		}
	}
}
