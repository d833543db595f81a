package tests

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
)

// TestSandboxAnswersByTheLastDigit is what the contract promises of test keys.
func TestSandboxAnswersByTheLastDigit(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		var ids []string
		for digit := range 10 {
			ids = append(ids, a.newContact(types.ContactCreate{Phone: p("+491511200000" + string(rune('0'+digit)))}).ID)
		}
		list := a.newList("Ten", ids...)
		c := a.newCampaign(types.CampaignCreate{Name: "Ten", Channel: types.ChannelWhatsapp, ListID: &list.ID, Body: p("Hi")})
		a.send(c.ID)
		done := a.await(c.ID, func(c types.Campaign) bool { return completed(c) && c.Progress.Sent == 1 && c.Progress.Unknown == 1 })
		require.EqualValues(t, 5, done.Progress.Delivered)
		require.EqualValues(t, 3, done.Progress.Failed)
		statuses := map[string]types.MessageStatus{}
		for _, m := range a.requireLedger(done) {
			statuses[*m.ContactID] = m.Status
		}
		for digit, expected := range []types.MessageStatus{
			"delivered", "sent", "delivered", "failed", "failed", "failed", "unknown", "delivered", "delivered", "delivered",
		} {
			require.Equal(t, expected, statuses[ids[digit]], "a number that ends in %d", digit)
		}
	})
}

// TestCancelledCampaignSendsNoMore cancels one that is on its way.
func TestCancelledCampaignSendsNoMore(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		const people = crowd(400)
		a := s.tester()
		list := a.assemble(people)
		c := a.newCampaign(types.CampaignCreate{
			Name: "Spring", Channel: types.ChannelEmail, ListID: &list.ID, Body: p("Hi"), Throttle: &types.Throttle{MessagesPerSecond: 100},
		})
		a.send(c.ID)
		a.await(c.ID, func(c types.Campaign) bool { return c.Progress.Sent+c.Progress.Delivered > 10 })
		want[types.CancelledCampaignEnvelope](t, http.StatusOK, read(a.CancelCampaign(t.Context(), c.ID)))
		done := a.await(c.ID, func(c types.Campaign) bool { return c.Progress.Queued == 0 })
		require.Equal(t, types.CampaignStatusCancelled, done.Status)
		require.EqualValues(t, people, done.Progress.Total)
		require.Positive(t, done.Progress.Cancelled)
		require.Zero(t, a.statistics().ActiveCampaigns)
		eventually(t, func() bool {
			done = a.campaign(c.ID)
			return int64(len(a.messages(c.ID, p(types.MessageStatusCancelled)))) == done.Progress.Cancelled
		}, "a row for each that was cancelled")
		require.Len(t, a.messages(c.ID, nil), int(people), "everybody has a row")
	})
}
