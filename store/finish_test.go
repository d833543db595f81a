package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

func TestCampaignCompletesWhenNothingIsLeft(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1200)
		c := b.do(b.draft(), (*store.Campaign).Send)
		_, err := s.FreezePage(t.Context(), c.ID)
		require.NoError(t, err)
		b.sendAll(c)
		require.False(t, b.settle(c), "the audience is not final")
		b.freeze(c)
		require.False(t, b.settle(c), "a chunk is open")
		b.sendAll(c)
		b.do(c, (*store.Campaign).Pause)
		require.False(t, b.settle(c), "a paused campaign completes when it is resumed")
		resumed := b.do(c, (*store.Campaign).Resume)
		for range 3 {
			require.True(t, b.settle(c), "the same each time")
		}
		done := b.read(c)
		require.Equal(t, store.Completed, done.Status)
		require.Equal(t, resumed.Version+1, done.Version)
		require.NotNil(t, done.CompletedAt)
		p, _ := b.audit(c)
		require.Zero(t, p.Rate)
		require.Nil(t, p.CompletedAt)
		n, err := s.Count(t.Context(), "SELECT count(*) FROM campaign_chunks")
		require.NoError(t, err)
		require.Zero(t, n)
		active, err := s.ActiveCampaigns(t.Context())
		require.NoError(t, err)
		require.Empty(t, active)
	})
}

func TestSettlingAtOnceCompletesOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 50)
		c := b.sending()
		b.sendAll(c)
		together(t, 6, func(ctx context.Context, _ int) error {
			_, err := s.Settle(ctx, c.ID)
			return err
		})
		require.Equal(t, 3, b.read(c).Version, "created, sent, completed")
		p, _ := b.audit(c)
		require.EqualValues(t, 50, p.Sent())
	})
}

// TestCancelledCampaignHasOneRowForEachRecipient cancels with a chunk done, one
// free again in its middle, one held, and retries waiting and held.
func TestCancelledCampaignHasOneRowForEachRecipient(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 4000)
		b.importCSV("external_id\nnowhere\n")
		c := b.sending()
		done, free, held := b.claim(c), b.claim(c), b.claim(c)
		b.record(done, len(done.IDs), append(outcomes(store.MessageSent, done.IDs[:990]...), softly(done.IDs[990:]...)...)...)
		b.record(free, 10, append(outcomes(store.MessageSent, free.IDs[:10]...), outcomes(store.MessageFailed, free.IDs[20])...)...)
		waiting := b.claimRetries(c, 4)
		require.Len(t, waiting, 4)

		b.do(c, (*store.Campaign).Cancel)
		require.False(t, b.settle(c), "somebody holds a chunk and retries")
		p := b.progress(c)
		require.Zero(t, p.Queued(), "what is not sent counts as cancelled at once")
		sentSoFar := p.Sent()
		k, err := s.RecordChunk(t.Context(), held, store.Record{Outcomes: outcomes(store.MessageSent, held.IDs[:3]...), Done: 3})
		require.NoError(t, err)
		require.True(t, k, "what was on its way is still recorded")
		b.recordRetries(c, waiting, &store.Outcome{Contact: waiting[0].Contact, Status: store.MessageSent}, &store.Outcome{Contact: waiting[1].Contact}, nil, nil)
		require.True(t, b.settle(c))
		p, ms := b.audit(c)
		require.EqualValues(t, 4001, p.Total)
		require.Equal(t, sentSoFar+4, p.Sent())
		require.EqualValues(t, 1, p.Failed())
		require.EqualValues(t, 1, p.Skipped())
		require.Zero(t, p.Unknown)
		again := ms[waiting[1].Contact]
		require.Equal(t, store.MessageCancelled, again.Status)
		require.Equal(t, 2, again.Attempts)
		require.True(t, b.settle(c))
		b.audit(c)
	})
}

func TestCancelWhileTheAudienceIsFrozenCountsWhatIsFrozen(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1500)
		c := b.do(b.draft(), (*store.Campaign).Send)
		_, err := s.FreezePage(t.Context(), c.ID)
		require.NoError(t, err)
		b.do(c, (*store.Campaign).Cancel)
		b.freeze(c)
		require.True(t, b.settle(c))
		p, _ := b.audit(c)
		require.True(t, p.AudienceFinal)
		require.EqualValues(t, 1000, p.Total)
		require.EqualValues(t, 1000, p.Cancelled)
	})
}

func TestBigCancelledCampaignIsSettledInOneGo(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 22_000)
		c := b.do(b.sending(), (*store.Campaign).Cancel)
		require.True(t, b.settle(c))
		require.EqualValues(t, 22_000, b.progress(c).Cancelled)
		n, err := s.Count(t.Context(), "SELECT count(*) FROM messages")
		require.NoError(t, err)
		require.Equal(t, 22_000, n)
	})
}

