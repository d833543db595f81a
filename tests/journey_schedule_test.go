package tests

import (
	"net/http"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
)

// audience is a list of three people, whom the sandbox delivers to.
func (a *api) audience() types.List {
	a.t.Helper()
	var ids []string
	for _, phone := range []string{"+4915112000007", "+4915112000008", "+4915112000009"} {
		ids = append(ids, a.newContact(types.ContactCreate{Phone: &phone}).ID)
	}
	return a.newList("Three", ids...)
}

func inStatus(s types.CampaignStatus) func(types.Campaign) bool {
	return func(c types.Campaign) bool { return c.Status == s }
}

func TestScheduledCampaignStartsAtItsTime(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		list := a.audience()
		at := time.Now().UTC().Truncate(time.Second).Add(4 * time.Second)
		draft := a.newCampaign(types.CampaignCreate{Name: "Soon", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi"), ScheduledAt: &at})
		require.Equal(t, types.CampaignStatusDraft, draft.Status)
		require.Equal(t, at, *draft.ScheduledAt)

		waiting := a.await(draft.ID, inStatus(types.CampaignStatusScheduled))
		require.Nil(t, waiting.StartedAt)
		require.EqualValues(t, 1, a.statistics().ActiveCampaigns)
		done := a.await(draft.ID, completed)
		require.False(t, done.StartedAt.Before(at), "started at %v, before its time", done.StartedAt)
		a.await(draft.ID, func(c types.Campaign) bool { return c.Progress.Delivered == 3 })
	})
}

// TestScheduleIsKeptOnlyWhileItHolds moves a campaign in and out of scheduled.
func TestScheduleIsKeptOnlyWhileItHolds(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		list := a.audience()
		tomorrow := time.Now().UTC().Truncate(time.Second).Add(24 * time.Hour)
		id := a.newCampaign(types.CampaignCreate{Name: "Tomorrow", Channel: types.ChannelSMS, Body: p("Hi"), ScheduledAt: &tomorrow}).ID

		e := refused(t, http.StatusUnprocessableEntity, read(a.ScheduleCampaign(t.Context(), id)))
		require.Equal(t, types.ErrorCodeCAMPAIGNNOTREADY, e.Code)
		require.Len(t, e.Errors, 1)
		require.Equal(t, "NO_AUDIENCE", e.Errors[0].Code)

		update := func(status int, change types.CampaignUpdate) (types.Campaign, types.Error) {
			answer := want[struct {
				Data  types.Campaign
				Error types.Error
			}](t, status, read(a.UpdateCampaign(t.Context(), id, change)))
			return answer.Data, answer.Error
		}
		update(http.StatusOK, types.CampaignUpdate{ListID: nullable.NewNullableWithValue(list.ID)})
		want[types.CampaignEnvelope](t, http.StatusOK, read(a.ScheduleCampaign(t.Context(), id)))
		again := want[types.CampaignEnvelope](t, http.StatusOK, read(a.ScheduleCampaign(t.Context(), id))).Data
		require.Equal(t, types.CampaignStatusScheduled, again.Status)

		_, past := update(http.StatusUnprocessableEntity, types.CampaignUpdate{ScheduledAt: nullable.NewNullableWithValue(time.Now().Add(-time.Hour))})
		require.NotEmpty(t, past.Errors)
		_, blocked := update(http.StatusUnprocessableEntity, types.CampaignUpdate{ListID: nullable.NewNullNullable[string]()})
		require.NotEmpty(t, blocked.Errors)
		require.Equal(t, again, a.campaign(id), "nothing of what was refused is kept")

		back, _ := update(http.StatusOK, types.CampaignUpdate{ScheduledAt: nullable.NewNullNullable[time.Time]()})
		require.Equal(t, types.CampaignStatusDraft, back.Status)
		require.Nil(t, back.ScheduledAt)
		require.Equal(t, types.ErrorCodeMISSINGREQUIREDFIELD, refused(t, http.StatusUnprocessableEntity, read(a.ScheduleCampaign(t.Context(), id))).Code)

		update(http.StatusOK, types.CampaignUpdate{ScheduledAt: nullable.NewNullableWithValue(tomorrow)})
		a.await(id, inStatus(types.CampaignStatusScheduled))
		want[types.CancelledCampaignEnvelope](t, http.StatusOK, read(a.CancelCampaign(t.Context(), id)))
		require.Empty(t, a.campaign(id).AllowedActions)
	})
}
