package delivery_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

func TestEnginesShareACampaignWithoutRepeats(t *testing.T) {
	b := newBench(t, storetest.PostgresURL(t))
	b.contacts(6000)
	other := newHandCarrier()
	for _, c := range []*handCarrier{b.carrier, other} {
		c.slowly(time.Millisecond)
		b.run(b.newEngine(b.open(), delivery.Lane{Name: "hand", Carrier: c, Channels: []store.Channel{store.SMS}}))
	}
	c := b.send()
	b.eventually(func() bool { return b.carrier.total() > 100 && other.total() > 100 }, "both take part")
	b.do(c, (*store.Campaign).Pause)
	pause(t.Context(), time.Second)
	n := b.carrier.total() + other.total()
	require.Never(t, func() bool { return b.carrier.total()+other.total() != n }, 500*time.Millisecond, 10*time.Millisecond)
	b.do(c, (*store.Campaign).Resume)
	b.completes(c)
	require.Equal(t, 6000, b.carrier.total()+other.total())
	seen := other.seen()
	for to := range b.carrier.seen() {
		require.NotContains(t, seen, to)
	}
	b.requireComplete(c)
}

func TestCarrierThatHangsHoldsUpNoOtherLane(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(1500)
		mail := newHandCarrier()
		release := mail.hangs(func(*delivery.Outgoing) bool { return true })
		defer release()
		b.run(b.newEngine(b.store,
			delivery.Lane{Name: "sms", Carrier: b.carrier, Channels: []store.Channel{store.SMS}},
			delivery.Lane{Name: "mail", Carrier: mail, Channels: []store.Channel{store.Email}}))
		hung := b.send(func(c *store.Campaign) { c.Channel = store.Email })
		throttled := b.send(func(c *store.Campaign) { c.Channel, c.Throttle = store.Email, ptr(1000) })
		b.eventually(func() bool { return mail.total() == 16 }, "the lane is full")
		b.completes(b.send())
		b.completes(b.send(func(c *store.Campaign) { c.Throttle = ptr(100_000) }))
		p := b.progress(hung)
		require.Zero(t, p.Sent())
		release()
		b.completes(hung)
		b.completes(throttled)
		for to, times := range mail.seen() {
			require.Equal(t, 2, times, "once for each campaign: %s", to)
		}
	})
}

// TestThrottleBoundsWhatGoesOut counts in the time of a bubble, where a minute
// is over at once and nothing else takes any.
func TestThrottleBoundsWhatGoesOut(t *testing.T) {
	for name, x := range map[string]struct {
		campaign *int
		account  float64
		lane     float64
		messages int
		rate     float64 // that there must be
	}{
		"campaign":       {ptr(20), 0, 0, 600, 20},
		"account":        {nil, 20, 0, 600, 20},
		"carrier":        {nil, 0, 20, 600, 20},
		"the lowest":     {ptr(50), 20, 80, 600, 20},
		"the lowest too": {ptr(20), 80, 50, 600, 20},
		"slow":           {ptr(1), 0, 0, 40, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := "sqlite:" + storetest.SQLitePath(t)
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, dsn)
				b.contacts(x.messages)
				lane := b.lane()
				lane.Rate = x.lane
				b.rate(x.account)
				b.run(b.newEngine(b.store, lane))
				c := b.send(func(c *store.Campaign) { c.Throttle = x.campaign })
				var went []time.Time
				for b.read(c).Status != store.Completed {
					for range b.carrier.total() - len(went) {
						went = append(went, time.Now())
					}
					pause(t.Context(), 10*time.Millisecond)
				}
				b.carrier.requireOnce(t, x.messages)
				for i := range went {
					end, _ := slices.BinarySearchFunc(went, went[i].Add(time.Second), time.Time.Compare)
					require.LessOrEqual(t, float64(end-i), x.rate+2, "in the second after %v", went[i])
				}
				took := went[len(went)-1].Sub(went[0])
				t.Logf("%d messages at %v a second took %v", x.messages, x.rate, took)
				require.InEpsilon(t, float64(x.messages-1)/x.rate, took.Seconds(), 0.1, "and no slower than it may")
			})
		})
	}
}

// TestRateOfAnAccountIsHeededWithinASecond changes it while two campaigns go out,
// in the time of a bubble.
func TestRateOfAnAccountIsHeededWithinASecond(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + storetest.SQLitePath(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dsn)
		b.contacts(2000)
		b.rate(10)
		b.carrier.slowly(50 * time.Millisecond) // 16 at once: 320 a second
		b.run(b.engine)
		mail, sms := b.send(func(c *store.Campaign) { c.Channel = store.Email }), b.send()
		in := func(d time.Duration) int {
			n := b.carrier.total()
			pause(t.Context(), d)
			return b.carrier.total() - n
		}
		pause(t.Context(), time.Second)
		require.InDelta(t, 100, in(10*time.Second), 2)
		b.rate(100)
		pause(t.Context(), time.Second)
		require.InDelta(t, 1000, in(10*time.Second), 10)
		require.InDelta(t, b.progress(mail).Sent(), b.progress(sms).Sent(), 50, "they share it")
		b.rate(0)
		pause(t.Context(), time.Second)
		require.Greater(t, in(time.Second), 250, "no bound")
		b.rate(5)
		pause(t.Context(), time.Second)
		require.InDelta(t, 50, in(10*time.Second), 2)
	})
}

// TestAccountAtItsRateHoldsUpNoOther gives one account many campaigns that wait,
// on the only carrier.
func TestAccountAtItsRateHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + storetest.SQLitePath(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dsn)
		b.contacts(200)
		b.rate(1)
		b.run(b.engine)
		var slow []store.Campaign
		for range 10 {
			slow = append(slow, b.send())
		}
		pause(t.Context(), 5*time.Second)
		b.account("Bolt")
		b.contacts(2000)
		quick, began := b.send(), time.Now()
		for b.read(quick).Status != store.Completed {
			pause(t.Context(), 10*time.Millisecond)
		}
		require.Less(t, time.Since(began), 2*time.Second) // of the bubble's
		for _, c := range slow {
			require.Equal(t, store.Sending, b.read(c).Status)
		}
	})
}

// TestOptOutIsHeededWhileAChunkIsUnderWay lets a contact opt out long after the
// chunk with it was claimed, and long before its message would go.
func TestOptOutIsHeededWhileAChunkIsUnderWay(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + storetest.SQLitePath(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dsn)
		b.contacts(40)
		b.run(b.engine)
		c := b.send(func(c *store.Campaign) { c.Throttle = ptr(1) })
		for b.carrier.total() < 5 {
			pause(t.Context(), 100*time.Millisecond)
		}
		_, err := b.store.OptOut(t.Context(), b.scope, b.contact(30).PublicID, store.SetOf(store.SMS))
		require.NoError(t, err)
		for b.read(c).Status != store.Completed {
			pause(t.Context(), 100*time.Millisecond)
		}
		p := b.progress(c)
		require.Equal(t, []int64{39, 1}, []int64{p.Sent(), p.SkippedOptedOut})
	})
}

func TestEnginesShareAThrottle(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.PostgresURL(t))
	b.contacts(400)
	for range 2 {
		b.run(b.newEngine(b.open()))
	}
	began := time.Now()
	c := b.send(func(c *store.Campaign) { c.Throttle = ptr(100) })
	b.completes(c)
	require.Greater(t, time.Since(began), 3*time.Second, "400 at 100 a second, not at 200")
	b.carrier.requireOnce(t, 400)
}
