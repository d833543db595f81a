package store_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

// inStatus is a campaign that came to the status by its verbs.
func (b *shop) inStatus(s store.Status) store.Campaign {
	b.t.Helper()
	later := time.Now().Add(time.Hour)
	switch s {
	case store.Scheduled:
		return b.do(b.draft(func(c *store.Campaign) { c.ScheduledAt = &later }), (*store.Campaign).Schedule)
	case store.Sending:
		return b.sending()
	case store.Paused:
		return b.do(b.sending(), (*store.Campaign).Pause)
	case store.Completed:
		c := b.sending()
		b.sendAll(c)
		require.True(b.t, b.settle(c))
		return b.read(c)
	case store.Cancelled:
		return b.do(b.sending(), (*store.Campaign).Cancel)
	}
	return b.draft(func(c *store.Campaign) { c.ScheduledAt = &later })
}

// allowed is the contract's table: where a verb leads from each status.
var allowed = map[store.Status]map[string]store.Status{
	store.Draft:     {"update": store.Draft, "delete": "", "send": store.Sending, "schedule": store.Scheduled},
	store.Scheduled: {"update": store.Scheduled, "send": store.Sending, "schedule": store.Scheduled, "cancel": store.Cancelled},
	store.Sending:   {"pause": store.Paused, "cancel": store.Cancelled},
	store.Paused:    {"resume": store.Sending, "cancel": store.Cancelled},
	store.Completed: {},
	store.Cancelled: {},
}

var verbs = map[string]func(*store.Campaign) error{
	"update": rename, "send": (*store.Campaign).Send, "schedule": (*store.Campaign).Schedule,
	"pause": (*store.Campaign).Pause, "resume": (*store.Campaign).Resume, "cancel": (*store.Campaign).Cancel,
}

func TestEachStatusTakesItsVerbsAndRefusesTheOthers(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 2)
		for from, to := range allowed {
			c := b.inStatus(from)
			require.Equal(t, from, c.Status)
			require.Len(t, c.AllowedActions(), len(to))
			for _, verb := range []string{"update", "delete", "send", "schedule", "pause", "resume", "cancel"} {
				want, ok := to[verb]
				if !ok {
					b.requireInvalid(c, verb)
					continue
				}
				require.Contains(t, c.AllowedActions(), verb)
				b.requireMoves(b.inStatus(from), verb, want)
			}
		}
	})
}

func (b *shop) requireInvalid(c store.Campaign, verb string) {
	b.t.Helper()
	var err error
	if verb == "delete" {
		err = b.DeleteCampaign(b.t.Context(), b.sc, c.PublicID, (*store.Campaign).Discard)
	} else {
		_, err = b.UpdateCampaign(b.t.Context(), b.sc, c.PublicID, verbs[verb])
	}
	e := failure(b.t, err)
	require.Equal(b.t, store.CodeInvalidState, e.Code, "%s from %s", verb, c.Status)
	require.Equal(b.t, c.Status, e.Status)
	require.Equal(b.t, c.AllowedActions(), e.Allowed)
	require.Equal(b.t, c, b.read(c), "nothing changed")
}

func (b *shop) requireMoves(c store.Campaign, verb string, to store.Status) {
	b.t.Helper()
	if verb == "delete" {
		require.NoError(b.t, b.DeleteCampaign(b.t.Context(), b.sc, c.PublicID, (*store.Campaign).Discard))
		_, err := b.Campaign(b.t.Context(), b.sc, c.PublicID)
		requireNotFound(b.t, err)
		return
	}
	before := time.Now().Add(-time.Second)
	moved := b.do(c, verbs[verb])
	require.Equal(b.t, to, moved.Status, "%s from %s", verb, c.Status)
	if verb == "schedule" && c.Status == to {
		require.Equal(b.t, c, moved, "nothing changed")
		return
	}
	require.Equal(b.t, c.Version+1, moved.Version)
	at := map[string]*time.Time{
		"send": moved.StartedAt, "pause": moved.PausedAt, "resume": moved.ResumedAt, "cancel": moved.CancelledAt,
		"update": &moved.UpdatedAt, "schedule": &moved.UpdatedAt,
	}[verb]
	require.NotNil(b.t, at)
	require.True(b.t, at.After(before))
	require.Equal(b.t, moved, b.read(c), "what is answered is what is kept")
}

func codes(bs []store.Blocker) map[string][]string {
	out := map[string][]string{}
	for _, b := range bs {
		out[b.Code] = b.Blocks
	}
	return out
}

