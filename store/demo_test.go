package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

const demoKey = "dv_test_sk_of_a_demo"

// demo is the scope of the demo's key.
func demo(t *testing.T, s *store.Store) store.Scope {
	t.Helper()
	require.NoError(t, s.SeedDemo(t.Context(), demoKey))
	k, err := s.Authenticate(t.Context(), demoKey)
	require.NoError(t, err)
	require.Equal(t, store.Test, k.Mode)
	return k.Scope()
}

func TestDemoHasWhatTheReferenceNames(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), demo(t, s)
		n, err := s.CountSegment(ctx, sc, store.DemoSegment)
		require.NoError(t, err)
		require.Greater(t, n, int64(5000))
		members, _, err := s.Contacts(ctx, sc, store.ContactFilter{List: store.DemoList}, store.Page{Limit: 100})
		require.NoError(t, err)
		require.Len(t, members, 100)
		tpl, err := s.Template(ctx, sc, store.DemoTemplate)
		require.NoError(t, err)
		require.Equal(t, store.SMS, tpl.Channel)

		c, err := s.Campaign(ctx, sc, store.DemoCampaign)
		require.NoError(t, err)
		require.Equal(t, store.Draft, c.Status)
		require.Equal(t, "2026-03-15T09:00:00Z", c.ScheduledAt.Format("2006-01-02T15:04:05Z07:00"))
		for _, b := range c.Blockers {
			require.NotContains(t, b.Blocks, "send", b.Message)
		}
	})
}

func TestDemoCampaignIsMadeAgainWhateverBecameOfIt(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), demo(t, s)
		before, err := s.UpdateCampaign(ctx, sc, store.DemoCampaign, (*store.Campaign).Send)
		require.NoError(t, err)
		for more := true; more; {
			more, err = s.FreezePage(ctx, before.ID)
			require.NoError(t, err)
		}
		p, err := s.Progress(ctx, &before)
		require.NoError(t, err)
		require.Greater(t, p.Total, int64(5000))
		require.Positive(t, p.SkippedOptedOut)
		require.Positive(t, p.SkippedNoAddress)

		require.Equal(t, sc, demo(t, s), "the account stays the same")
		after, err := s.Campaign(ctx, sc, store.DemoCampaign)
		require.NoError(t, err)
		require.Equal(t, store.Draft, after.Status)
		require.NotEqual(t, before.ID, after.ID, "late receipts for the old messages must not reach the new")
		p, err = s.Progress(ctx, &after)
		require.NoError(t, err)
		require.Zero(t, p.Counters)
		_, ms, _, err := s.Messages(ctx, sc, store.DemoCampaign, 0, store.Page{})
		require.NoError(t, err)
		require.Empty(t, ms)
		statistics, err := s.Statistics(ctx, sc, store.StatisticsFilter{})
		require.NoError(t, err)
		require.Len(t, statistics, 1)
		require.Zero(t, statistics[0].Sent)
	})
}

func TestDemoKeepsWhatWasChanged(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), demo(t, s)
		cs, _, err := s.Contacts(ctx, sc, store.ContactFilter{}, store.Page{Limit: 1})
		require.NoError(t, err)
		require.NoError(t, s.DeleteContact(ctx, sc, cs[0].PublicID))
		ks, err := s.Keys(ctx, sc.Account)
		require.NoError(t, err)
		_, err = s.RevokeKey(ctx, ks[0].PublicID)
		require.NoError(t, err)

		demo(t, s) // the key works again
		_, err = s.Contact(ctx, sc, cs[0].PublicID)
		require.Equal(t, store.CodeNotFound, failure(t, err).Code)
	})
}

func TestDemoContactsMostlyArrive(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), demo(t, s)
		digits, total := map[byte]int{}, 0
		for p := (store.Page{Limit: 100}); ; {
			cs, next, err := s.Contacts(ctx, sc, store.ContactFilter{}, p)
			require.NoError(t, err)
			for _, c := range cs {
				if total++; c.Phone != nil {
					digits[(*c.Phone)[len(*c.Phone)-1]]++
				}
			}
			if p.Cursor = next; next == "" {
				break
			}
		}
		require.Equal(t, store.DemoContacts, total)
		arrive := digits['0'] + digits['2'] + digits['7'] + digits['8'] + digits['9']
		require.Greater(t, arrive, 8500)
		for _, d := range []byte("13456") {
			require.Positive(t, digits[d], "ending in %c", d)
		}
	})
}
