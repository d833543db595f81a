package delivery_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// onceLane hands nothing over twice.
func (b *bench) onceLane() delivery.Lane {
	l := b.lane()
	l.AtMostOnce = true
	return l
}

// requireAtMostOnce checks that nobody got two messages, and that the ledger knows
// of all who got one: as sent, or as unknown.
func (b *bench) requireAtMostOnce(c store.Campaign, taken map[string]int, n int) store.Progress {
	for to, times := range taken {
		require.Equal(b.t, 1, times, to)
	}
	p := b.requireComplete(c)
	require.EqualValues(b.t, n, p.Sent()+p.Unknown)
	require.LessOrEqual(b.t, int(p.Sent()), len(taken))
	require.LessOrEqual(b.t, len(taken), n)
	return p
}

func TestMessageThatMayHaveLeftIsUnknownAndNotSentAgain(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(60)
		b.carrier.answers(func(_ context.Context, m *delivery.Outgoing, times int) error {
			switch last := m.To[len(m.To)-1]; {
			case last == '1':
				return errors.New("the answer never came")
			case last == '2':
				return &delivery.Deferred{Code: "504", Text: "lost sight of it", Carrier: true, Unsure: true}
			case last == '3' && times == 1:
				return &delivery.Unsent{Err: errors.New("connection refused")}
			case last == '4' && times == 1:
				return &delivery.Deferred{Code: "451"}
			case last == '5':
				return &delivery.Rejected{Code: "550"}
			case last == '6' && times == 1:
				return &delivery.Deferred{Code: "451"}
			case last == '6':
				return errors.New("the answer never came")
			}
			return nil
		})
		engine := b.newEngine(b.store, b.onceLane())
		engine.Hurry(8*time.Second, 30*time.Second, 10*time.Millisecond)
		b.run(engine)
		c := b.send()
		b.completes(c)
		p := b.requireComplete(c)
		require.Equal(t, []int64{36, 18, 6}, []int64{p.Sent(), p.Unknown, p.Failed()})
		ms, first := b.messages(c), b.contact(0).ID
		for i := range 60 {
			m := ms[first+int64(i)]
			times := map[int]int{3: 2, 4: 2, 6: 2}[i%10]
			require.Equal(t, max(1, times), b.carrier.seen()[number(i)])
			require.Equal(t, max(1, times), m.Attempts)
			if code := map[int]string{1: "no_answer", 2: "504", 6: "no_answer"}[i%10]; code != "" {
				require.Equal(t, store.MessageUnknown, m.Status)
				require.Equal(t, code, *m.Code)
			}
		}
	})
}

// TestHeirSendsNothingAgain cuts an engine off from the ledger in the middle, for
// longer than its leases: what it had in hand is unknown to the one that takes over.
func TestHeirSendsNothingAgain(t *testing.T) {
	b := newBench(t, storetest.PostgresURL(t))
	const n = 6000
	b.contacts(n)
	var hold atomic.Bool
	b.carrier.answers(func(ctx context.Context, m *delivery.Outgoing, times int) error {
		switch {
		case m.To[len(m.To)-1] == '7' && times == 1:
			return &delivery.Unsent{Err: errors.New("no route")} // so that retries are in hand, too
		case hold.Load() && times > 1:
			<-ctx.Done()
			return ctx.Err()
		}
		pause(ctx, time.Millisecond)
		return nil
	})
	f := &faulty{Store: b.store}
	cut := b.newEngine(f, b.onceLane())
	cut.Hurry(time.Second, time.Second, time.Millisecond)
	b.run(cut)
	c := b.send()
	b.eventually(func() bool { return b.carrier.total() > 300 })
	hold.Store(true)
	b.eventually(func() bool { return b.twice() > 5 }, "no retry is in hand")
	f.fails()
	hold.Store(false)
	heir := b.newEngine(b.open(), b.onceLane())
	heir.Hurry(time.Second, time.Second, time.Millisecond)
	b.run(heir)
	b.completes(c)
	f.works()
	taken := map[string]int{}
	for to, times := range b.carrier.seen() {
		if taken[to] = times; to[len(to)-1] == '7' {
			taken[to]-- // the first never left
		}
		require.LessOrEqual(t, taken[to], 1, to)
	}
	p := b.requireComplete(c)
	require.EqualValues(t, n, p.Sent()+p.Unknown)
	t.Logf("%d of %d are unknown", p.Unknown, n)
	require.LessOrEqual(t, p.Unknown, int64(50*4+200), "a window for each sender, and a batch of retries")
	interrupted := 0
	for _, m := range b.messages(c) {
		if m.Code != nil && *m.Code == store.CodeInterrupted {
			require.Equal(t, store.MessageUnknown, m.Status)
			interrupted++
		}
	}
	require.Positive(t, interrupted)
}

// twice is how many addresses came more than once.
func (b *bench) twice() (n int) {
	for _, times := range b.carrier.seen() {
		n += min(times-1, 1)
	}
	return n
}

// TestChunkThatCannotBeReadKeepsItsDoubt lets the next holder of a chunk fail
// before it knows whom the one before had in hand.
func TestChunkThatCannotBeReadKeepsItsDoubt(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		const n = 600
		b.contacts(n)
		require.NoError(t, b.store.Heartbeat(t.Context(), store.Worker{ID: "wrk_before", Channels: []store.Channel{store.SMS}}))
		c := b.send()
		_, err := b.store.FreezePage(t.Context(), c.ID)
		require.NoError(t, err)
		k, err := b.store.ClaimChunk(t.Context(), c.ID, "wrk_dead", time.Millisecond, 50) // and is never heard of again
		require.NoError(t, err)
		require.NotNil(t, k)
		f := &faulty{Store: b.store}
		for _, method := range []string{"Unrecorded", "Recipients", "RecordChunk"} {
			f.fails(method)
			engine := b.newEngine(f, b.onceLane())
			engine.Hurry(time.Second, time.Second, time.Millisecond)
			stop := b.run(engine)
			pause(t.Context(), 300*time.Millisecond)
			stop()
			require.Zero(t, b.carrier.total(), method)
		}
		f.works()
		engine := b.newEngine(f, b.onceLane())
		engine.Hurry(time.Second, time.Second, time.Millisecond)
		b.run(engine)
		b.completes(c)
		p := b.requireAtMostOnce(c, b.carrier.seen(), n)
		require.EqualValues(t, 50, p.Unknown, "all that it may have handed over")
		b.carrier.requireOnce(t, n-50)
	})
}
