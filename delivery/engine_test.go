package delivery_test

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

func TestCampaignReachesEveryRecipientOnce(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(3000)
		b.run(b.engine)
		c := b.send()
		p := b.completes(c)
		require.EqualValues(t, 3000, p.Total)
		require.EqualValues(t, 3000, p.Sent())
		b.carrier.requireOnce(t, 3000)
		b.requireComplete(c)
		ms := b.messages(c)
		for _, m := range b.carrier.got() {
			require.Equal(t, c.PublicID, m.CampaignID)
			require.Regexp(t, `^Hi P\d+$`, m.Body)
			_, contact, _, ok := store.ParseMessageID(m.ID)
			require.True(t, ok)
			require.Equal(t, *ms[contact].Contact, m.ContactID)
			require.Equal(t, "hand-"+m.ID, *ms[contact].CarrierRef)
		}
	})
}

// TestFirstMessageGoesOutAtOnce says how long that takes, on a machine that may
// be busy with other things.
func TestFirstMessageGoesOutAtOnce(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(10)
		b.run(b.engine)
		for i := range 5 {
			c := b.campaign()
			b.ready(c)
			first := make(chan time.Time, 100)
			b.carrier.answers(func(context.Context, *delivery.Outgoing, int) error {
				first <- time.Now()
				return nil
			})
			b.do(c, (*store.Campaign).Send)
			committed := time.Now()
			t.Logf("campaign %d: first message %v after the commit", i, (<-first).Sub(committed))
			b.completes(c)
			t.Logf("campaign %d: completed %v after the commit", i, time.Since(committed))
		}
	})
}

func TestScheduledCampaignIsSentWhenItsTimeComes(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(3)
		b.run(b.engine)
		at := time.Now().Add(1500 * time.Millisecond)
		c := b.campaign(func(c *store.Campaign) { c.ScheduledAt = &at })
		b.completes(c)
		c = b.read(c)
		require.False(t, c.StartedAt.Before(*c.ScheduledAt))
		t.Logf("sent %v after its time", c.StartedAt.Sub(*c.ScheduledAt))
		b.carrier.requireOnce(t, 3)
	})
}

func TestEngineLeavesNothingRunning(t *testing.T) { // alone: it looks at all goroutines
	storetest.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		b.contacts(2000)
		b.carrier.slowly(time.Millisecond)
		stop := b.run(b.engine)
		b.send()
		throttled := b.send(func(c *store.Campaign) { c.Throttle = ptr(50) })
		b.eventually(func() bool { return b.carrier.total() > 200 })
		b.do(throttled, (*store.Campaign).Pause)
		stop()
		ended := b.carrier.total()
		b.eventually(func() bool {
			var stacks strings.Builder
			require.NoError(t, pprof.Lookup("goroutine").WriteTo(&stacks, 1))
			return !strings.Contains(stacks.String(), "campaigns/delivery.(")
		})
		require.Equal(t, ended, b.carrier.total())
		require.Equal(t, "CHANNEL_NOT_CONFIGURED", b.campaign().Blockers[0].Code, "it is off the register")
	})
}

func TestEveryVariantGetsItsContentAndItsCount(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(500)
		b.run(b.engine)
		c := b.send(func(c *store.Campaign) {
			c.Channel, c.Body, c.ABTest = store.Email, nil, &store.ABTest{Variants: []store.Variant{
				{Name: "short", Body: ptr("Hi"), Subject: ptr("S {{first_name}}"), Percentage: 30}, {Name: "long", Body: ptr("Dear {{first_name}}"), Percentage: 70},
			}}
		})
		p := b.completes(c)
		b.carrier.requireOnce(t, 500)
		contents := map[string]int64{}
		for _, m := range b.carrier.got() {
			name := strings.ToUpper(m.To[:strings.Index(m.To, "@")])
			switch m.Body {
			case "Hi":
				require.Equal(t, "S "+name, m.Subject)
			default:
				require.Equal(t, "Dear "+name, m.Body)
				require.Equal(t, "Spring", m.Subject)
			}
			contents[strings.Fields(m.Body)[0]]++
		}
		require.Equal(t, map[string]int64{"Hi": p.Variants[0].Sent(), "Dear": p.Variants[1].Sent()}, contents)
		require.EqualValues(t, 500, p.Variants[0].Total+p.Variants[1].Total)
		b.requireComplete(c)
	})
}

