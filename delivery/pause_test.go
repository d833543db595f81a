package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
)

// requireStill checks that nothing is handed over from now on.
func (b *bench) requireStill() {
	now := b.carrier.total()
	require.Never(b.t, func() bool { return b.carrier.total() != now }, time.Second, 10*time.Millisecond)
}

func TestPauseHoldsTheCountStillAndResumeGoesOn(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(2000)
		var last atomic.Int64
		b.carrier.answers(func(ctx context.Context, _ *delivery.Outgoing, _ int) error {
			last.Store(time.Now().UnixNano())
			pause(ctx, time.Millisecond)
			return nil
		})
		b.run(b.engine)
		c := b.send()
		for _, until := range []int{300, 1000} {
			b.eventually(func() bool { return b.carrier.total() > until })
			b.do(c, (*store.Campaign).Pause)
			paused := time.Now()
			pause(t.Context(), time.Second) // what the contract gives it
			b.requireStill()
			t.Logf("last hand-over %v after the pause", time.Unix(0, last.Load()).Sub(paused))
			p := b.progress(c)
			require.EqualValues(t, b.carrier.total(), p.Sent(), "what was handed over is recorded")
			require.EqualValues(t, int(p.Total)-b.carrier.total(), p.Queued())
			b.do(c, (*store.Campaign).Resume)
		}
		b.completes(c)
		b.carrier.requireOnce(t, 2000)
		b.requireComplete(c)
	})
}

func TestPauseAndResumeInQuickSuccessionRepeatNothing(t *testing.T) {
	for name, throttle := range map[string]*int{"in turn": nil, "throttled": ptr(100_000)} {
		t.Run(name, func(t *testing.T) {
			eachBench(t, func(t *testing.T, b *bench) {
				b.contacts(1500)
				b.carrier.slowly(time.Millisecond)
				b.run(b.engine)
				c := b.send(func(c *store.Campaign) { c.Throttle = throttle })
				for i := 0; i < 30 && b.carrier.total() < 1200; i++ {
					b.do(c, (*store.Campaign).Pause)
					pause(t.Context(), time.Duration(i%4)*5*time.Millisecond)
					b.do(c, (*store.Campaign).Resume)
					pause(t.Context(), 10*time.Millisecond)
				}
				b.completes(c)
				b.carrier.requireOnce(t, 1500)
				b.requireComplete(c)
			})
		})
	}
}

func TestCancelledCampaignSendsNoMoreAndItsLedgerIsComplete(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(2000)
		b.carrier.answers(func(ctx context.Context, m *delivery.Outgoing, _ int) error {
			pause(ctx, time.Millisecond)
			if m.To[len(m.To)-1] == '7' {
				return &delivery.Deferred{Code: "busy"} // so that retries wait, too
			}
			return nil
		})
		b.run(b.engine)
		c := b.send()
		b.eventually(func() bool { return b.read(c).Built && b.carrier.total() > 500 })
		b.do(c, (*store.Campaign).Cancel)
		p := b.requireComplete(c)
		b.requireStill()
		require.EqualValues(t, 2000, p.Total)
		require.Positive(t, p.Cancelled)
		require.Zero(t, p.Unknown)
		for _, m := range b.messages(c) {
			if m.Status == store.MessageSent {
				continue
			}
			require.Equal(t, store.MessageCancelled, m.Status)
		}
		active, err := b.store.ActiveCampaigns(t.Context())
		require.NoError(t, err)
		require.Empty(t, active)
	})
}

func TestPausedAndCancelledBeforeAnythingWasSent(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(1500)
		require.NoError(t, b.store.Heartbeat(t.Context(), store.Worker{ID: "wrk_before", Channels: []store.Channel{store.SMS}}))
		c := b.send()
		b.do(c, (*store.Campaign).Pause)
		b.run(b.engine)
		b.requireStill()
		b.do(c, (*store.Campaign).Cancel)
		b.eventually(func() bool {
			active, err := b.store.ActiveCampaigns(t.Context())
			require.NoError(t, err)
			return len(active) == 0
		})
		p := b.requireComplete(c)
		require.Equal(t, p.Total, p.Cancelled)
		require.Zero(t, b.carrier.total())
	})
}

// TestEngineThatEndsGivesItsWorkBack ends one engine in the middle; the next
// finishes, and nobody gets a message twice.
func TestEngineThatEndsGivesItsWorkBack(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(3000)
		b.carrier.slowly(5 * time.Millisecond)
		c := b.campaign()
		for _, until := range []int{500, 1500} {
			stop := b.run(b.newEngine(b.store))
			if until == 500 {
				b.ready(c)
				b.do(c, (*store.Campaign).Send)
			}
			b.eventually(func() bool { return b.carrier.total() > until })
			stop()
			p := b.progress(c)
			require.EqualValues(t, b.carrier.total(), p.Sent(), "all that was handed over is recorded")
		}
		began := time.Now()
		b.carrier.slowly(0)
		b.run(b.newEngine(b.store))
		b.completes(c)
		t.Logf("the last engine took %v", time.Since(began))
		b.carrier.requireOnce(t, 3000)
		b.requireComplete(c)
	})
}

func TestDrainIsBounded(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(100)
		release := b.carrier.hangs(func(*delivery.Outgoing) bool { return true })
		defer release()
		stop := b.run(b.newEngineWith(b.store, delivery.Options{DrainTimeout: 100 * time.Millisecond}))
		c := b.send()
		b.eventually(func() bool { return b.carrier.total() == 16 }, "as many as the lane takes")
		stop()
		require.Equal(t, 16, b.carrier.total())
		p := b.progress(c)
		require.EqualValues(t, 100, p.Queued(), "what broke off waits for another attempt")
	})
}
