package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

// statistics are an account's, by channel.
func (b *shop) statistics(f store.StatisticsFilter) map[store.Channel]store.ChannelStatistics {
	b.t.Helper()
	rows, err := b.Statistics(b.t.Context(), b.sc, f)
	require.NoError(b.t, err)
	out := map[store.Channel]store.ChannelStatistics{}
	for _, r := range rows {
		require.NotContains(b.t, out, r.Channel)
		out[r.Channel] = r
	}
	return out
}

// recount are the same from a scan of all messages.
func (b *shop) recount() map[store.Channel]store.ChannelStatistics {
	b.t.Helper()
	out := map[store.Channel]store.ChannelStatistics{}
	for p := (store.Page{Limit: 100}); ; {
		cs, next, err := b.Campaigns(b.t.Context(), b.sc, store.CampaignFilter{}, p)
		require.NoError(b.t, err)
		for _, c := range cs {
			n := out[c.Channel]
			n.Channel = c.Channel
			n.Campaigns++
			if slices.Contains([]store.Status{store.Scheduled, store.Sending, store.Paused}, c.Status) {
				n.Active++
			}
			for _, m := range b.messages(c) {
				if m.Taken() {
					n.Sent++
				}
				switch m.Status {
				case store.MessageDelivered:
					n.Delivered++
				case store.MessageFailed:
					n.Failed++
				}
			}
			out[c.Channel] = n
		}
		if p.Cursor = next; next == "" {
			return out
		}
	}
}

func TestStatisticsSayWhatAScanOfTheMessagesSays(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 40)
		require.Empty(t, b.statistics(store.StatisticsFilter{}))
		mail := func(c *store.Campaign) { c.Channel = store.Email }
		for status := range allowed {
			b.inStatus(status)
		}
		for range 2 {
			c := b.sending(mail)
			k := b.claim(c)
			b.record(k, 40, slices.Concat(outcomes(store.MessageSent, k.IDs[:30]...), outcomes(store.MessageFailed, k.IDs[30:36]...), softly(k.IDs[36:]...))...)
			b.receive(c, k.IDs[0], store.MessageDelivered)
			b.receive(c, k.IDs[1], store.MessageFailed)
			b.receive(c, k.IDs[2], store.MessageUnknown)
			require.Equal(t, b.recount(), b.statistics(store.StatisticsFilter{}))
			b.do(c, (*store.Campaign).Cancel)
			require.True(t, b.settle(c))
			require.Equal(t, b.recount(), b.statistics(store.StatisticsFilter{}))
		}
		require.Equal(t, store.ChannelStatistics{Channel: store.Email, Campaigns: 2, Sent: 60, Delivered: 2, Failed: 14},
			b.statistics(store.StatisticsFilter{})[store.Email])
	})
}

func TestStatisticsAreNarrowedByChannelAndStart(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		b.draft()
		b.sending(func(c *store.Campaign) { c.Channel = store.Email })
		c := b.sending()
		b.sendAll(c)
		before, after := c.StartedAt.Add(-time.Minute), c.StartedAt.Add(time.Microsecond)
		all := b.statistics(store.StatisticsFilter{})
		require.EqualValues(t, 2, all[store.SMS].Campaigns)
		require.Len(t, b.statistics(store.StatisticsFilter{Channel: store.Email}), 1)
		since := b.statistics(store.StatisticsFilter{Since: &before})
		require.EqualValues(t, 1, since[store.SMS].Campaigns, "a draft has not started")
		require.EqualValues(t, 3, since[store.SMS].Sent)
		require.Len(t, since, 2)
		require.Len(t, b.statistics(store.StatisticsFilter{Since: c.StartedAt}), 1, "since is inclusive")
		require.Len(t, b.statistics(store.StatisticsFilter{Until: c.StartedAt}), 1, "until is exclusive")
		require.Len(t, b.statistics(store.StatisticsFilter{Until: &after}), 2)
		require.Empty(t, b.statistics(store.StatisticsFilter{Since: &after}))
		require.Empty(t, b.statistics(store.StatisticsFilter{Until: &before}))
	})
}

// TestProgressAddsUpAtEveryMoment reads progress and statistics over and over
// while the audience is frozen, chunks and retries are recorded, receipts come
// and, at last, the campaign is cancelled.
func TestProgressAddsUpAtEveryMoment(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 2000)
		c := b.do(b.draft(func(c *store.Campaign) {
			c.Body, c.ABTest = nil, &store.ABTest{Variants: []store.Variant{{Name: "a", Body: ptr("A"), Percentage: 50}, {Name: "b", Body: ptr("B"), Percentage: 50}}}
		}), (*store.Campaign).Send)
		var over atomic.Bool
		var working atomic.Int32
		working.Store(3)
		looked := 0
		together(t, 4, func(ctx context.Context, i int) error {
			if i == 3 {
				for last := (store.Progress{}); !over.Load(); looked++ {
					p := b.progress(c)
					if p.Total < last.Total || p.Accepted < last.Accepted || p.Delivered < last.Delivered {
						return fmt.Errorf("went back from %+v to %+v", last, p)
					}
					last = p
					b.statistics(store.StatisticsFilter{})
				}
				return nil
			}
			err := b.bustle(ctx, c, i)
			if working.Add(-1) == 0 {
				over.Store(true)
			}
			return err
		})
		require.Positive(t, looked)
		for range 2 { // the last leases are given back by now
			b.settle(c)
		}
		b.fold()
		b.audit(c)
		require.Equal(t, b.recount(), b.statistics(store.StatisticsFilter{}))
	})
}