func TestBlockersSayWhatIsMissing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		ctx, both, schedule := t.Context(), []string{"send", "schedule"}, []string{"schedule"}
		empty := newList(t, s, b.sc, "empty")
		nobody, err := s.CreateSegment(ctx, b.sc, store.Segment{Name: "nobody", Rule: store.Rule{Field: ptr("first_name"), Operator: "equals", Value: "?"}})
		require.NoError(t, err)
		mail, err := s.CreateTemplate(ctx, b.sc, store.Template{Name: "mail", Channel: store.Email, Body: "Hi"})
		require.NoError(t, err)
		past := time.Now().Add(-time.Minute)
		for code, x := range map[string]struct {
			blocks []string
			change func(*store.Campaign)
		}{
			"NO_AUDIENCE":               {both, func(c *store.Campaign) { c.ListID = nil }},
			"LIST_NOT_FOUND":            {both, func(c *store.Campaign) { c.ListID = ptr("lst_none") }},
			"SEGMENT_NOT_FOUND":         {both, func(c *store.Campaign) { c.ListID, c.SegmentID = nil, ptr("seg_none") }},
			"AUDIENCE_EMPTY":            {both, func(c *store.Campaign) { c.ListID = &empty }},
			"NO_CONTENT":                {both, func(c *store.Campaign) { c.Body = nil }},
			"TEMPLATE_NOT_FOUND":        {both, func(c *store.Campaign) { c.Body, c.TemplateID = nil, ptr("tpl_none") }},
			"TEMPLATE_CHANNEL_MISMATCH": {both, func(c *store.Campaign) { c.Body, c.TemplateID = nil, &mail.PublicID }},
			"SCHEDULE_IN_PAST":          {schedule, func(c *store.Campaign) { c.ScheduledAt = &past }},
		} {
			c := b.draft(x.change)
			require.Equal(t, map[string][]string{code: x.blocks}, codes(c.Blockers))
			require.Equal(t, c.Blockers, b.read(c).Blockers)
			listed, _, err := s.Campaigns(ctx, b.sc, store.CampaignFilter{}, store.Page{Limit: 1})
			require.NoError(t, err)
			require.Equal(t, c.Blockers, listed[0].Blockers)

			_, err = s.UpdateCampaign(ctx, b.sc, c.PublicID, (*store.Campaign).Send)
			if len(x.blocks) == 2 {
				require.Equal(t, store.CodeNotReady, failure(t, err).Code)
				require.Equal(t, code, failure(t, err).Faults[0].Code)
				require.Equal(t, c, b.read(c), "nothing changed")
			} else {
				require.NoError(t, err, code)
			}
		}
		// An empty segment counts like an empty list, and all blockers come at once.
		c := b.draft(func(c *store.Campaign) { c.ListID, c.SegmentID, c.Body = nil, &nobody.PublicID, nil })
		require.Equal(t, map[string][]string{"AUDIENCE_EMPTY": both, "NO_CONTENT": both}, codes(c.Blockers))
		_, err = s.UpdateCampaign(ctx, b.sc, c.PublicID, (*store.Campaign).Send)
		require.Len(t, failure(t, err).Faults, 2)
	})
}

func TestEachVariantOfAnABTestNeedsItsTemplate(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c := b.draft(func(c *store.Campaign) {
			c.Body, c.ABTest = nil, &store.ABTest{Variants: []store.Variant{
				{Name: "a", TemplateID: ptr("tpl_none"), Percentage: 50}, {Name: "b", Body: ptr("Hi"), Percentage: 50},
			}}
		})
		require.Equal(t, map[string][]string{"TEMPLATE_NOT_FOUND": {"send", "schedule"}}, codes(c.Blockers))
	})
}

func TestLiveCampaignNeedsALivingWorkerOfItsChannel(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		b := newShop(t, s, 1)
		b.sc.Mode = store.Live
		b.list = newList(t, s, b.sc, "live")
		b.contacts("l", 1)
		c := b.draft()
		blocked := map[string][]string{"CHANNEL_NOT_CONFIGURED": {"send", "schedule"}}
		require.Equal(t, blocked, codes(c.Blockers))

		require.NoError(t, s.Heartbeat(ctx, store.Worker{ID: "wrk_1", Channels: []store.Channel{store.Email}}))
		require.Equal(t, blocked, codes(b.read(c).Blockers))
		require.NoError(t, s.Heartbeat(ctx, store.Worker{ID: "wrk_1", Channels: []store.Channel{store.Email, store.SMS}}))
		require.Empty(t, b.read(c).Blockers)

		old := "now() - interval '1 minute'"
		if s.Embedded() {
			old = "unixepoch('subsec') * 1000000 - 60000000"
		}
		require.NoError(t, s.Exec(ctx, "UPDATE workers SET heartbeat_at = "+old))
		require.Equal(t, blocked, codes(b.read(c).Blockers), "a worker without a heartbeat is dead")
		require.NoError(t, s.Heartbeat(ctx, store.Worker{ID: "wrk_1", Channels: []store.Channel{store.SMS}}))
		require.Empty(t, b.read(c).Blockers)
		require.NoError(t, s.Retire(ctx, "wrk_1"))
		require.Equal(t, blocked, codes(b.read(c).Blockers))
	})
}