func TestContentThatFailsForOneContactFailsThatOneOnly(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(20)
		greedy := b.contact(7)
		_, err := b.store.UpdateContact(t.Context(), b.scope, greedy.PublicID, func(c *store.Contact) error {
			c.Attributes = map[string]any{"n": 1e9}
			return nil
		})
		require.NoError(t, err)
		b.run(b.engine)
		c := b.send(func(c *store.Campaign) {
			c.Body = ptr("{% if n %}{% for i in (1..n) %}x{% endfor %}{% endif %}{{first_name}}")
		})
		p := b.completes(c)
		require.Equal(t, []int64{19, 1}, []int64{p.Sent(), p.Failed()})
		m := b.messages(c)[greedy.ID]
		require.Equal(t, "render_failed", *m.Code)
		require.NotContains(t, b.carrier.seen(), number(7))
	})
}

func TestContactThatIsGoneOrOptedOutAfterTheFreezeIsSkipped(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		b.contacts(5)
		require.NoError(t, b.store.Heartbeat(ctx, store.Worker{ID: "wrk_before", Channels: []store.Channel{store.SMS}}))
		c := b.send()
		_, err := b.store.FreezePage(ctx, c.ID)
		require.NoError(t, err)
		gone, out, moved := b.contact(0), b.contact(1), b.contact(2)
		require.NoError(t, b.store.DeleteContact(ctx, b.scope, gone.PublicID))
		_, err = b.store.OptOut(ctx, b.scope, out.PublicID, store.SetOf(store.SMS))
		require.NoError(t, err)
		_, err = b.store.UpdateContact(ctx, b.scope, moved.PublicID, func(c *store.Contact) error { c.Phone = nil; return nil })
		require.NoError(t, err)
		b.run(b.engine)
		p := b.completes(c)
		require.Equal(t, []int64{2, 1, 1, 1}, []int64{p.Sent(), p.SkippedDeleted, p.SkippedOptedOut, p.SkippedNoAddress})
		ms := b.messages(c)
		for id, reason := range map[int64]string{gone.ID: store.SkipDeleted, out.ID: store.SkipOptedOut, moved.ID: store.SkipNoAddress} {
			require.Equal(t, store.MessageSkipped, ms[id].Status)
			require.Equal(t, reason, *ms[id].Code)
		}
		b.carrier.requireOnce(t, 2)
	})
}

func TestMailCarriesALinkThatUnsubscribes(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(2)
		b.run(b.engine)
		mail := func(c *store.Campaign) { c.Channel, c.Body = store.Email, ptr("{{unsubscribe_url}}") }
		b.completes(b.send(mail))
		b.completes(b.send())
		for _, m := range b.carrier.got() {
			if m.Channel == "sms" {
				require.Empty(t, m.UnsubscribeURL)
				continue
			}
			token, ours := strings.CutPrefix(m.UnsubscribeURL, "https://campaigns.example/unsubscribe/")
			require.True(t, ours)
			require.Equal(t, m.UnsubscribeURL, m.Body)
			if m.To == "p0@example.com" {
				channel, err := b.store.Unsubscribe(t.Context(), token)
				require.NoError(t, err)
				require.Equal(t, store.Email, channel)
			}
		}
		p := b.completes(b.send(mail))
		require.Equal(t, []int64{1, 1}, []int64{p.Sent(), p.SkippedOptedOut})
	})
}

// TestSandboxDeliversByTheLastDigit is the table of the contract, from the send
// to the receipts.
func TestSandboxDeliversByTheLastDigit(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.scope.Mode = store.Test
		b.newList("test")
		b.contacts(20) // each digit twice
		b.run(b.engine)
		c := b.send()
		b.completes(c)
		b.eventually(func() bool {
			p := b.progress(c)
			return p.Sent() == 2 && p.Unknown == 2
		}, "receipts never came")
		p := b.requireComplete(c)
		require.Equal(t, []int64{2, 10, 6, 2}, []int64{p.Sent(), p.Delivered, p.Failed(), p.Unknown})
		ms := b.messages(c)
		for i := range 20 {
			m := ms[b.contact(i).ID]
			want := map[int]string{3: "undelivered", 4: "carrier_error", 5: "expired", 6: "unknown"}[i%10]
			status := map[int]store.MessageStatus{1: store.MessageSent, 3: store.MessageFailed, 4: store.MessageFailed, 5: store.MessageFailed, 6: store.MessageUnknown}[i%10]
			if status == 0 {
				status = store.MessageDelivered
			}
			require.Equal(t, status, m.Status, i)
			require.Equal(t, fmt.Sprint("sandbox-", m.PublicID()), *m.CarrierRef)
			if want != "" {
				require.Equal(t, want, *m.Code)
			}
		}
		require.Zero(t, b.carrier.total(), "nothing left the machine")
	})
}
