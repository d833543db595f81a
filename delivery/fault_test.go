package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// faulty is a store that fails as the test wants it to, seen from one engine.
type faulty struct {
	*store.Store
	mu     sync.Mutex
	before func(method string) error // the call is not made
	after  func(method string) error // the call is made, its answer lost
}

var errAway = errors.New("the database is away")

// fails lets the methods fail, all of them if none is named, before they do
// anything.
func (f *faulty) fails(methods ...string) {
	f.set(func(m string) error {
		if methods == nil || slices.Contains(methods, m) {
			return errAway
		}
		return nil
	}, nil)
}

// losesAnswers lets every n-th call of the methods work and fail all the same.
func (f *faulty) losesAnswers(n int64, methods ...string) {
	var calls atomic.Int64
	f.set(nil, func(m string) error {
		if slices.Contains(methods, m) && calls.Add(1)%n == 0 {
			return errAway
		}
		return nil
	})
}

func (f *faulty) works() { f.set(nil, nil) }

func (f *faulty) set(before, after func(string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faulty) ask(which *func(string) error, method string) error {
	f.mu.Lock()
	ask := *which
	f.mu.Unlock()
	if ask == nil {
		return nil
	}
	return ask(method)
}

// call is one call of the store between the two ways to fail.
func call[T any](f *faulty, method string, do func() (T, error)) (out T, err error) {
	if err := f.ask(&f.before, method); err != nil {
		return out, err
	}
	got, err := do()
	if lost := f.ask(&f.after, method); lost != nil {
		return out, lost
	}
	return got, err
}

func (f *faulty) ActiveCampaigns(ctx context.Context) ([]store.Active, error) {
	return call(f, "ActiveCampaigns", func() ([]store.Active, error) { return f.Store.ActiveCampaigns(ctx) })
}

func (f *faulty) Contents(ctx context.Context, campaign int64) ([]store.Content, error) {
	return call(f, "Contents", func() ([]store.Content, error) { return f.Store.Contents(ctx, campaign) })
}

func (f *faulty) FreezePage(ctx context.Context, campaign int64) (bool, error) {
	return call(f, "FreezePage", func() (bool, error) { return f.Store.FreezePage(ctx, campaign) })
}

func (f *faulty) Settle(ctx context.Context, campaign int64) (bool, error) {
	return call(f, "Settle", func() (bool, error) { return f.Store.Settle(ctx, campaign) })
}

func (f *faulty) ClaimChunk(ctx context.Context, campaign int64, worker string, lease time.Duration, window int) (*store.Chunk, error) {
	return call(f, "ClaimChunk", func() (*store.Chunk, error) { return f.Store.ClaimChunk(ctx, campaign, worker, lease, window) })
}

func (f *faulty) Unrecorded(ctx context.Context, campaign int64, contacts []int64) ([]int64, error) {
	return call(f, "Unrecorded", func() ([]int64, error) { return f.Store.Unrecorded(ctx, campaign, contacts) })
}

func (f *faulty) Recipients(ctx context.Context, ids []int64, attributes bool, buf []store.Recipient) ([]store.Recipient, error) {
	return call(f, "Recipients", func() ([]store.Recipient, error) { return f.Store.Recipients(ctx, ids, attributes, buf) })
}

func (f *faulty) RecordChunk(ctx context.Context, k *store.Chunk, r store.Record) (bool, error) {
	return call(f, "RecordChunk", func() (bool, error) { return f.Store.RecordChunk(ctx, k, r) })
}

func (f *faulty) ClaimRetries(ctx context.Context, campaign int64, worker string, limit int, lease time.Duration, lapsed bool) ([]store.Retry, error) {
	return call(f, "ClaimRetries", func() ([]store.Retry, error) {
		return f.Store.ClaimRetries(ctx, campaign, worker, limit, lease, lapsed)
	})
}

func (f *faulty) RecordRetries(ctx context.Context, campaign int64, carrier string, rs []store.Retry, outcomes []*store.Outcome) error {
	_, err := call(f, "RecordRetries", func() (struct{}, error) {
		return struct{}{}, f.Store.RecordRetries(ctx, campaign, carrier, rs, outcomes)
	})
	return err
}

func TestOutcomesThatCouldNotBeRecordedAreRecordedLater(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(3000)
		b.carrier.slowly(time.Millisecond)
		f := &faulty{Store: b.store}
		b.run(b.newEngine(f))
		c := b.send()
		b.eventually(func() bool { return b.carrier.total() > 300 })
		f.fails("RecordChunk")
		for before := -1; before != b.carrier.total(); pause(t.Context(), 200*time.Millisecond) {
			before = b.carrier.total()
		}
		p := b.progress(c)
		require.LessOrEqual(t, b.carrier.total()-int(p.Sent()), 4*250, "nothing goes beyond the senders' windows")
		f.works()
		b.completes(c)
		b.carrier.requireOnce(t, 3000)
		b.requireComplete(c)
	})
}

func TestLostAnswersOfTheDatabaseRepeatNothing(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(3000)
		b.carrier.answers(func(_ context.Context, m *delivery.Outgoing, times int) error {
			if m.To[len(m.To)-1] == '3' && times == 1 {
				return errors.New("try again")
			}
			return nil
		})
		f := &faulty{Store: b.store}
		f.losesAnswers(3, "RecordChunk", "RecordRetries", "Settle", "FreezePage")
		engine := b.newEngine(f)
		engine.Hurry(8*time.Second, 30*time.Second, time.Millisecond)
		b.run(engine)
		c := b.send()
		p := b.completes(c)
		require.EqualValues(t, 3000, p.Sent())
		for to, times := range b.carrier.seen() {
			require.Equal(t, map[bool]int{true: 2, false: 1}[to[len(to)-1] == '3'], times, to)
		}
		b.requireComplete(c)
	})
}