func TestWhatACrashedSenderHadInHandIsUnknownOnceCancelled(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1000)
		c := b.sending()
		k := b.claim(c)
		held, err := s.RecordChunk(t.Context(), k, store.Record{
			Outcomes: append(outcomes(store.MessageSent, k.IDs[:100]...), softly(k.IDs[150:152]...)...), Done: 100, Intent: 350, Lease: longLease,
		})
		require.NoError(t, err)
		require.True(t, held)
		require.Len(t, b.claimRetries(c, 1), 1)
		b.do(c, (*store.Campaign).Cancel)
		require.False(t, b.settle(c))
		// The process ends; another one starts. On SQLite it frees the leases.
		if b.Embedded() {
			require.NoError(t, s.FreeLeases(t.Context()))
		} else {
			b.lapse()
		}
		require.True(t, b.settle(c))
		p, ms := b.audit(c)
		require.Equal(t, []int64{100, 249, 651}, []int64{p.Sent(), p.Unknown, p.Cancelled})
		require.Equal(t, store.MessageUnknown, ms[k.IDs[349]].Status)
		require.Equal(t, store.MessageCancelled, ms[k.IDs[350]].Status)

		// A receipt still tells what became of it.
		b.receive(c, k.IDs[349], store.MessageDelivered)
		p, _ = b.audit(c)
		require.EqualValues(t, 1, p.Delivered)
	})
}

// TestProcessesCancelAndRecordAtOnce lets several processes settle a cancelled
// campaign while senders give back chunks and retries.
func TestProcessesCancelAndRecordAtOnce(t *testing.T) {
	dsn := storetest.PostgresURL(t)
	s := open(t, dsn)
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	b := newShop(t, s, 5000)
	c := b.sending(func(c *store.Campaign) {
		c.Body, c.ABTest = nil, &store.ABTest{Variants: []store.Variant{{Name: "a", Body: ptr("A"), Percentage: 50}, {Name: "b", Body: ptr("B"), Percentage: 50}}}
	})
	var all, held []*store.Chunk
	for {
		k, err := s.ClaimChunk(t.Context(), c.ID, testWorker, longLease, testWindow)
		require.NoError(t, err)
		if k == nil {
			break
		}
		all = append(all, k)
	}
	for _, k := range all {
		b.record(k, 20, append(outcomes(store.MessageSent, k.IDs[:10]...), softly(k.IDs[10:20]...)...)...)
	}
	for range 3 {
		held = append(held, b.claim(c))
	}
	retries := b.claimRetries(c, 30)
	b.do(c, (*store.Campaign).Cancel)
	together(t, 8, func(ctx context.Context, i int) error {
		if i < len(held) {
			k := held[i]
			_, err := s.RecordChunk(ctx, k, store.Record{Outcomes: softly(k.IDs[k.Done : k.Done+5]...), Done: k.Done + 5})
			return err
		}
		if i == 3 {
			os := make([]*store.Outcome, len(retries))
			for j := range os {
				os[j] = &store.Outcome{Contact: retries[j].Contact, Status: []store.MessageStatus{0, store.MessageSent}[j%2]}
			}
			return s.RecordRetries(ctx, c.ID, "hand", retries, os)
		}
		_, err := open(t, dsn).Settle(ctx, c.ID)
		return err
	})
	require.True(t, b.settle(c))
	p, _ := b.audit(c)
	require.EqualValues(t, 5000, p.Total)
}

func TestFreedLeasesLetWorkGoOnAtOnce(t *testing.T) {
	s := open(t, "sqlite:"+storetest.SQLitePath(t))
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	b := newShop(t, s, 2)
	c := b.sending()
	k := b.claim(c)
	held, err := s.RecordChunk(t.Context(), k, store.Record{Outcomes: softly(k.IDs[0]), Done: 1, Intent: 2, Lease: longLease})
	require.NoError(t, err)
	require.True(t, held)
	require.Len(t, b.claimRetries(c, 1), 1)
	require.NoError(t, s.Heartbeat(t.Context(), store.Worker{ID: "wrk_dead", Channels: []store.Channel{store.SMS}}))
	require.NoError(t, s.FreeLeases(t.Context()))
	require.Equal(t, 2, b.claim(c).Epoch)
	require.Len(t, b.claimRetries(c, 1), 1)
	ws, err := s.Count(t.Context(), "SELECT count(*) FROM workers")
	require.NoError(t, err)
	require.Zero(t, ws)
}

func TestBuriedWorkersLeasesEndAndOthersStay(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b, ctx := newShop(t, s, 2), t.Context()
		c, _ := b.failing()
		require.Len(t, b.claimRetries(c, 1), 1)
		dead := b.sending()
		_, err := b.ClaimChunk(ctx, dead.ID, "wrk_dead", longLease, testWindow)
		require.NoError(t, err)
		rs, err := b.ClaimRetries(ctx, c.ID, "wrk_dead", 1, longLease, true)
		require.NoError(t, err)
		require.Len(t, rs, 1)
		for id, process := range map[string]string{testWorker: "lives", "wrk_dead": "ended", "wrk_far": ""} {
			require.NoError(t, b.Heartbeat(ctx, store.Worker{ID: id, Channels: []store.Channel{store.SMS}, Process: process}))
		}
		ended := func(process string) bool { return process == "ended" }
		buried, err := b.BuryWorkers(ctx, ended)
		require.NoError(t, err)
		require.Equal(t, []string{"wrk_dead"}, buried)
		require.Equal(t, 2, b.claim(dead).Epoch)
		again := b.claimRetries(c, 2)
		require.Len(t, again, 1, "the other's stays its own")
		require.Equal(t, rs[0].Contact, again[0].Contact)
		ws, err := s.Count(ctx, "SELECT count(*) FROM workers")
		require.NoError(t, err)
		require.Equal(t, 2, ws)
		buried, err = b.BuryWorkers(ctx, ended)
		require.NoError(t, err)
		require.Empty(t, buried)
	})
}
