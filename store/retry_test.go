package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

// failing is a campaign to n contacts whose first attempt failed softly.
func (b *shop) failing() (store.Campaign, []int64) {
	b.t.Helper()
	c := b.sending()
	k := b.claim(c)
	b.record(k, len(k.IDs), softly(k.IDs...)...)
	return c, k.IDs
}

func (b *shop) claimRetries(c store.Campaign, limit int) []store.Retry {
	b.t.Helper()
	rs, err := b.ClaimRetries(b.t.Context(), c.ID, testWorker, limit, longLease, true)
	require.NoError(b.t, err)
	return rs
}

func (b *shop) recordRetries(c store.Campaign, rs []store.Retry, os ...*store.Outcome) {
	b.t.Helper()
	require.NoError(b.t, b.RecordRetries(b.t.Context(), c.ID, "hand", rs, os))
}

func TestSoftFailureIsTriedAgainUntilItIsSettled(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		c, ids := b.failing()
		require.EqualValues(t, 3, b.progress(c).Queued(), "waiting for another attempt is not failed")
		require.Empty(t, b.messages(c))
		require.False(t, b.settle(c), "a retry is left")

		rs := b.claimRetries(c, 10)
		require.Len(t, rs, 3)
		for _, r := range rs {
			require.Equal(t, store.Retry{Campaign: c.ID, Contact: r.Contact, Attempts: 1, Epoch: 1, Age: r.Age}, r)
			require.Less(t, r.Age, time.Minute)
			require.Contains(t, ids, r.Contact)
		}
		require.Empty(t, b.claimRetries(c, 10), "each has one holder")
		b.recordRetries(c, rs,
			&store.Outcome{Contact: rs[0].Contact, Status: store.MessageSent, Ref: "r"},
			&store.Outcome{Contact: rs[1].Contact, Code: "busy"},
			&store.Outcome{Contact: rs[2].Contact, Status: store.MessageFailed, Code: "550", Text: "gone"})
		last := b.claimRetries(c, 10)
		require.Len(t, last, 1)
		require.Equal(t, rs[1].Contact, last[0].Contact)
		require.Equal(t, 2, last[0].Attempts)
		b.recordRetries(c, last, &store.Outcome{Contact: last[0].Contact, Status: store.MessageSkipped, Code: store.SkipOptedOut})
		require.True(t, b.settle(c))
		p, ms := b.audit(c)
		require.Equal(t, []int64{1, 1, 1}, []int64{p.Sent(), p.Failed(), p.Skipped()})
		for i, attempts := range []int{2, 2, 2} {
			require.Equal(t, attempts, ms[rs[i].Contact].Attempts, "a skip is no attempt")
		}
		require.Equal(t, "r", *ms[rs[0].Contact].CarrierRef)
		require.Equal(t, "gone", *ms[rs[2].Contact].Text)
	})
}

func TestRetryWaitsItsTimeAndForTheCampaign(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 2)
		c := b.sending()
		k := b.claim(c)
		os := softly(k.IDs...)
		os[1].RetryAfter = time.Hour
		b.record(k, 2, os...)
		b.do(c, (*store.Campaign).Pause)
		require.Empty(t, b.claimRetries(c, 10), "not while paused")
		b.do(c, (*store.Campaign).Resume)
		rs := b.claimRetries(c, 10)
		require.Len(t, rs, 1)
		require.Equal(t, k.IDs[0], rs[0].Contact)
		b.recordRetries(c, rs, nil)
		rs = b.claimRetries(c, 10)
		require.Len(t, rs, 1, "given back as it was")
		require.Equal(t, 1, rs[0].Attempts)
	})
}

func TestLapsedRetryIsTakenOverAndTheOldHolderChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		c, _ := b.failing()
		old := b.claimRetries(c, 10)
		b.lapse()
		taken := b.claimRetries(c, 10)
		require.Len(t, taken, 3)
		require.Equal(t, 2, taken[0].Epoch)
		b.recordRetries(c, old, &store.Outcome{Contact: old[0].Contact, Status: store.MessageSent}, &store.Outcome{Contact: old[1].Contact}, nil)
		require.Empty(t, b.messages(c))
		require.Empty(t, b.claimRetries(c, 10), "the new holder's leases stand")
		for i := range taken {
			b.recordRetries(c, taken[i:i+1], &store.Outcome{Contact: taken[i].Contact, Status: store.MessageSent})
		}
		require.True(t, b.settle(c))
		b.audit(c)
	})
}

func TestRetriesToldTwiceCountOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 2)
		c, _ := b.failing()
		rs := b.claimRetries(c, 10)
		for range 2 { // as after a lost answer
			b.recordRetries(c, rs, &store.Outcome{Contact: rs[0].Contact, Status: store.MessageSent}, &store.Outcome{Contact: rs[1].Contact})
		}
		require.EqualValues(t, 1, b.progress(c).Sent())
		rs = b.claimRetries(c, 10)
		require.Len(t, rs, 1)
		require.Equal(t, 2, rs[0].Attempts)
	})
}

func TestEachRetryHasOneHolder(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 100)
		c, _ := b.failing()
		var mu sync.Mutex
		held := map[int64]int{}
		together(t, 8, func(ctx context.Context, _ int) error {
			for {
				rs, err := s.ClaimRetries(ctx, c.ID, testWorker, 7, longLease, true)
				if err != nil || len(rs) == 0 {
					return err
				}
				mu.Lock()
				for _, r := range rs {
					held[r.Contact]++
				}
				mu.Unlock()
			}
		})
		// A claimer that met a locked row may have stopped early.
		for _, r := range b.claimRetries(c, 100) {
			held[r.Contact]++
		}
		require.Len(t, held, 100)
		for id, n := range held {
			require.Equal(t, 1, n, id)
		}
	})
}

func TestLostRetriesAreUnknownAndNobodyTriesThemAgain(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 5)
		c, ids := b.failing()
		require.Len(t, b.claimRetries(c, 2), 2)
		require.NoError(t, s.LoseRetries(t.Context(), c.ID, "hand"))
		require.Empty(t, b.messages(c), "somebody has them in hand, the others wait")
		b.lapse()
		mine, err := s.ClaimRetries(t.Context(), c.ID, testWorker, 10, longLease, false)
		require.NoError(t, err)
		require.Len(t, mine, 3, "those that nobody had in hand")
		require.NoError(t, s.LoseRetries(t.Context(), c.ID, "hand"))
		require.NoError(t, s.LoseRetries(t.Context(), c.ID, "hand"))
		var sent []*store.Outcome
		for _, r := range mine {
			sent = append(sent, &store.Outcome{Contact: r.Contact, Status: store.MessageSent})
		}
		b.recordRetries(c, mine, sent...)
		require.True(t, b.settle(c))
		p, ms := b.audit(c)
		require.Equal(t, []int64{3, 2}, []int64{p.Sent(), p.Unknown})
		for _, id := range ids {
			require.Equal(t, 2, ms[id].Attempts)
			require.Equal(t, "hand", *ms[id].Carrier)
			if ms[id].Status == store.MessageUnknown {
				require.Equal(t, store.CodeInterrupted, *ms[id].Code)
			}
		}
	})
}
