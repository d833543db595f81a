package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
)

// silent is a store over connections that lead nowhere: some calls of a method are
// answered by nobody.
type silent struct {
	delivery.Store
	method string
	left   atomic.Int64
}

func (s *silent) ask(ctx context.Context, method string) error {
	if method != s.method || s.left.Add(-1) < 0 {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *silent) ActiveCampaigns(ctx context.Context) ([]store.Active, error) {
	if err := s.ask(ctx, "ActiveCampaigns"); err != nil {
		return nil, err
	}
	return s.Store.ActiveCampaigns(ctx)
}

func (s *silent) ClaimChunk(ctx context.Context, campaign int64, worker string, lease time.Duration, window int) (*store.Chunk, error) {
	if err := s.ask(ctx, "ClaimChunk"); err != nil {
		return nil, err
	}
	return s.Store.ClaimChunk(ctx, campaign, worker, lease, window)
}

func (s *silent) Reserve(ctx context.Context, throttle string, perSecond float64, n int) (time.Duration, error) {
	if err := s.ask(ctx, "Reserve"); err != nil {
		return 0, err
	}
	return s.Store.Reserve(ctx, throttle, perSecond, n)
}

func (s *silent) Recipients(ctx context.Context, ids []int64, attributes bool, buf []store.Recipient) ([]store.Recipient, error) {
	if err := s.ask(ctx, "Recipients"); err != nil {
		return nil, err
	}
	return s.Store.Recipients(ctx, ids, attributes, buf)
}

func (s *silent) ClaimRetries(ctx context.Context, campaign int64, worker string, limit int, lease time.Duration, lapsed bool) ([]store.Retry, error) {
	if err := s.ask(ctx, "ClaimRetries"); err != nil {
		return nil, err
	}
	return s.Store.ClaimRetries(ctx, campaign, worker, limit, lease, lapsed)
}

// TestSilentDatabaseIsAskedAgain has a few calls hang, which ended only when the
// network gave up.
func TestSilentDatabaseIsAskedAgain(t *testing.T) {
	for _, method := range []string{"ActiveCampaigns", "ClaimChunk", "Recipients", "Reserve", "ClaimRetries"} {
		t.Run(method, func(t *testing.T) {
			eachBench(t, func(_ *testing.T, b *bench) {
				b.contacts(50)
				b.carrier.answers(func(_ context.Context, m *delivery.Outgoing, times int) error {
					if m.To[len(m.To)-1] == '3' && times == 1 {
						return &delivery.Deferred{Code: "later"}
					}
					return nil
				})
				s := &silent{Store: b.store, method: method}
				e := b.newEngine(s)
				e.Hurry(time.Second, time.Second, time.Millisecond)
				c := b.campaign(func(c *store.Campaign) { c.Throttle = ptr(1000) })
				b.run(e)
				b.ready(c)
				s.left.Store(3)
				b.do(c, (*store.Campaign).Send)
				b.completes(c)
				b.requireComplete(c)
			})
		})
	}
}
