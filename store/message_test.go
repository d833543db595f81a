package store_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

func TestMessageIDsSayWhatTheyAreMadeOfAndAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := func(name string) [3]int64 {
			return [3]int64{
				rapid.Int64Range(0, 1<<48-1).Draw(t, name+" campaign"), rapid.Int64Range(0, math.MaxInt64).Draw(t, name+" contact"),
				rapid.Int64Range(0, math.MaxInt16).Draw(t, name+" round"),
			}
		}
		a, b := key("a"), key("b")
		id := store.MessageID(a[0], a[1], int(a[2]))
		if !strings.HasPrefix(id, "msg_") || len(id) != 30 {
			t.Fatalf("%s", id)
		}
		campaign, contact, round, ok := store.ParseMessageID(id)
		if got := [3]int64{campaign, contact, int64(round)}; !ok || got != a {
			t.Fatalf("%v became %v", a, got)
		}
		if a != b && id == store.MessageID(b[0], b[1], int(b[2])) {
			t.Fatalf("%v and %v have the same id", a, b)
		}
	})
}

func TestOnlyMessageIDsOfOursAreRead(t *testing.T) {
	id := store.MessageID(7, 9, 0)
	_, _, _, ok := store.ParseMessageID(id)
	require.True(t, ok)
	for _, bad := range []string{
		"", "msg_", id[4:], id[:29], id + "0", strings.ToUpper(id), "msg_" + strings.Repeat("z", 26), id[:10] + "\n" + id[10:],
		id[:29] + "1",                          // the last bits of the last character mean nothing
		store.MessageID(7, 9, math.MaxInt16+1), // no column holds that round
		"cmp_" + id[4:], id[:20] + "u" + id[21:],
	} {
		_, _, _, ok := store.ParseMessageID(bad)
		require.False(t, ok, "%q", bad)
	}
}

func TestMessagesAreListedInContactOrder(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 7)
		c, ids := b.sent()
		var seen []int64
		for p := (store.Page{Limit: 3}); ; {
			campaign, ms, next, err := s.Messages(t.Context(), b.sc, c.PublicID, 0, p)
			require.NoError(t, err)
			require.Equal(t, c.PublicID, campaign.PublicID)
			for _, m := range ms {
				require.Equal(t, store.MessageID(c.ID, m.ContactID, 0), m.PublicID())
				seen = append(seen, m.ContactID)
			}
			if p.Cursor = next; next == "" {
				break
			}
		}
		require.Equal(t, ids, seen)
		other := b.sending()
		_, _, next, err := s.Messages(t.Context(), b.sc, c.PublicID, 0, store.Page{Limit: 3})
		require.NoError(t, err)
		_, _, _, err = s.Messages(t.Context(), b.sc, other.PublicID, 0, store.Page{Cursor: next})
		require.Equal(t, store.CodeInvalidCursor, failure(t, err).Code, "another campaign's cursor")
	})
}

func TestPageOfABigCampaignIsReadAlongTheIndexWhateverPostgreSQLKnows(t *testing.T) {
	s := open(t, storetest.PostgresURL(t))
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	b := newShop(t, s, 1)
	big := func() store.Campaign {
		c := b.sending() // which makes the partition
		require.NoError(t, s.Exec(t.Context(), `INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, recorded_at)
 SELECT ?, 1000 + i, CASE WHEN i % 50 = 0 THEN 3 ELSE 1 END, 0, 1, now() FROM generate_series(1, 100000) i`, c.ID))
		return c
	}
	plans, err := s.Plans("messages")
	require.NoError(t, err)
	walks := func(c store.Campaign) {
		for _, status := range []store.MessageStatus{0, store.MessageFailed} {
			p := store.Page{Limit: 100}
			for range 2 {
				_, ms, next, err := s.Messages(t.Context(), b.sc, c.PublicID, status, p)
				require.NoError(t, err)
				require.Len(t, ms, 100)
				p.Cursor = next
			}
		}
		require.Len(t, *plans, 4)
		for _, plan := range *plans {
			require.NotContains(t, plan, "Sort")
			require.NotContains(t, plan, "Seq Scan")
		}
		*plans = nil
	}
	// With autovacuum, which nobody can time, out of the way.
	b.sending()
	require.NoError(t, s.Exec(t.Context(), "ALTER TABLE messages_0 SET (autovacuum_enabled = off)"))
	walks(big())
	require.NoError(t, s.Exec(t.Context(), "ANALYZE messages_0"))
	walks(big()) // of which the statistics know nothing
	require.NoError(t, s.Exec(t.Context(), "ANALYZE messages_0"))
	walks(big())
}
