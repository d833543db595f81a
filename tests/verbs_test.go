package tests

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
)

// life is that of a campaign: for each status how one gets there and what may be
// done then.
var life = map[types.CampaignStatus]struct{ by, allowed []types.CampaignAction }{
	types.CampaignStatusDraft:     {nil, []types.CampaignAction{"update", "delete", "send", "schedule"}},
	types.CampaignStatusScheduled: {[]types.CampaignAction{"update", "schedule"}, []types.CampaignAction{"update", "send", "schedule", "cancel"}},
	types.CampaignStatusSending:   {[]types.CampaignAction{"send"}, []types.CampaignAction{"pause", "cancel"}},
	types.CampaignStatusPaused:    {[]types.CampaignAction{"send", "pause"}, []types.CampaignAction{"resume", "cancel"}},
	types.CampaignStatusCancelled: {[]types.CampaignAction{"send", "cancel"}, []types.CampaignAction{}},
	types.CampaignStatusCompleted: {[]types.CampaignAction{"send"}, []types.CampaignAction{}},
}

// act does something to a campaign; an update gives it a time.
func (a *api) act(action types.CampaignAction, id string) answer {
	switch action {
	case types.CampaignActionUpdate:
		later := nullable.NewNullableWithValue(time.Now().Add(time.Hour))
		return read(a.UpdateCampaign(a.t.Context(), id, types.CampaignUpdate{ScheduledAt: later}))
	case types.CampaignActionDelete:
		return read(a.DeleteCampaign(a.t.Context(), id))
	}
	return a.do(http.MethodPost, "/v1/campaigns/"+id+"/"+string(action), "")
}

// brought makes a campaign and brings it to a status. It has thirty recipients
// and sends one a second, so that it stays in each, but for the one that is to
// be completed.
func (a *api) brought(to types.CampaignStatus, list types.List) types.Campaign {
	a.t.Helper()
	c := types.CampaignCreate{Name: string(to), Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi")}
	if to != types.CampaignStatusCompleted {
		c.Throttle = &types.Throttle{MessagesPerSecond: 1}
	}
	id := a.newCampaign(c).ID
	for _, action := range life[to].by {
		want[any](a.t, http.StatusOK, a.act(action, id))
	}
	return a.await(id, inStatus(to))
}

func TestVerbOutOfTurnSaysWhatIsAllowed(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		list := a.assemble(30)
		for status, of := range life {
			c := a.brought(status, list)
			require.Equal(t, of.allowed, c.AllowedActions, status)
			for _, action := range []types.CampaignAction{"update", "delete", "send", "schedule", "pause", "resume", "cancel"} {
				if slices.Contains(of.allowed, action) {
					continue
				}
				e := refused(t, http.StatusConflict, a.act(action, c.ID))
				require.Equal(t, types.ErrorCodeINVALIDSTATE, e.Code, "%s of one that is %s", action, status)
				require.Equal(t, status, *e.Details.Status)
				require.Equal(t, append([]types.CampaignAction{}, of.allowed...), *e.Details.AllowedActions)
			}
			require.Equal(t, c.Version, a.campaign(c.ID).Version, "nothing of what was refused is kept")
		}
	})
}