// bustle does one worker's part of a campaign until it is settled: all kinds of
// outcomes, retries, receipts. The first worker cancels it in the end.
func (b *shop) bustle(ctx context.Context, c store.Campaign, worker int) error {
	for round := 0; ; round++ {
		if _, err := b.FreezePage(ctx, c.ID); err != nil {
			return err
		}
		k, err := b.ClaimChunk(ctx, c.ID, testWorker, longLease, testWindow)
		if err != nil {
			return err
		}
		if k != nil {
			if err := b.workMixed(ctx, k); err != nil {
				return err
			}
		}
		rs, err := b.ClaimRetries(ctx, c.ID, testWorker, 50, longLease, true)
		if err != nil {
			return err
		}
		os := make([]*store.Outcome, len(rs))
		for i, r := range rs {
			os[i] = &store.Outcome{Contact: r.Contact, Status: []store.MessageStatus{0, store.MessageSent, store.MessageFailed}[r.Contact%3]}
		}
		if err := b.RecordRetries(ctx, c.ID, "hand", rs, os); err != nil {
			return err
		}
		if _, _, err := b.FoldReceipts(ctx); err != nil {
			return err
		}
		if round == 5 && worker == 0 {
			if _, err := b.UpdateCampaign(ctx, b.sc, c.PublicID, (*store.Campaign).Cancel); err != nil {
				return err
			}
		}
		settled, err := b.Settle(ctx, c.ID)
		if settled || err != nil {
			return err
		}
	}
}

func (b *shop) workMixed(ctx context.Context, k *store.Chunk) error {
	rest, err := b.Unrecorded(ctx, k.Campaign, k.IDs[k.Done:])
	if err != nil {
		return err
	}
	for len(rest) > 0 {
		part := rest[:min(100, len(rest))]
		rest = rest[len(part):]
		os := outcomes(store.MessageSent, part...)
		receipts := make([]store.Receipt, len(part))
		for i, id := range part {
			os[i].Status = []store.MessageStatus{store.MessageSent, store.MessageSent, store.MessageFailed, 0}[id%4]
			receipts[i] = store.Receipt{CampaignID: k.Campaign, ContactID: id, Status: []store.MessageStatus{store.MessageDelivered, store.MessageFailed, store.MessageUnknown}[id%3]}
		}
		r := store.Record{Carrier: "hand", Outcomes: os, Done: k.Done, Intent: k.Done + testWindow, Lease: longLease}
		if len(rest) == 0 {
			r.Done, r.Lease = len(k.IDs), 0
		}
		if _, err := b.RecordChunk(ctx, k, r); err != nil {
			return err
		}
		if err := b.AddReceipts(ctx, "hand", receipts); err != nil {
			return err
		}
	}
	return nil
}

func TestRateLeavesPausesOut(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 20)
		c := b.sending()
		k := b.claim(c)
		b.record(k, 10, outcomes(store.MessageSent, k.IDs[:10]...)...)
		// It has been sending for 100 s, then 100 s more.
		b.do(c, (*store.Campaign).Pause)
		require.NoError(t, s.Exec(t.Context(), "UPDATE campaigns SET sending_for = 100000000"))
		require.Zero(t, b.progress(c).Rate, "nothing is being sent")
		b.do(c, (*store.Campaign).Resume)
		ago := map[bool]string{false: "- interval '100 seconds'", true: "- 100000000"}[s.Embedded()]
		require.NoError(t, s.Exec(t.Context(), "UPDATE campaigns SET sending_since = sending_since "+ago))
		p := b.progress(c)
		require.InDelta(t, 10./200, p.Rate, 0.005)
		require.WithinDuration(t, time.Now().Add(200*time.Second), *p.CompletedAt, 20*time.Second)
	})
}

func TestCampaignThatNeverStartedHasNoRecipients(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		require.Equal(t, store.Progress{}, b.progress(b.draft()))
		c := b.do(b.inStatus(store.Scheduled), (*store.Campaign).Cancel)
		require.Equal(t, store.Progress{AudienceFinal: true}, b.progress(c))
		require.True(t, b.settle(c))
	})
}
