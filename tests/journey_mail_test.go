package tests

import (
	"bytes"
	"io"
	"net/http"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery/carriertest"
	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// smtpTo is the configuration of a carrier that sends mail to a sink, at so many
// a second over all processes; 0 for as many as it can.
func smtpTo(t *testing.T, c *sink.Counter, rate int) map[string]any {
	t.Helper()
	return map[string]any{
		"name": "mail", "type": "smtp", "channels": []string{"email"}, "rate": rate,
		"address": carriertest.NewSMTPSink(t, c), "tls": "off", "from": "Spring Shop <shop@example.com>",
	}
}

// TestMailCampaignReachesEachRecipientOnce is the main job: a file becomes a
// list, the list gets a campaign, which is paused in the middle and resumed.
func TestMailCampaignReachesEachRecipientOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		const people, perSecond = crowd(2000), 600
		mails := sink.Counter{Keep: int(people)}
		_, server, a := live(t, dsn, smtpTo(t, &mails, 0))
		list := a.assemble(people)
		c := a.newCampaign(types.CampaignCreate{
			Name: "Spring", Channel: types.ChannelEmail, ListID: &list.ID, Subject: p("For {{first_name}}"),
			Throttle: &types.Throttle{MessagesPerSecond: perSecond},
			AbTest: &types.AbTest{Variants: []types.AbTestVariant{
				{Name: "discount", Body: p("discount for {{first_name}}"), Percentage: 70},
				{Name: "shipping", Body: p("shipping for {{first_name}}"), Percentage: 30},
			}},
		})
		a.sendWhenReady(c.ID)

		eventually(t, func() bool { return mails.Total() > int(people)/5 }, "mails")
		want[types.PausedCampaignEnvelope](t, http.StatusOK, read(a.PauseCampaign(t.Context(), c.ID)))
		requireStandsStill(t, &mails, time.Now())
		held := a.campaign(c.ID)
		requireAddsUp(t, held)
		require.EqualValues(t, mails.Total(), held.Progress.Sent)
		require.Positive(t, held.Progress.Queued)
		a.requireLedger(held)

		want[types.ResumedCampaignEnvelope](t, http.StatusOK, read(a.ResumeCampaign(t.Context(), c.ID)))
		done := a.await(c.ID, completed)
		requireEachOnce(t, &mails, people.reachable())
		require.Equal(t, types.SkippedCounts{Total: 400, NoAddress: 200, OptedOut: 200}, done.Progress.Skipped)
		require.EqualValues(t, mails.Total(), done.Progress.Sent)
		a.requireVariants(done, a.requireLedger(done), &mails)
		require.Equal(t, types.Statistics{
			TotalCampaigns: 1, TotalMessagesSent: int64(mails.Total()),
			Channels: types.StatisticsChannels{Email: &types.ChannelStatistics{Sent: int64(mails.Total())}},
		}, a.statistics())

		unsubscribed := a.unsubscribe(server, mails.Messages()[0])
		a.requireSkipped(list, unsubscribed)
		require.Equal(t, 1, mails.Of(unsubscribed))
		require.Equal(t, 2*len(people.reachable())-1, mails.Total())
	})
}

func completed(c types.Campaign) bool { return c.Status == types.CampaignStatusCompleted }

// requireStandsStill wants nothing to arrive later than a second after the
// pause was answered.
func requireStandsStill(t *testing.T, c *sink.Counter, answered time.Time) {
	t.Helper()
	eventually(t, func() bool { return time.Since(answered) > time.Second }, "the second to pass")
	held := c.Total()
	require.Never(t, func() bool { return c.Total() != held }, 500*time.Millisecond, 10*time.Millisecond)
}

// requireVariants wants the mails that arrived to be of the variants that the
// ledger names, in about the shares asked for.
func (a *api) requireVariants(c types.Campaign, ledger []types.Message, mails *sink.Counter) {
	a.t.Helper()
	mailboxes := map[string]string{} // by contact
	for _, someone := range a.contacts("") {
		if someone.Email != nil {
			mailboxes[someone.ID] = *someone.Email
		}
	}
	variants := map[string]string{} // by mailbox
	for _, m := range ledger {
		variants[mailboxes[*m.ContactID]] = *m.Variant
	}
	for _, m := range mails.Messages() {
		require.Contains(a.t, text(a.t, m), variants[m.To]+" for Person", m.To)
	}
	for i, v := range c.Progress.Variants {
		share := float64(c.AbTest.Variants[i].Percentage) / 100
		require.InEpsilon(a.t, share*float64(c.Progress.Total), v.Total, 0.2, v.Name)
	}
}

func parseMail(t *testing.T, m sink.Message) *mail.Message {
	t.Helper()
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	require.NoError(t, err)
	return parsed
}

// text is the body of a mail of plain text.
func text(t *testing.T, m sink.Message) string {
	t.Helper()
	body, err := io.ReadAll(parseMail(t, m).Body)
	require.NoError(t, err)
	return string(body)
}

// unsubscribe does what the mail program does of somebody who presses its button
// (RFC 8058). It gives the mailbox.
func (a *api) unsubscribe(r *running, m sink.Message) (mailbox string) {
	a.t.Helper()
	header := parseMail(a.t, m).Header
	require.Equal(a.t, "List-Unsubscribe=One-Click", header.Get("List-Unsubscribe-Post"))
	link := strings.Trim(header.Get("List-Unsubscribe"), "<>")
	require.True(a.t, strings.HasPrefix(link, publicURL+"/"), link)
	link = r.url + strings.TrimPrefix(link, publicURL)

	answer, err := http.Get(link) // a mail scanner, which follows links
	require.NoError(a.t, err)
	require.NoError(a.t, answer.Body.Close())
	require.Equal(a.t, http.StatusOK, answer.StatusCode)
	require.Empty(a.t, a.contacts(m.To)[0].OptedOut, "a GET only asks")

	answer, err = http.Post(link, "application/x-www-form-urlencoded", strings.NewReader("List-Unsubscribe=One-Click"))
	require.NoError(a.t, err)
	require.NoError(a.t, answer.Body.Close())
	require.Equal(a.t, http.StatusOK, answer.StatusCode)
	require.Equal(a.t, types.OptedOut{types.ChannelEmail}, a.contacts(m.To)[0].OptedOut)
	return m.To
}

// requireSkipped sends the list another campaign, which passes the mailbox over.
func (a *api) requireSkipped(list types.List, mailbox string) {
	a.t.Helper()
	c := a.newCampaign(types.CampaignCreate{Name: "Summer", Channel: types.ChannelEmail, ListID: &list.ID, Body: p("Hi")})
	a.sendWhenReady(c.ID)
	a.await(c.ID, completed)
	someone := a.contacts(mailbox)[0]
	for _, m := range a.messages(c.ID, p(types.MessageStatusSkipped)) {
		if *m.ContactID == someone.ID {
			require.Equal(a.t, types.SkipReasonOptedOut, *m.SkipReason)
			return
		}
	}
	require.FailNow(a.t, "the contact who unsubscribed was not skipped")
}
