package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// ago is SQL for a time so long ago.
func (b *shop) ago(d time.Duration) string {
	if b.Embedded() {
		return fmt.Sprint(time.Now().Add(-d).UnixMicro())
	}
	return fmt.Sprintf("now() - interval '%d seconds'", int(d.Seconds()))
}

// age makes a campaign's end lie so long in the past.
func (b *shop) age(c store.Campaign, d time.Duration) {
	b.t.Helper()
	require.NoError(b.t, b.Exec(b.t.Context(), "UPDATE campaigns SET completed_at = "+b.ago(d)+" WHERE id = ?", c.ID))
}

func (b *shop) upkeep(retention time.Duration) store.Dropped {
	b.t.Helper()
	d, err := b.Upkeep(b.t.Context(), retention)
	require.NoError(b.t, err)
	return d
}

const day = 24 * time.Hour

func TestOldMessagesLeaveAndWhatWasCountedStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		_, err := s.Migrate(t.Context())
		require.NoError(t, err)
		b, other := newShop(t, s, 5), open(t, dsn)
		draft := b.draft()
		c, ids := b.sent()
		b.receive(c, ids[0], store.MessageDelivered)
		before, _ := b.audit(c)
		counted, err := s.Statistics(t.Context(), b.sc, store.StatisticsFilter{})
		require.NoError(t, err)

		b.age(c, 30*day)
		require.Zero(t, b.upkeep(0), "for ever")
		require.Zero(t, b.upkeep(31*day))
		require.Len(t, b.messages(c), 5)
		require.NotZero(t, b.upkeep(29*day))
		require.Zero(t, b.upkeep(29*day))
		require.Empty(t, b.messages(c))
		require.Equal(t, before, b.progress(c))
		after, err := s.Statistics(t.Context(), b.sc, store.StatisticsFilter{})
		require.NoError(t, err)
		require.Equal(t, counted, after)
		b.receive(c, ids[1], store.MessageDelivered)
		require.Equal(t, before, b.progress(c), "its message is no more")

		// A draft of that time is sent, and another process has seen the partition
		// that has gone.
		draft = b.do(draft, (*store.Campaign).Send)
		b.Store = other
		b.freeze(draft)
		b.sendAll(draft)
		require.True(t, b.settle(draft))
		b.audit(draft)
	})
}

// TestPartitionStaysWhileACampaignInItIsYoung has messages that are too old lie
// beside such as are not.
func TestPartitionStaysWhileACampaignInItIsYoung(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 4500) // more than is deleted at once
		old := b.sentAll()
		young := b.sentAll()
		sending := b.sending()
		b.age(old, 30*day)
		b.age(young, 9*day)
		d := b.upkeep(20 * day)
		require.Zero(t, d.Partitions)
		if s.Embedded() {
			require.EqualValues(t, 4500, d.Messages)
		} else {
			require.Zero(t, d, "its partition will go as a whole")
			require.Equal(t, store.Dropped{Messages: 4500}, b.upkeep(10*day), "the partition takes too long")
		}
		require.Empty(t, b.messages(old))
		b.audit(young)
		b.sendAll(sending)
		require.True(t, b.settle(sending))
		b.audit(sending)
	})
}

// sentAll is a completed campaign to all contacts, all sent.
func (b *shop) sentAll() store.Campaign {
	b.t.Helper()
	c := b.sending()
	b.sendAll(c)
	require.True(b.t, b.settle(c))
	return c
}

// TestPartitionThatIsReadIsLeftForLater holds the table as a backup does.
func TestPartitionThatIsReadIsLeftForLater(t *testing.T) {
	dsn := storetest.PostgresURL(t)
	s := open(t, dsn)
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	b := newShop(t, s, 3)
	c, _ := b.sent()
	b.age(c, 3*day)
	giveBack, err := open(t, dsn).Hold(t.Context(), "SELECT 1 FROM messages")
	require.NoError(t, err)
	require.Zero(t, b.upkeep(2*day))
	require.Len(t, b.messages(c), 3)
	giveBack()
	require.Equal(t, store.Dropped{Partitions: 1}, b.upkeep(2*day))
}

// TestUpkeepTakesNothingFromCampaignsThatBegin sends drafts of an old partition
// while several processes try to drop it.
func TestUpkeepTakesNothingFromCampaignsThatBegin(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 20)
		old, _ := b.sent()
		b.age(old, 3*day)
		var drafts []store.Campaign
		for range 12 {
			drafts = append(drafts, b.draft())
		}
		together(t, 6, func(ctx context.Context, i int) error {
			for k := range 4 {
				if i%2 == 0 {
					if _, err := s.Upkeep(ctx, day); err != nil {
						return err
					}
					continue
				}
				c, err := s.UpdateCampaign(ctx, b.sc, drafts[i/2*4+k].PublicID, (*store.Campaign).Send)
				if err != nil {
					return err
				}
				if _, err = s.FreezePage(ctx, c.ID); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range drafts {
			b.freeze(c)
			b.sendAll(c)
			require.True(t, b.settle(c))
			b.audit(c)
		}
	})
}

func TestUpkeepForgetsWhatIsIdle(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 0)
		ctx := t.Context()
		count := func(table string) int {
			n, err := s.Count(ctx, "SELECT count(*) FROM "+table)
			require.NoError(t, err)
			return n
		}
		require.NoError(t, s.Heartbeat(ctx, store.Worker{ID: "wrk_dead"}))
		require.NoError(t, s.Heartbeat(ctx, store.Worker{ID: "wrk_alive"}))
		require.NoError(t, s.Exec(ctx, "UPDATE workers SET heartbeat_at = "+b.ago(2*time.Hour)+" WHERE id = 'wrk_dead'"))
		b.importCSV("email\nnobody\n")
		b.importCSV("email\nnobody\n")
		require.NoError(t, s.Exec(ctx, "UPDATE imports SET completed_at = "+b.ago(3*day)+" WHERE id = 1"))
		if !s.Embedded() {
			for _, name := range []string{"idle", "busy"} {
				_, err := s.Reserve(ctx, name, 1, 1)
				require.NoError(t, err)
			}
			require.NoError(t, s.Exec(ctx, "UPDATE throttles SET free_at = "+b.ago(2*time.Hour)+" WHERE name = 'idle'"))
		}
		require.Zero(t, b.upkeep(0))
		require.Equal(t, 1, count("workers"))
		require.Equal(t, 2, count("import_errors"))
		require.Equal(t, store.Dropped{ImportErrors: 1}, b.upkeep(2*day))
		require.Equal(t, 1, count("import_errors"))
		if !s.Embedded() {
			require.Equal(t, 1, count("throttles"))
		}
	})
}
