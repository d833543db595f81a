package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

// runSchedule is one pass of the scheduler; it says how many campaigns changed.
func (b *shop) runSchedule() int {
	b.t.Helper()
	n, err := b.RunSchedule(b.t.Context())
	require.NoError(b.t, err)
	return n
}

// at sets the time to send, as a client would.
func at(when time.Time) func(*store.Campaign) {
	return func(c *store.Campaign) { c.SetSchedule(&when) }
}

// due makes a scheduled campaign's time one that went by so long ago.
func (b *shop) due(c store.Campaign, ago time.Duration) {
	b.t.Helper()
	when := any(time.Now().Add(-ago).UTC())
	if b.Embedded() {
		when = time.Now().Add(-ago).UnixMicro()
	}
	require.NoError(b.t, b.Exec(b.t.Context(), "UPDATE campaigns SET scheduled_at = ? WHERE id = ?", when, c.ID))
}

func TestReadyDraftWithATimeToComeIsScheduled(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		later := time.Now().Add(time.Hour)
		c := b.draft(func(c *store.Campaign) { c.ScheduledAt = &later })
		require.Equal(t, store.Draft, c.Status)
		require.Equal(t, 1, b.runSchedule())
		c = b.read(c)
		require.Equal(t, store.Scheduled, c.Status)
		require.Equal(t, 2, c.Version)
		require.Zero(t, b.runSchedule(), "once")
		require.Equal(t, c, b.read(c))
	})
}

func TestSchedulerThatMerelyLookedChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		past, later := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		blocked := b.draft(func(c *store.Campaign) { c.ScheduledAt, c.Body = &later, nil })
		late := b.draft(func(c *store.Campaign) { c.ScheduledAt = &past })
		without := b.draft()
		for range 3 {
			require.Zero(t, b.runSchedule())
		}
		for _, c := range []store.Campaign{blocked, late, without} {
			now := b.read(c)
			require.Equal(t, c.Version, now.Version)
			require.Equal(t, c.UpdatedAt, now.UpdatedAt)
			require.Equal(t, store.Draft, now.Status)
		}

		// The next write has it looked at again.
		blocked = b.set(blocked, func(c *store.Campaign) { c.Body = ptr("Hi") })
		require.Equal(t, store.Draft, blocked.Status)
		require.Equal(t, 1, b.runSchedule())
		blocked = b.read(blocked)
		require.Equal(t, store.Scheduled, blocked.Status)
		require.Equal(t, 3, blocked.Version, "created, changed, scheduled")
	})
}

func TestWriteThatChangesNothingHasABlockedDraftLookedAtAgain(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		empty := newList(t, s, b.sc, "empty")
		c := b.draft(at(time.Now().Add(time.Hour)), func(c *store.Campaign) { c.ListID = &empty })
		require.Zero(t, b.runSchedule())
		_, _, err := s.AddMembers(t.Context(), b.sc, empty, []string{b.contact("0").PublicID})
		require.NoError(t, err)
		require.Zero(t, b.runSchedule(), "nobody wrote to the campaign")
		require.Equal(t, 1, b.set(c, func(*store.Campaign) {}).Version)
		require.Equal(t, 1, b.runSchedule())
		require.Equal(t, store.Scheduled, b.read(c).Status)
	})
}

func TestDueCampaignIsSentUpToAnHourLate(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		for _, ago := range []time.Duration{0, 59 * time.Minute} {
			c := b.inStatus(store.Scheduled)
			require.Zero(t, b.runSchedule(), "not before its time")
			b.due(c, ago)
			require.Equal(t, 1, b.runSchedule())
			c = b.read(c)
			require.Equal(t, store.Sending, c.Status)
			require.Equal(t, 3, c.Version)
			contents, err := s.Contents(t.Context(), c.ID)
			require.NoError(t, err)
			require.Len(t, contents, 1)
		}
	})
}

func TestCampaignThatMissedItsTimeIsADraftAgainUntilItGetsAnother(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		late := b.inStatus(store.Scheduled)
		b.due(late, time.Hour+time.Minute)
		blocked := b.inStatus(store.Scheduled)
		b.due(blocked, time.Second)
		_, err := s.UpdateList(t.Context(), b.sc, b.list, func(*store.List) error { return nil })
		require.NoError(t, err)
		require.NoError(t, s.Exec(t.Context(), "UPDATE campaigns SET list_id = 'lst_gone' WHERE id = ?", blocked.ID))
		require.Equal(t, 2, b.runSchedule())
		for _, c := range []store.Campaign{late, blocked} {
			c = b.read(c)
			require.Equal(t, store.Draft, c.Status)
			require.Equal(t, []string{"schedule"}, codes(c.Blockers)["SCHEDULE_MISSED"])
			require.NotContains(t, codes(c.Blockers), "SCHEDULE_IN_PAST")
			_, err := s.UpdateCampaign(t.Context(), b.sc, c.PublicID, (*store.Campaign).Schedule)
			require.Equal(t, store.CodeNotReady, failure(t, err).Code)
		}
		require.Zero(t, b.runSchedule())

		late = b.set(late, at(time.Now().Add(time.Hour)))
		require.Empty(t, late.Blockers)
		require.Equal(t, 1, b.runSchedule())
		require.Equal(t, store.Scheduled, b.read(late).Status)
		// And never does it stop a plain send.
		blocked = b.set(blocked, func(c *store.Campaign) { c.ListID = &b.list })
		require.Contains(t, codes(blocked.Blockers), "SCHEDULE_MISSED")
		require.Equal(t, store.Sending, b.do(blocked, (*store.Campaign).Send).Status)
	})
}