func TestFieldsThatExcludeEachOtherAndFaultyContentAreRefusedTogether(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, err := s.CreateCampaign(t.Context(), sc, store.Campaign{
			Name: " ", Channel: store.SMS, SegmentID: ptr("seg_a"), ListID: ptr("lst_a"), TemplateID: ptr("tpl_a"), Body: ptr("{{ oh"),
			Subject: ptr("news"), ContentType: ptr(store.HTML), Sender: ptr("a\nb"), Metadata: map[string]string{"a": "\x00"},
		})
		require.Equal(t, map[string]string{
			"/name": store.CodeMissingField, "/list_id": store.CodeValidation, "/body": store.CodeInvalidTemplate, "/subject": store.CodeValidation,
			"/content_type": store.CodeValidation, "/sender": store.CodeValidation, "/metadata": store.CodeValidation,
		}, fields(t, err))
		_, err = s.CreateCampaign(t.Context(), sc, store.Campaign{Name: "mail", Channel: store.Email, Sender: ptr("nobody")})
		require.Equal(t, map[string]string{"/sender": store.CodeInvalidEmail}, fields(t, err))
		_, err = s.CreateCampaign(t.Context(), sc, store.Campaign{Name: "ab", Channel: store.SMS, ABTest: &store.ABTest{Variants: []store.Variant{
			{Name: "a", Body: ptr("x"), TemplateID: ptr("tpl_a"), Percentage: 50}, {Name: "a", Percentage: 40, Subject: ptr("s")},
		}}})
		require.Equal(t, map[string]string{
			"/ab_test/variants/0": store.CodeValidation, "/ab_test/variants/1/name": store.CodeValidation, "/ab_test/variants/1": store.CodeValidation,
			"/ab_test/variants/1/subject": store.CodeValidation, "/ab_test/variants": store.CodeValidation,
		}, fields(t, err))
		cs, _, err := s.Campaigns(t.Context(), sc, store.CampaignFilter{}, store.Page{})
		require.NoError(t, err)
		require.Empty(t, cs)
	})
}

func TestCampaignKeepsEveryField(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 0)
		at := time.Date(2031, 3, 15, 9, 0, 0, 123456789, time.FixedZone("", 3600))
		c := b.draft(func(c *store.Campaign) {
			c.Name, c.Channel, c.Body, c.Subject, c.ContentType = " Žlutý kůň ", store.Email, nil, ptr("Hi {{first_name}}"), ptr(store.HTML)
			c.Sender, c.Metadata, c.Throttle, c.ScheduledAt = ptr("Acme <news@acme.example>"), map[string]string{"a": "ü"}, ptr(7), &at
			c.ABTest = &store.ABTest{Variants: []store.Variant{{Name: "a", Body: ptr("A"), Subject: ptr("S"), Percentage: 30}, {Name: "b", Body: ptr("B"), Percentage: 70}}}
		})
		require.Equal(t, "Žlutý kůň", c.Name)
		require.Equal(t, 1, c.Version)
		require.Equal(t, time.Date(2031, 3, 15, 8, 0, 0, 123456000, time.UTC), *c.ScheduledAt)
		require.Equal(t, c, b.read(c))
		changed := b.set(c, func(c *store.Campaign) {
			c.Metadata, c.Throttle, c.ABTest, c.Sender, c.Subject, c.ListID = nil, nil, nil, nil, nil, nil
		})
		require.Equal(t, changed, b.read(c))
		require.Nil(t, changed.ABTest)
		require.Nil(t, changed.Metadata)
	})
}

