package store

import (
	"context"
	"fmt"
)

// partitionSpan is how many campaigns share a partition of messages: old ones
// leave together by dropping it.
const partitionSpan = 1000

// ensurePartition makes the partition of messages that the campaign's rows go
// to. It is asked before the first row is written, and remembers. Attaching,
// unlike creating in place, does not lock out those who are writing messages.
func (s *Store) ensurePartition(ctx context.Context, campaign int64) error {
	k := campaign / partitionSpan
	if _, known := s.partitions.Load(k); known || s.Embedded() {
		return nil
	}
	tx, err := s.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("make a partition: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	name := fmt.Sprintf("messages_%d", k)
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext('campaigns partition'))"); err != nil {
		return fmt.Errorf("lock the partitions: %w", err)
	}
	var exists bool
	if err := tx.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&exists); err != nil {
		return fmt.Errorf("look for partition %s: %w", name, err)
	}
	if !exists {
		for _, q := range []string{
			fmt.Sprintf("CREATE TABLE %s (LIKE messages INCLUDING ALL)", name),
			fmt.Sprintf("ALTER TABLE messages ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", name, k*partitionSpan, (k+1)*partitionSpan),
		} {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("make partition %s: %w", name, err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("make partition %s: %w", name, err)
	}
	s.partitions.Store(k, struct{}{})
	return nil
}
