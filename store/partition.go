package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// partitionSpan is how many campaigns share a partition of messages: old ones
// leave together by dropping it.
const partitionSpan = 1000

func partitionName(k int64) string { return fmt.Sprintf("messages_%d", k) }

// partitions runs f in a transaction, one at a time in all processes: no
// partition goes while another process counts on it.
func (s *Store) partitions(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext('campaigns partition'))"); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// ensurePartition makes the partition of messages that the campaign's rows go
// to. It is asked once the campaign has begun to send, which keeps the partition
// from being dropped, and before the first row is written. Attaching, unlike
// creating in place, does not lock out those who are writing messages.
func (s *Store) ensurePartition(ctx context.Context, campaign int64) error {
	k := campaign / partitionSpan
	name := partitionName(k)
	err := s.partitions(ctx, func(tx *sql.Tx) error {
		var exists bool
		if err := tx.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&exists); err != nil || exists {
			return err
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s (LIKE messages INCLUDING ALL)", name)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("ALTER TABLE messages ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", name, k*partitionSpan, (k+1)*partitionSpan))
		return err
	})
	if err != nil {
		return fmt.Errorf("make partition %s: %w", name, err)
	}
	return nil
}

// dropPartitions drops the partitions whose campaigns that ever began have all
// ended before that time. A draft among them gets its partition anew when it is
// sent.
func (s *Store) dropPartitions(ctx context.Context, ended time.Time) (dropped int, err error) {
	ks, err := scanIDs(ctx, s.sqlRO, `SELECT substr(c.relname, length('messages_') + 1)::bigint FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
WHERE inhparent = 'messages'::regclass ORDER BY 1`)
	if err != nil {
		return 0, fmt.Errorf("list the partitions: %w", err)
	}
	for _, k := range ks {
		ok, err := s.dropPartition(ctx, k, ended)
		if err != nil {
			return dropped, fmt.Errorf("drop partition %s: %w", partitionName(k), err)
		}
		if ok {
			dropped++
		}
	}
	return dropped, nil
}

// dropPartition needs the table of messages to itself for a moment. Where somebody
// has it for longer, such as a backup, those who send must not wait behind this:
// a later pass tries again.
func (s *Store) dropPartition(ctx context.Context, k int64, ended time.Time) (dropped bool, err error) {
	err = s.partitions(ctx, func(tx *sql.Tx) error {
		var needed bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM campaigns WHERE id >= $1 AND id < $2 AND started_at IS NOT NULL
 AND NOT (settled AND COALESCE(completed_at, cancelled_at) < $3))`, k*partitionSpan, (k+1)*partitionSpan, ended).Scan(&needed)
		if err != nil || needed {
			return err
		}
		for _, q := range []string{
			"SET LOCAL lock_timeout = '300ms'",
			"ALTER TABLE messages DETACH PARTITION " + partitionName(k),
			"DROP TABLE " + partitionName(k),
		} {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		dropped = true
		return nil
	})
	const lockNotAvailable = "55P03"
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == lockNotAvailable {
		return false, nil
	}
	return dropped && err == nil, err
}