func TestCampaignsAreFilteredAndSearched(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		spring := b.inStatus(store.Sending)
		autumn := b.draft(func(c *store.Campaign) { c.Name, c.Channel = "100% ÄRGER_im Herbst", store.Email })
		for f, want := range map[store.CampaignFilter]string{
			{Search: "SPRI"}: spring.PublicID, {Search: "ärger"}: autumn.PublicID, {Search: "% ä"}: autumn.PublicID, {Search: "r_i"}: autumn.PublicID,
			{Status: store.Sending}: spring.PublicID, {Channel: store.Email}: autumn.PublicID, {Search: "Spring", Status: store.Draft}: "",
			{Search: "g_i"}: "",
		} {
			cs, _, err := s.Campaigns(t.Context(), b.sc, f, store.Page{})
			require.NoError(t, err)
			if want == "" {
				require.Empty(t, cs, "%+v", f)
				continue
			}
			require.Len(t, cs, 1, "%+v", f)
			require.Equal(t, want, cs[0].PublicID)
		}
	})
}

func TestAnotherAccountOrModeFindsNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 2)
		c, ctx := b.inStatus(store.Completed), t.Context()
		draft := b.draft()
		live := b.sc
		live.Mode = store.Live
		for _, sc := range []store.Scope{newScope(t, s), live} {
			_, err := s.Campaign(ctx, sc, c.PublicID)
			requireNotFound(t, err)
			for _, verb := range verbs {
				_, err = s.UpdateCampaign(ctx, sc, draft.PublicID, verb)
				requireNotFound(t, err)
			}
			requireNotFound(t, s.DeleteCampaign(ctx, sc, draft.PublicID, (*store.Campaign).Discard))
			_, _, _, err = s.Messages(ctx, sc, c.PublicID, 0, store.Page{})
			requireNotFound(t, err)
			cs, _, err := s.Campaigns(ctx, sc, store.CampaignFilter{}, store.Page{})
			require.NoError(t, err)
			require.Empty(t, cs)
			rows, err := s.Statistics(ctx, sc, store.StatisticsFilter{})
			require.NoError(t, err)
			require.Empty(t, rows)

			// Nor does a campaign of theirs find our list, segment or template.
			theirs, err := s.CreateCampaign(ctx, sc, store.Campaign{Name: "x", Channel: store.SMS, ListID: &b.list, Body: ptr("x")})
			require.NoError(t, err)
			require.Contains(t, codes(theirs.Blockers), "LIST_NOT_FOUND")
			require.NoError(t, s.DeleteCampaign(ctx, sc, theirs.PublicID, (*store.Campaign).Discard))
		}
		require.Equal(t, draft, b.read(draft))
	})
}

func TestContentAndAudienceAreCopiedWhenSendingStarts(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, b := t.Context(), newShop(t, s, 3)
		tpl, err := s.CreateTemplate(ctx, b.sc, store.Template{Name: "t", Channel: store.SMS, Body: "before"})
		require.NoError(t, err)
		segment, err := s.CreateSegment(ctx, b.sc, store.Segment{Name: "s", Rule: store.Rule{Field: ptr("first_name"), Operator: "in", Values: []any{"0", "1"}}})
		require.NoError(t, err)
		c := b.do(b.draft(func(c *store.Campaign) {
			c.ListID, c.SegmentID, c.Body, c.TemplateID = nil, &segment.PublicID, nil, &tpl.PublicID
		}), (*store.Campaign).Send)

		_, err = s.UpdateTemplate(ctx, b.sc, tpl.PublicID, func(t *store.Template) error { t.Body = "after"; return nil })
		require.NoError(t, err)
		require.NoError(t, s.DeleteTemplate(ctx, b.sc, tpl.PublicID))
		require.NoError(t, s.DeleteSegment(ctx, b.sc, segment.PublicID))
		b.freeze(c)
		contents, err := s.Contents(ctx, c.ID)
		require.NoError(t, err)
		require.Len(t, contents, 1)
		require.Equal(t, "before", contents[0].Body)
		require.EqualValues(t, 2, b.progress(c).Total)
	})
}

func TestSubjectIsTheVariantsElseTheCampaignsElseTheTemplatesElseTheName(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, b := t.Context(), newShop(t, s, 1)
		tpl, err := s.CreateTemplate(ctx, b.sc, store.Template{Name: "t", Channel: store.Email, Body: "<p>", ContentType: store.HTML, Subject: ptr("template's")})
		require.NoError(t, err)
		plain, err := s.CreateTemplate(ctx, b.sc, store.Template{Name: "p", Channel: store.Email, Body: "p"})
		require.NoError(t, err)
		subjects := func(campaigns *string) (got []string) {
			c := b.do(b.draft(func(c *store.Campaign) {
				c.Channel, c.Body, c.Subject = store.Email, nil, campaigns
				c.ABTest = &store.ABTest{Variants: []store.Variant{
					{Name: "a", TemplateID: &tpl.PublicID, Subject: ptr("variant's"), Percentage: 40},
					{Name: "b", TemplateID: &tpl.PublicID, Percentage: 40},
					{Name: "c", TemplateID: &plain.PublicID, Percentage: 20},
				}}
			}), (*store.Campaign).Send)
			contents, err := s.Contents(ctx, c.ID)
			require.NoError(t, err)
			require.Equal(t, []string{store.HTML, store.HTML, store.PlainText}, []string{contents[0].ContentType, contents[1].ContentType, contents[2].ContentType})
			for _, x := range contents {
				got = append(got, x.Subject)
			}
			return got
		}
		require.Equal(t, []string{"variant's", "template's", "Spring"}, subjects(nil))
		require.Equal(t, []string{"variant's", "campaign's", "campaign's"}, subjects(ptr("campaign's")))
	})
}