func TestEveryMethodMayFailForAWhile(t *testing.T) {
	for _, method := range []string{"ActiveCampaigns", "Contents", "FreezePage", "Settle", "ClaimChunk", "Recipients", "Unrecorded", "RecordChunk", "all"} {
		t.Run(method, func(t *testing.T) {
			eachBench(t, func(t *testing.T, b *bench) {
				b.contacts(1500)
				b.carrier.slowly(time.Millisecond)
				f := &faulty{Store: b.store}
				b.run(b.newEngine(f))
				c := b.campaign()
				b.ready(c)
				outage := func() {
					if method == "all" {
						f.fails()
					} else {
						f.fails(method)
					}
					pause(t.Context(), 300*time.Millisecond)
					f.works()
				}
				var out sync.WaitGroup
				out.Go(outage)
				b.do(c, (*store.Campaign).Send)
				out.Wait()
				b.eventually(func() bool { return b.carrier.total() > 100 })
				outage()
				b.completes(c)
				b.carrier.requireOnce(t, 1500)
				b.requireComplete(c)
			})
		})
	}
}

// TestWhoCannotReadTheStatusStopsSending cuts an engine off from the status of
// its campaigns: it must not go on as if they were still to be sent.
func TestWhoCannotReadTheStatusStopsSending(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(3000)
		b.carrier.slowly(10 * time.Millisecond)
		f := &faulty{Store: b.store}
		b.run(b.newEngine(f))
		c := b.send()
		b.eventually(func() bool { return b.carrier.total() > 100 })
		f.fails("ActiveCampaigns")
		pause(t.Context(), 1100*time.Millisecond)
		b.requireStill()
		b.do(c, (*store.Campaign).Pause)
		f.works()
		b.requireStill()
		b.do(c, (*store.Campaign).Resume)
		b.carrier.slowly(0)
		b.completes(c)
		b.carrier.requireOnce(t, 3000)
	})
}

// TestCutOffEngineIsReplacedWithinTheCrashContract cuts one of two engines off
// from the ledger for longer than its leases: the other takes over.
func TestCutOffEngineIsReplacedWithinTheCrashContract(t *testing.T) {
	b := newBench(t, storetest.PostgresURL(t))
	b.contacts(6000)
	b.carrier.slowly(time.Millisecond)
	f := &faulty{Store: b.store}
	cut := b.newEngine(f)
	cut.Hurry(time.Second, time.Second, time.Millisecond)
	b.run(cut)
	c := b.send()
	b.eventually(func() bool { return b.carrier.total() > 300 })
	f.fails()
	heir := b.newEngine(b.open())
	heir.Hurry(time.Second, time.Second, time.Millisecond)
	b.run(heir)
	b.completes(c)
	f.works()
	p := b.requireComplete(c)
	require.EqualValues(t, 6000, p.Sent())
	seen := b.carrier.seen()
	require.Len(t, seen, 6000, "none lost")
	twice := 0
	for to, times := range seen {
		require.LessOrEqual(t, times, 2, to)
		twice += times - 1
	}
	t.Logf("%d of 6000 went twice", twice)
	require.LessOrEqual(t, twice, 250*4, "a window for each sender")
}

// TestWorkEndsWithItsLease lets the carrier hang and the ledger be away: what is
// on its way is broken off when somebody else may take the chunk over.
func TestWorkEndsWithItsLease(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(10)
		var broken atomic.Int64
		f := &faulty{Store: b.store}
		b.carrier.answers(func(ctx context.Context, _ *delivery.Outgoing, times int) error {
			if times > 1 {
				return nil
			}
			f.fails("RecordChunk")
			select {
			case <-ctx.Done():
				broken.Add(1)
				return fmt.Errorf("broken off: %w", ctx.Err())
			case <-t.Context().Done():
				return nil
			}
		})
		engine := b.newEngine(f)
		engine.Hurry(300*time.Millisecond, time.Second, time.Millisecond)
		b.run(engine)
		c := b.send()
		b.eventually(func() bool { return broken.Load() == 10 }, "nobody broke it off")
		f.works()
		b.completes(c)
		require.Len(t, b.carrier.seen(), 10)
		b.requireComplete(c)
	})
}

func TestBrokenCampaignDoesNotHoldUpTheOthers(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		b.contacts(50)
		g, err := b.store.CreateSegment(ctx, b.scope, store.Segment{Name: "s", Rule: store.Rule{Field: ptr("first_name"), Operator: "exists"}})
		require.NoError(t, err)
		require.NoError(t, b.store.Heartbeat(ctx, store.Worker{ID: "wrk_before", Channels: []store.Channel{store.SMS}}))
		broken := b.send(func(c *store.Campaign) { c.ListID, c.SegmentID = nil, &g.PublicID })
		good := b.send()
		b.run(b.newEngine(breaks{b.store, broken.ID}))
		b.completes(good)
		b.carrier.requireOnce(t, 50)
	})
}

// breaks is a store that never freezes one campaign.
type breaks struct {
	delivery.Store
	campaign int64
}

func (b breaks) FreezePage(ctx context.Context, campaign int64) (bool, error) {
	if campaign == b.campaign {
		return false, errAway
	}
	return b.Store.FreezePage(ctx, campaign)
}
