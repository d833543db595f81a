package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

// fold folds receipts until none is due.
func (b *shop) fold() (n int) {
	b.t.Helper()
	n, _ = b.foldAll()
	return n
}

// foldAll says too which of them were dropped.
func (b *shop) foldAll() (n int, dropped []store.Receipt) {
	b.t.Helper()
	for {
		k, out, err := b.FoldReceipts(b.t.Context())
		require.NoError(b.t, err)
		dropped = append(dropped, out...)
		if n += k; k == 0 {
			return n, dropped
		}
	}
}

// receive puts receipts for one campaign into the inbox and folds them, one by
// one, so that their order is certain.
func (b *shop) receive(c store.Campaign, contact int64, statuses ...store.MessageStatus) {
	b.t.Helper()
	for _, s := range statuses {
		code := "code"
		require.NoError(b.t, b.AddReceipts(b.t.Context(), "hand", []store.Receipt{{CampaignID: c.ID, ContactID: contact, Status: s, Code: &code}}))
		require.Equal(b.t, 1, b.fold())
	}
}

// sent is a completed campaign to n contacts, all sent, and their ids.
func (b *shop) sent() (store.Campaign, []int64) {
	b.t.Helper()
	c := b.sending()
	k := b.claim(c)
	b.record(k, len(k.IDs), outcomes(store.MessageSent, k.IDs...)...)
	require.True(b.t, b.settle(c))
	return c, k.IDs
}

func TestReceiptsOnlyMoveAMessageForward(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		const sent, delivered, failed, unknown = store.MessageSent, store.MessageDelivered, store.MessageFailed, store.MessageUnknown
		b := newShop(t, s, 9)
		c, ids := b.sent()
		table := []struct {
			came []store.MessageStatus
			ends store.MessageStatus
		}{
			{nil, sent},
			{[]store.MessageStatus{delivered}, delivered},
			{[]store.MessageStatus{failed}, failed},
			{[]store.MessageStatus{unknown}, unknown},
			{[]store.MessageStatus{unknown, delivered}, delivered},
			{[]store.MessageStatus{unknown, unknown, failed}, failed},
			{[]store.MessageStatus{delivered, failed, unknown}, delivered},
			{[]store.MessageStatus{failed, delivered}, failed},
			{[]store.MessageStatus{delivered, delivered}, delivered},
		}
		for i, x := range table {
			b.receive(c, ids[i], x.came...)
		}
		p, ms := b.audit(c)
		for i, x := range table {
			require.Equal(t, x.ends, ms[ids[i]].Status, "%v", x.came)
			require.Equal(t, x.came != nil, ms[ids[i]].UpdatedAt != nil)
		}
		require.Equal(t, []int64{1, 4, 3, 1, 9}, []int64{p.Sent(), p.Delivered, p.Failed(), p.Unknown, p.Accepted})
	})
}

func TestManyReceiptsOfOneMessageAtOnceCountOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 2)
		c, ids := b.sent()
		var rs []store.Receipt
		for range 3 {
			for _, status := range []store.MessageStatus{store.MessageUnknown, store.MessageDelivered} {
				rs = append(rs, store.Receipt{CampaignID: c.ID, ContactID: ids[0], Status: status})
			}
		}
		require.NoError(t, s.AddReceipts(t.Context(), "hand", rs))
		require.Equal(t, 6, b.fold())
		p, _ := b.audit(c)
		require.Equal(t, []int64{1, 1, 0}, []int64{p.Sent(), p.Delivered, p.Unknown})
	})
}

func TestReceiptOfASkippedRefusedOrCancelledMessageChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		c := b.sending()
		k := b.claim(c)
		b.record(k, 2, append(outcomes(store.MessageFailed, k.IDs[0]), store.Outcome{Contact: k.IDs[1], Status: store.MessageSkipped, Code: store.SkipDeleted})...)
		b.do(c, (*store.Campaign).Cancel)
		require.True(t, b.settle(c))
		before, _ := b.audit(c)
		for _, id := range k.IDs {
			b.receive(c, id, store.MessageDelivered)
		}
		after, _ := b.audit(c)
		require.Equal(t, before, after)
	})
}

func TestEarlyReceiptWaitsForItsMessage(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c := b.sending()
		k := b.claim(c)
		require.NoError(t, s.AddReceipts(t.Context(), "hand", []store.Receipt{{CampaignID: c.ID, ContactID: k.IDs[0], Status: store.MessageDelivered}}))
		require.Equal(t, 1, b.fold(), "looked at, and put off")
		require.Zero(t, b.progress(c).Delivered)
		b.record(k, 1, outcomes(store.MessageSent, k.IDs...)...)
		require.True(t, b.settle(c))
		require.Eventually(t, func() bool { return b.fold() == 1 }, 5*time.Second, 10*time.Millisecond)
		p, _ := b.audit(c)
		require.EqualValues(t, 1, p.Delivered)
	})
}

func TestReceiptOfAnotherCarrierChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		c := b.sending()
		k := b.claim(c)
		receipts := func(status store.MessageStatus, ids ...int64) (rs []store.Receipt) {
			for _, id := range ids {
				rs = append(rs, store.Receipt{CampaignID: c.ID, ContactID: id, Status: status})
			}
			return rs
		}
		// The first is early: it waits for a row, and then finds whose it is.
		require.NoError(t, s.AddReceipts(t.Context(), "other", receipts(store.MessageFailed, k.IDs[0])))
		require.NoError(t, s.AddReceipts(t.Context(), "hand", receipts(store.MessageDelivered, k.IDs[0])))
		require.Equal(t, 2, b.fold(), "looked at, and put off")
		b.record(k, 3, outcomes(store.MessageSent, k.IDs...)...)
		require.True(t, b.settle(c))
		require.NoError(t, s.AddReceipts(t.Context(), "other", receipts(store.MessageFailed, k.IDs[1])))
		require.NoError(t, s.AddReceipts(t.Context(), "hand", receipts(store.MessageUnknown, k.IDs[2])))
		require.NoError(t, s.AddReceipts(t.Context(), "other", receipts(store.MessageDelivered, k.IDs[2])))
		require.NoError(t, s.Exec(t.Context(), "UPDATE receipts SET not_before = received_at"))
		n, dropped := b.foldAll()
		require.Equal(t, 5, n)
		var whose []int64
		for _, r := range dropped {
			require.Equal(t, "other", r.Carrier)
			whose = append(whose, r.ContactID)
		}
		require.ElementsMatch(t, k.IDs, whose)
		p, ms := b.audit(c)
		require.Equal(t, []int64{1, 1, 0, 1}, []int64{p.Delivered, p.Sent(), p.Failed(), p.Unknown})
		require.Equal(t, store.MessageDelivered, ms[k.IDs[0]].Status)
	})
}

// TestMessageThatNobodyKnowsTheCarrierOfHearsAny is of what a process had in
// hand when it died, in a campaign that was cancelled then.
func TestMessageThatNobodyKnowsTheCarrierOfHearsAny(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c := b.sending()
		k := b.claim(c)
		b.do(c, (*store.Campaign).Cancel)
		b.lapse()
		require.True(t, b.settle(c))
		require.EqualValues(t, 1, b.progress(c).Unknown)
		b.receive(c, k.IDs[0], store.MessageDelivered)
		require.EqualValues(t, 1, b.progress(c).Delivered)
	})
}

func TestReceiptComesTrueNotBeforeItsTime(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c, ids := b.sent()
		later := time.Now().Add(time.Hour)
		require.NoError(t, s.AddReceipts(t.Context(), "hand", []store.Receipt{{CampaignID: c.ID, ContactID: ids[0], Status: store.MessageDelivered, NotBefore: later}}))
		require.Zero(t, b.fold())
		require.NoError(t, s.Exec(t.Context(), "UPDATE receipts SET not_before = received_at"))
		require.Equal(t, 1, b.fold())
		require.EqualValues(t, 1, b.progress(c).Delivered)
	})
}

func TestReceiptWithoutAMessageIsDroppedWhenItHasWaitedLongEnough(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c, ids := b.sent()
		inbox := func() int {
			n, err := s.Count(t.Context(), "SELECT count(*) FROM receipts")
			require.NoError(t, err)
			return n
		}
		require.NoError(t, s.AddReceipts(t.Context(), "hand", []store.Receipt{
			{CampaignID: c.ID, ContactID: ids[0] + 99, Status: store.MessageDelivered},
			{CampaignID: c.ID + 99, ContactID: ids[0], Status: store.MessageDelivered},
			{CampaignID: c.ID, ContactID: ids[0], Round: 1, Status: store.MessageDelivered},
		}))
		require.Equal(t, 3, b.fold())
		require.Equal(t, 3, inbox())
		day := map[bool]string{false: "- interval '25 hours'", true: "- 25 * 3600000000"}[s.Embedded()]
		require.NoError(t, s.Exec(t.Context(), "UPDATE receipts SET received_at = received_at "+day+", not_before = received_at"))
		n, dropped := b.foldAll()
		require.Equal(t, 3, n)
		require.Len(t, dropped, 3)
		require.Zero(t, inbox())
		require.Zero(t, b.progress(c).Delivered)
	})
}

func TestFoldersAtOnceCountEachReceiptOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 600)
		var cs []store.Campaign
		var rs []store.Receipt
		for range 3 {
			c, ids := b.sent()
			cs = append(cs, c)
			for i, id := range ids {
				status := []store.MessageStatus{store.MessageDelivered, store.MessageFailed, store.MessageUnknown}[i%3]
				rs = append(rs, store.Receipt{CampaignID: c.ID, ContactID: id, Status: status}, store.Receipt{CampaignID: c.ID, ContactID: id, Status: status})
			}
		}
		together(t, 6, func(ctx context.Context, i int) error {
			part := rs[i*len(rs)/6 : (i+1)*len(rs)/6]
			if err := s.AddReceipts(ctx, "hand", part); err != nil {
				return err
			}
			for {
				if n, _, err := s.FoldReceipts(ctx); err != nil || n == 0 {
					return err
				}
			}
		})
		b.fold()
		for _, c := range cs {
			p, _ := b.audit(c)
			require.Equal(t, []int64{0, 200, 200, 200}, []int64{p.Sent(), p.Delivered, p.Failed(), p.Unknown})
		}
	})
}
