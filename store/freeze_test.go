package store_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// frozen are the recipients in the campaign's chunks, each of which it claims.
func (b *shop) frozen(c store.Campaign) (ids []int64) {
	b.t.Helper()
	for {
		k, err := b.ClaimChunk(b.t.Context(), c.ID, testWorker, longLease, testWindow)
		require.NoError(b.t, err)
		if k == nil {
			break
		}
		require.True(b.t, slices.IsSorted(k.IDs))
		require.LessOrEqual(b.t, len(k.IDs), 1000)
		ids = append(ids, k.IDs...)
	}
	slices.Sort(ids)
	require.Len(b.t, slices.Compact(slices.Clone(ids)), len(ids), "each recipient once")
	return ids
}

func TestAudienceIsFrozenWholeAndEachRecipientOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 2500)
		b.contacts("again", 10)
		b.importCSV("external_id,first_name\n1,Ada\n1,Ada\n") // the same contact, once more
		c := b.do(b.draft(), (*store.Campaign).Send)
		p := b.progress(c)
		require.Zero(t, p.Total)
		require.False(t, p.AudienceFinal)
		more, err := s.FreezePage(t.Context(), c.ID)
		require.NoError(t, err)
		require.True(t, more)
		p = b.progress(c)
		require.EqualValues(t, 1000, p.Total, "the first page is small, so that sending starts soon")
		require.EqualValues(t, 1000, p.Queued())
		require.False(t, p.AudienceFinal)

		b.freeze(c)
		p = b.progress(c)
		require.EqualValues(t, 2510, p.Total)
		require.True(t, p.AudienceFinal)
		require.Len(t, b.frozen(c), 2510)
		b.contacts("late", 5)
		b.freeze(c)
		require.EqualValues(t, 2510, b.progress(c).Total, "who comes later is not in it")
		require.Equal(t, 2, b.read(c).Version, "freezing is no change of the campaign")
	})
}

func TestBuildersAtOnceFreezeEachRecipientOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 11500)
		c := b.do(b.draft(), (*store.Campaign).Send)
		together(t, 4, func(ctx context.Context, _ int) error {
			for {
				if _, err := s.FreezePage(ctx, c.ID); err != nil {
					return err
				}
				if c, err := s.Campaign(ctx, b.sc, c.PublicID); err != nil || c.Built {
					return err
				}
			}
		})
		require.EqualValues(t, 11500, b.progress(c).Total)
		require.Len(t, b.frozen(c), 11500)
	})
}

func TestWhoCannotBeSentToIsSkippedWithTheReason(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 4)
		b.importCSV("external_id,email\nmailonly,mail@only.example\n")
		_, err := s.OptOut(t.Context(), b.sc, b.contact("1").PublicID, store.SetOf(store.SMS, store.Email))
		require.NoError(t, err)
		_, err = s.OptOut(t.Context(), b.sc, b.contact("2").PublicID, store.SetOf(store.Viber))
		require.NoError(t, err)
		c := b.sending()
		p := b.progress(c)
		require.EqualValues(t, 5, p.Total)
		require.EqualValues(t, 3, p.Queued())
		ms := b.messages(c)
		require.Len(t, ms, 2, "a row from the moment the outcome is known")
		for name, reason := range map[string]string{"1": store.SkipOptedOut, "mailonly": store.SkipNoAddress} {
			m := ms[b.contact(name).ID]
			require.Equal(t, store.MessageSkipped, m.Status)
			require.Equal(t, reason, *m.Code)
			require.Zero(t, m.Attempts)
			require.False(t, m.Taken())
			require.Equal(t, b.contact(name).PublicID, *m.Contact)
		}
		b.sendAll(c)
		require.True(t, b.settle(c))
		p, _ = b.audit(c)
		require.EqualValues(t, 3, p.Sent())

		mail := b.sending(func(c *store.Campaign) { c.Channel = store.Email })
		require.EqualValues(t, 4, b.progress(mail).Queued())
	})
}

func TestCampaignOfNobodyReachableCompletes(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 0)
		b.importCSV("external_id\na\nb\n")
		c := b.sending()
		require.True(t, b.settle(c))
		require.Equal(t, store.Completed, b.read(c).Status)
		p, _ := b.audit(c)
		require.EqualValues(t, 2, p.Skipped())
	})
}

