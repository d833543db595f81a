package store

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// broadcast gives every listener the ids of campaigns that changed. A listener
// that does not keep up misses some: who listens must poll too.
type broadcast struct {
	mu   sync.Mutex
	subs map[chan int64]struct{}
}

func (b *broadcast) send(id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.subs {
		select {
		case c <- id:
		default:
		}
	}
}

// Changes gives the ids of campaigns whose status or work changed, in whichever
// process, until stop is called. 0 means: something else to do (an import, a
// receipt). One may be lost, so poll beside it.
func (s *Store) Changes() (changes <-chan int64, stop func()) {
	c := make(chan int64, 64)
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	if s.changes.subs == nil {
		s.changes.subs = map[chan int64]struct{}{}
	}
	s.changes.subs[c] = struct{}{}
	return c, func() {
		s.changes.mu.Lock()
		defer s.changes.mu.Unlock()
		delete(s.changes.subs, c)
	}
}

const changesChannel = "campaigns_changes"

// announceTx tells every process when the transaction commits (PostgreSQL);
// announce tells this one after it has (SQLite, where there is no other), which
// within Once is later.
func (s *Store) announceTx(tx *gorm.DB, id int64) error {
	if s.Embedded() {
		return nil
	}
	return tx.Exec("SELECT pg_notify(?, ?)", changesChannel, strconv.FormatInt(id, 10)).Error
}

func (s *Store) announce(id int64) {
	switch {
	case !s.Embedded():
	case s.waiting != nil:
		*s.waiting = append(*s.waiting, id)
	default:
		s.changes.send(id)
	}
}

// Listen feeds Changes from PostgreSQL until ctx ends, over a connection of its
// own which it opens again whenever it breaks. On SQLite it only waits.
func (s *Store) Listen(ctx context.Context, broken func(error)) {
	for s.pool != nil && ctx.Err() == nil {
		if err := s.listen(ctx); err != nil && ctx.Err() == nil {
			broken(err)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	<-ctx.Done()
}

func (s *Store) listen(ctx context.Context) error {
	c, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig.Copy())
	if err != nil {
		return fmt.Errorf("connect to listen: %w", err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	if _, err := c.Exec(ctx, "LISTEN "+changesChannel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	for {
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait for a notification: %w", err)
		}
		id, err := strconv.ParseInt(n.Payload, 10, 64)
		if err == nil {
			s.changes.send(id)
		}
	}
}
