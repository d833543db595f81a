package store

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// places are the bounds of a process that sends alone.
type places struct {
	mu     sync.Mutex
	freeAt map[string]time.Time // when the next message under a bound may go
}

// placeSlack is how long a place that nobody has taken yet stays free. It makes
// up for the way to the database, so that a bound is used up.
const placeSlack = 40 * time.Millisecond

// By the clock as it is when the row's lock is had. No bound is taken so far ahead
// as a thousand processes would, and 10 seconds, unless the clock went back: then it
// begins anew.
const reservePlaces = `INSERT INTO throttles AS t (name, free_at) VALUES ($1, clock_timestamp() + $2 * interval '1 second')
ON CONFLICT (name) DO UPDATE SET free_at = CASE WHEN t.free_at > clock_timestamp() + GREATEST(10, 1000 * $2::float8) * interval '1 second' THEN clock_timestamp()
  ELSE GREATEST(t.free_at, clock_timestamp() - $3 * interval '1 second') END + $2 * interval '1 second'
RETURNING extract(epoch FROM free_at - clock_timestamp())::float8`

// Reserve takes the next n places under a bound of messages per second, which
// all processes on the database share, and says how long from now the first of
// them is: a little in the past perhaps. They follow each other at that rate.
// Places that nobody takes are gone.
func (s *Store) Reserve(ctx context.Context, name string, perSecond float64, n int) (first time.Duration, err error) {
	took := float64(n) / perSecond
	if s.Embedded() {
		return s.places.reserve(name, seconds(took)), nil
	}
	var free float64
	if err := s.sql.QueryRowContext(ctx, reservePlaces, name, took, placeSlack.Seconds()).Scan(&free); err != nil {
		return 0, fmt.Errorf("reserve places: %w", err)
	}
	return seconds(free - took), nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (p *places) reserve(name string, took time.Duration) (first time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, oldest := p.freeAt[name], time.Now().Add(-placeSlack)
	if at.IsZero() {
		at = time.Now()
	}
	if at.Before(oldest) {
		at = oldest
	}
	p.freeAt[name] = at.Add(took)
	return time.Until(at)
}

// forget forgets the bounds that nothing goes under.
func (p *places) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.freeAt, func(_ string, at time.Time) bool { return time.Since(at) > time.Hour })
}
