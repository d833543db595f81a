package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/campaigns-api/campaigns/store"
)

const retryBatch = 200

// retry gives another attempt to what is due of the lane's campaigns, a batch of
// each in turn, until nothing is. While the carrier is down all of it waits.
func (e *Engine) retry(ctx, hard context.Context, l *lane) error {
	p := l.breaker.shared.Load()
	if p == nil {
		return nil
	}
	var failed error // one campaign's failure must not hold up the others
	for again := true; again && failed == nil && ctx.Err() == nil && !p.over.Load(); {
		again = false
		for _, r := range l.served() {
			full, err := e.retryRun(ctx, hard, l, r, p)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("campaign %s: %w", r.PublicID, err))
			}
			again = again || full
		}
	}
	return failed
}

// retryRun attempts a batch, for a probe of one; full says that more may be due.
func (e *Engine) retryRun(ctx, hard context.Context, l *lane, r *run, p *pass) (full bool, err error) {
	limit := retryLimit(r.slowest())
	if p.probe {
		limit = 1
	}
	soon, cancel := e.soon(ctx)
	defer cancel()
	if l.AtMostOnce {
		if err := e.store.LoseRetries(soon, r.ID, l.Name); err != nil {
			return false, err
		}
	}
	claimed := time.Now()
	rs, err := e.store.ClaimRetries(soon, r.ID, e.id, limit, e.timing.retryLease, !l.AtMostOnce)
	if err != nil || len(rs) == 0 {
		return false, err
	}
	sendCtx, drop := context.WithDeadline(hard, claimed.Add(e.timing.retryLease))
	defer drop()
	outcomes, err := e.attempt(ctx, sendCtx, l, p, r, rs, claimed)
	keep := context.WithoutCancel(ctx)
	return len(rs) == limit, errors.Join(err, insist(hard, func() error {
		ctx, cancel := context.WithTimeout(keep, e.timing.lease)
		defer cancel()
		return e.store.RecordRetries(ctx, r.ID, l.Name, rs, outcomes)
	}))
}

// retryLimit is a batch that a throttled campaign may get through in a second, so
// that the others do not wait for it.
func retryLimit(perSecond float64) int { return int(min(retryBatch, max(1, perSecond))) }

// attempt hands claimed retries over, as many at once as the lane has slots. The
// outcome is nil for those it did not come to.
func (e *Engine) attempt(ctx, sendCtx context.Context, l *lane, p *pass, r *run, rs []store.Retry, claimed time.Time) ([]*store.Outcome, error) {
	outcomes := make([]*store.Outcome, len(rs))
	contents, err := r.contents(ctx, e.store)
	if err != nil {
		return outcomes, fmt.Errorf("prepare the content: %w", err)
	}
	to, err := e.recipientsOf(ctx, rs)
	if err != nil {
		return outcomes, err
	}
	take, stop := context.WithCancel(r.until())
	defer stop()
	defer context.AfterFunc(p.ctx, stop)()
	var wg sync.WaitGroup
	for i, t := range rs {
		if !e.mayRetry(ctx, take, l, p, r, claimed) {
			break
		}
		wg.Go(func() {
			defer func() { <-l.slots }()
			o := e.handOver(sendCtx, l, p, r, contents[t.Variant], t.Contact, to[t.Contact])
			e.again(&o, t.Attempts+1, t.Age)
			outcomes[i] = &o
		})
	}
	wg.Wait()
	return outcomes, nil
}

// mayRetry waits for the throttles and a slot; with false there is no slot.
func (e *Engine) mayRetry(ctx, take context.Context, l *lane, p *pass, r *run, claimed time.Time) bool {
	if !r.waitTurn(take, l) {
		return false
	}
	select {
	case l.slots <- struct{}{}:
	case <-take.Done():
		return false
	}
	if ctx.Err() != nil || p.over.Load() || !r.maySend() || time.Since(claimed) > e.timing.retryLease/3 {
		<-l.slots
		return false
	}
	return true
}

func (e *Engine) recipientsOf(ctx context.Context, rs []store.Retry) (map[int64]*store.Recipient, error) {
	ids := make([]int64, len(rs))
	for i, r := range rs {
		ids[i] = r.Contact
	}
	ctx, cancel := e.soon(ctx)
	defer cancel()
	found, err := e.store.Recipients(ctx, ids, true, nil)
	if err != nil {
		return nil, err
	}
	to := make(map[int64]*store.Recipient, len(found))
	for i := range found {
		to[found[i].ID] = &found[i]
	}
	return to, nil
}
