package delivery_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// part makes the bench's list one of the first n of its contacts.
func (b *bench) part(n int) {
	b.newList("part")
	b.contacts(n) // whom it has already
}

// TestSmallCampaignDoesNotWaitForABigOne counts how much of the big one goes out
// meanwhile: what the carrier can take in a turn, at most 1,600 a second, and then
// three times the small one, whatever is left of the big one.
func TestSmallCampaignDoesNotWaitForABigOne(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		const big, small = 10_000, 500
		b.contacts(big)
		all := b.list
		b.part(small)
		b.carrier.slowly(10 * time.Millisecond)
		b.run(b.engine)
		large := b.send(func(c *store.Campaign) { c.ListID = &all.PublicID })
		b.eventually(func() bool { return b.carrier.total() > 500 })
		before := b.progress(large)
		b.completes(b.send())
		meanwhile := b.progress(large)
		t.Logf("%d of the big one went out meanwhile", meanwhile.Sent()-before.Sent())
		require.Less(t, meanwhile.Sent()-before.Sent(), int64(10*small))
		b.completes(large)
		b.requireComplete(large)
		for to, times := range b.carrier.seen() {
			require.LessOrEqual(t, times, 2, "once for each campaign: %s", to)
		}
	})
}

// TestBusyAccountDoesNotStarveAnother gives one account far more campaigns than
// there are senders, and a small one to another account, in the time of a bubble:
// the carrier alone takes any.
func TestBusyAccountDoesNotStarveAnother(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + storetest.SQLitePath(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dsn)
		const many, few = 2000, 500
		b.contacts(many)
		b.carrier.slowly(10 * time.Millisecond)
		b.run(b.engine)
		var busy []store.Campaign
		for range 12 {
			busy = append(busy, b.send())
		}
		sent := func() (n int64) {
			for _, c := range busy {
				p := b.progress(c)
				n += p.Sent()
			}
			return n
		}
		pause(t.Context(), 3*time.Second)
		b.account("Bolt")
		b.contacts(few)
		c, before := b.send(), sent()
		for b.read(c).Status != store.Completed {
			pause(t.Context(), 10*time.Millisecond)
		}
		t.Logf("%d of the others went out meanwhile", sent()-before)
		require.Less(t, sent()-before, int64(8*few))
		pause(t.Context(), 10*time.Second)
		for _, c := range busy {
			p := b.progress(c)
			require.Positive(t, p.Sent(), "each of them has its turn as well")
		}
	})
}

// TestSlowCarrierLeavesAnotherChannelItsPace compares what goes out over a quick
// carrier, beside one that is a thousand times as slow, with what goes out over it
// alone.
func TestSlowCarrierLeavesAnotherChannelItsPace(t *testing.T) {
	t.Parallel()
	took := func(beside bool) (d time.Duration) {
		dsn := "sqlite:" + storetest.SQLitePath(t)
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, dsn)
			b.contacts(3000)
			slow := newHandCarrier()
			slow.slowly(10 * time.Second)
			b.carrier.slowly(10 * time.Millisecond)
			b.run(b.newEngine(b.store,
				delivery.Lane{Name: "sms", Carrier: b.carrier, Channels: []store.Channel{store.SMS}},
				delivery.Lane{Name: "mail", Carrier: slow, Channels: []store.Channel{store.Email}}))
			if beside {
				for range 6 {
					b.send(func(c *store.Campaign) { c.Channel = store.Email })
				}
				pause(t.Context(), time.Second)
			}
			c, began := b.send(), time.Now()
			for b.read(c).Status != store.Completed {
				pause(t.Context(), 10*time.Millisecond)
			}
			d = time.Since(began)
		})
		return d
	}
	alone, beside := took(false), took(true)
	t.Logf("%v alone, %v beside the slow one", alone, beside)
	require.InDelta(t, alone, beside, float64(alone/10)) // of bubbles' time
}

// freezer sees the pages of audiences that an engine freezes, before they are.
type freezer struct {
	*store.Store
	page func(campaign int64)
}

func (f *freezer) FreezePage(ctx context.Context, campaign int64) (bool, error) {
	f.page(campaign)
	return f.Store.FreezePage(ctx, campaign)
}

func TestCampaignSentWhileABigAudienceIsFrozenDoesNotWaitForIt(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(22_000) // four pages
		all := b.list
		b.part(10)
		var mu sync.Mutex
		var pages []int64
		var small store.Campaign
		f := &freezer{Store: b.store}
		f.page = func(campaign int64) {
			mu.Lock()
			defer mu.Unlock()
			if pages = append(pages, campaign); len(pages) == 2 {
				small = b.send()
			}
		}
		b.run(b.newEngine(f))
		large := b.send(func(c *store.Campaign) { c.ListID = &all.PublicID })
		b.eventually(func() bool { return b.read(large).Built })
		mu.Lock()
		defer mu.Unlock()
		require.Contains(t, pages, small.ID)
		require.Equal(t, large.ID, pages[len(pages)-1], "%v", pages)
	})
}