func TestScheduleNeedsATimeToCome(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		ctx, c := t.Context(), b.draft()
		_, err := s.UpdateCampaign(ctx, b.sc, c.PublicID, (*store.Campaign).Schedule)
		require.Equal(t, map[string]string{"/scheduled_at": store.CodeMissingField}, fields(t, err))
		b.set(c, at(time.Now().Add(-time.Second)))
		_, err = s.UpdateCampaign(ctx, b.sc, c.PublicID, (*store.Campaign).Schedule)
		require.Equal(t, store.CodeNotReady, failure(t, err).Code)
		require.Equal(t, "SCHEDULE_IN_PAST", failure(t, err).Faults[0].Code)
	})
}

func TestScheduledCampaignWithoutATimeIsADraftAgain(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c := b.set(b.inStatus(store.Scheduled), func(c *store.Campaign) { c.SetSchedule(nil) })
		require.Equal(t, store.Draft, c.Status)
		require.Nil(t, c.ScheduledAt)
		require.Zero(t, b.runSchedule())
	})
}

func TestScheduledCampaignTakesNoPastTimeAndNoNewBlocker(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c, ctx := b.inStatus(store.Scheduled), t.Context()
		for code, change := range map[string]func(*store.Campaign){
			"SCHEDULE_IN_PAST":   at(time.Now().Add(-time.Minute)),
			"NO_CONTENT":         func(c *store.Campaign) { c.Body = nil },
			"TEMPLATE_NOT_FOUND": func(c *store.Campaign) { c.Body, c.TemplateID = nil, ptr("tpl_none") },
			"LIST_NOT_FOUND":     func(c *store.Campaign) { c.ListID = ptr("lst_none") },
		} {
			_, err := s.UpdateCampaign(ctx, b.sc, c.PublicID, func(c *store.Campaign) error { change(c); return nil })
			e := failure(t, err)
			require.Equal(t, store.CodeNotReady, e.Code)
			require.Equal(t, code, e.Faults[0].Code)
			require.Equal(t, c, b.read(c), "nothing changed")
		}
		later := b.set(c, at(time.Now().Add(2*time.Hour)))
		require.Equal(t, store.Scheduled, later.Status)

		// A blocker that came by itself does not stand in the way of other changes.
		require.NoError(t, s.DeleteList(ctx, b.sc, b.list))
		renamed := b.set(c, func(c *store.Campaign) { c.Name = "Summer" })
		require.Equal(t, store.Scheduled, renamed.Status)
		require.Contains(t, codes(renamed.Blockers), "LIST_NOT_FOUND")
		_, err := s.UpdateCampaign(ctx, b.sc, c.PublicID, func(c *store.Campaign) error { c.ListID = ptr("lst_other"); return nil })
		require.Equal(t, store.CodeNotReady, failure(t, err).Code, "another list that does not exist is a new blocker")
	})
}

func TestOneBrokenCampaignDoesNotHoldUpTheScheduler(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		g, err := s.CreateSegment(t.Context(), b.sc, store.Segment{Name: "s", Rule: store.Rule{Field: ptr("first_name"), Operator: "exists"}})
		require.NoError(t, err)
		later := time.Now().Add(time.Hour)
		broken := b.draft(func(c *store.Campaign) { c.ScheduledAt, c.ListID, c.SegmentID = &later, nil, &g.PublicID })
		good := b.draft(func(c *store.Campaign) { c.ScheduledAt = &later })
		require.NoError(t, s.Exec(t.Context(), `UPDATE segments SET rule = '{"operator": "no such"}'`))
		n, err := s.RunSchedule(t.Context())
		require.ErrorContains(t, err, "rule")
		require.Equal(t, 1, n)
		require.Equal(t, store.Scheduled, b.read(good).Status)
		require.NoError(t, s.Exec(t.Context(), `UPDATE segments SET rule = ?`, `{"field": "first_name", "operator": "exists"}`))
		require.Equal(t, 1, b.runSchedule())
		require.Equal(t, store.Scheduled, b.read(broken).Status)
	})
}

func TestSchedulersAtOnceSendACampaignOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c := b.inStatus(store.Scheduled)
		b.due(c, time.Second)
		changed := make(chan int, 8)
		together(t, 8, func(ctx context.Context, _ int) error {
			n, err := s.RunSchedule(ctx)
			changed <- n
			return err
		})
		close(changed)
		sum := 0
		for n := range changed {
			sum += n
		}
		require.Equal(t, 1, sum)
		require.Equal(t, 3, b.read(c).Version)
	})
}