func TestUpdatesAtOnceAreOneAfterTheOther(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c := b.draft()
		together(t, 8, func(ctx context.Context, _ int) error {
			for range 5 {
				if _, err := s.UpdateCampaign(ctx, b.sc, c.PublicID, func(c *store.Campaign) error {
					n := 0
					if c.Throttle != nil {
						n = *c.Throttle
					}
					c.Throttle = ptr(n + 1)
					return nil
				}); err != nil {
					return err
				}
			}
			return nil
		})
		c = b.read(c)
		require.Equal(t, 40, *c.Throttle)
		require.Equal(t, 41, c.Version)
	})
}

func TestOnlyOneOfManySendsWins(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c := b.draft()
		won := make(chan int, 8)
		together(t, 8, func(ctx context.Context, i int) error {
			_, err := s.UpdateCampaign(ctx, b.sc, c.PublicID, (*store.Campaign).Send)
			if err == nil {
				won <- i
				return nil
			}
			if e := new(store.Error); errors.As(err, &e) && e.Code == store.CodeInvalidState {
				return nil
			}
			return err
		})
		require.Len(t, won, 1)
	})
}

func TestChangeThatChangesNothingKeepsTheVersionAndTellsNobody(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		for _, c := range []store.Campaign{
			b.read(b.draft(func(c *store.Campaign) {
				c.Metadata = map[string]string{"team": "growth"}
				c.ABTest = &store.ABTest{Variants: []store.Variant{{Name: "A", Body: ptr("a"), Percentage: 50}, {Name: "B", Body: ptr("b"), Percentage: 50}}}
			})),
			b.inStatus(store.Scheduled),
		} {
			changes, stop := s.Changes()
			for name, change := range map[string]func(*store.Campaign) error{
				"nothing": func(*store.Campaign) error { return nil },
				"the same again": func(c *store.Campaign) error {
					c.Name, c.Body, c.Metadata = "  "+c.Name+" ", ptr(*c.Body), maps.Clone(c.Metadata)
					c.SetSchedule(c.ScheduledAt)
					return nil
				},
				"schedule": func(c *store.Campaign) error {
					if c.Status == store.Draft {
						return nil
					}
					return c.Schedule()
				},
			} {
				require.Equal(t, c, b.do(c, change), name)
				require.Equal(t, c, b.read(c), name)
			}
			stop()
			require.Empty(t, changes)
		}
	})
}

func TestChangeInPlaceIsSeen(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 0)
		c := b.draft(func(c *store.Campaign) { c.Metadata = map[string]string{"team": "growth"} })
		b.set(c, func(c *store.Campaign) { c.Metadata["team"] = "sales" })
		require.Equal(t, "sales", b.read(c).Metadata["team"])
	})
}

func TestSendIsRefusedWhenWhatItNeedsIsDeletedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		for code, gone := range map[string]func(*store.Campaign){
			"LIST_NOT_FOUND":     func(c *store.Campaign) { c.ListID = ptr("lst_gone") },
			"SEGMENT_NOT_FOUND":  func(c *store.Campaign) { c.ListID, c.SegmentID = nil, ptr("seg_gone") },
			"TEMPLATE_NOT_FOUND": func(c *store.Campaign) { c.Body, c.TemplateID = nil, ptr("tpl_gone") },
		} {
			c := b.draft()
			_, err := s.UpdateCampaign(t.Context(), b.sc, c.PublicID, func(c *store.Campaign) error {
				defer gone(c) // after Send has looked
				return c.Send()
			})
			refused := failure(t, err)
			require.Equal(t, store.CodeNotReady, refused.Code)
			require.Equal(t, code, refused.Faults[0].Code)
			require.Equal(t, store.Draft, b.read(c).Status)
		}
	})
}