func TestPauseHoldsTheFreezeAndResumeGoesOn(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1200)
		c := b.do(b.draft(), (*store.Campaign).Send)
		_, err := s.FreezePage(t.Context(), c.ID)
		require.NoError(t, err)
		b.do(c, (*store.Campaign).Pause)
		b.freeze(c)
		p := b.progress(c)
		require.EqualValues(t, 1000, p.Total)
		require.False(t, p.AudienceFinal)
		b.do(c, (*store.Campaign).Resume)
		b.freeze(c)
		require.EqualValues(t, 1200, b.progress(c).Total)
		require.Len(t, b.frozen(c), 1200)
	})
}

func TestSegmentIsFrozenAsItsRuleWasWhenSendingBegan(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 30)
		g, err := s.CreateSegment(t.Context(), b.sc, store.Segment{Name: "s", Rule: store.Rule{Field: ptr("first_name"), Operator: "starts_with", Value: "1"}})
		require.NoError(t, err)
		c := b.do(b.draft(func(c *store.Campaign) { c.ListID, c.SegmentID = nil, &g.PublicID }), (*store.Campaign).Send)
		_, err = s.UpdateSegment(t.Context(), b.sc, g.PublicID, func(g *store.Segment) error {
			g.Rule = store.Rule{Field: ptr("first_name"), Operator: "exists"}
			return nil
		})
		require.NoError(t, err)
		b.freeze(c)
		require.Len(t, b.frozen(c), 11) // 1 and 10 to 19
	})
}

func TestVariantsShareTheAudienceByTheirPercentages(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		const n = 2000
		b := newShop(t, s, n)
		b.importCSV("external_id\nnowhere\n")
		ab := func(c *store.Campaign) {
			c.Body, c.ABTest = nil, &store.ABTest{Variants: []store.Variant{
				{Name: "a", Body: ptr("A"), Percentage: 20}, {Name: "b", Body: ptr("B"), Percentage: 50}, {Name: "c", Body: ptr("C"), Percentage: 30},
			}}
		}
		c := b.sending(ab)
		p := b.progress(c)
		require.EqualValues(t, n+1, p.Total)
		require.Len(t, p.Variants, 3)
		for i, share := range []float64{.2, .5, .3} {
			deviation := math.Sqrt(n * share * (1 - share))
			require.InDelta(t, n*share, p.Variants[i].Total, 4*deviation)
			require.Equal(t, []string{"a", "b", "c"}[i], p.Variants[i].Name)
		}
		b.sendAll(c)
		require.True(t, b.settle(c))
		_, ms := b.audit(c)

		// Another campaign splits the same audience in another way, as evenly.
		other := b.sending(ab)
		b.sendAll(other)
		require.True(t, b.settle(other))
		same := 0
		for id, m := range b.messages(other) {
			if ms[id].Variant == m.Variant {
				same++
			}
		}
		require.InDelta(t, n*(.2*.2+.5*.5+.3*.3), same, 120)
	})
}

func TestProcessesAtOnceMakeEachPartitionOnce(t *testing.T) {
	dsn := storetest.PostgresURL(t)
	s := open(t, dsn)
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Exec(t.Context(), "ALTER TABLE campaigns ALTER id RESTART WITH 1998"))
	b := newShop(t, s, 2)
	cs := make([]store.Campaign, 4) // 1998 to 2001: on both sides of a border
	for i := range cs {
		cs[i] = b.do(b.draft(), (*store.Campaign).Send)
	}
	processes := make([]*store.Store, 4)
	for i := range processes {
		processes[i] = open(t, dsn)
	}
	together(t, len(processes), func(ctx context.Context, i int) error {
		for _, c := range cs {
			if _, err := processes[i].FreezePage(ctx, c.ID); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range cs {
		b.sendAll(c)
		require.True(t, b.settle(c))
		b.audit(c)
	}
	for partition, rows := range map[string]int{"messages_1": 4, "messages_2": 4} {
		n, err := s.Count(t.Context(), "SELECT count(*) FROM "+partition)
		require.NoError(t, err)
		require.Equal(t, rows, n)
	}
}
