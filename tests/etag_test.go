package tests

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/campaigns-api/campaigns/gen/types"
)

func TestETagIsOfConfigurationAndStatus(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		list := a.audience()
		created := read(a.CreateCampaign(t.Context(), types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi")}))
		path := created.header.Get("Location")
		require.Equal(t, `"1"`, created.header.Get("ETag"))
		get := func(headers ...string) answer { return a.do(http.MethodGet, path, "", headers...) }
		require.Equal(t, `"1"`, get().header.Get("ETag"))
		require.Equal(t, http.StatusOK, get(`If-None-Match: "1"`).status, "progress may have changed: a GET is never 304")

		changed := a.do(http.MethodPut, path, `{"name":"Summer"}`, `If-Match: "1"`)
		require.Equal(t, `"2"`, changed.header.Get("ETag"))
		sent := a.do(http.MethodPost, path+"/send", "", `If-Match: "2"`)
		want[types.SentCampaignEnvelope](t, http.StatusOK, sent)
		require.Equal(t, `"3"`, sent.header.Get("ETag"))
		id := want[types.CampaignEnvelope](t, http.StatusCreated, created).Data.ID
		a.await(id, inStatus(types.CampaignStatusCompleted))
		require.Equal(t, `"4"`, get().header.Get("ETag"), "completed is another status")
	})
}

func TestChangeIsRefusedOfACampaignThatIsAnother(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		list := a.audience()
		id := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi")}).ID
		path := "/v1/campaigns/" + id
		want[any](t, http.StatusOK, a.do(http.MethodPut, path, `{"name":"Summer"}`))
		before := a.campaign(id)
		for _, op := range operations(t) {
			if op.parameter("If-Match") == nil {
				continue
			}
			for _, stale := range []string{`"1"`, `W/"2"`, `"1", "3"`, `"x,""2""y"`, `""`} {
				got := a.call(op, map[string]string{"id": id}, "If-Match: "+stale)
				if stale == `"x,""2""y"` { // no list of entity tags
					require.Equal(t, "If-Match", *refused(t, http.StatusBadRequest, got).Details.Field)
					continue
				}
				e := refused(t, http.StatusPreconditionFailed, got)
				require.Equal(t, types.ErrorCodePRECONDITIONFAILED, e.Code, op.OperationID)
				require.Contains(t, e.Message, `"2"`)
			}
		}
		require.Equal(t, before, a.campaign(id))
		for _, good := range []string{`"2"`, `W/"9", "2"`, `"3","2"`, `*`} {
			got := want[types.CampaignEnvelope](t, http.StatusOK, a.do(http.MethodPut, path, `{}`, "If-Match: "+good))
			require.Equal(t, 2, got.Data.Version, "%s: what changes nothing leaves the version", good)
		}
		gone(t, a.do(http.MethodDelete, path, "", "If-Match: *"))
		refused(t, http.StatusNotFound, a.do(http.MethodDelete, path, "", "If-Match: *"))
	})
}

func TestOfRacingChangesOneWins(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		id := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS}).ID
		statuses := make([]int, 10)
		var racers errgroup.Group
		for i := range statuses {
			racers.Go(func() error {
				got := a.do(http.MethodPut, "/v1/campaigns/"+id, `{"metadata":{"who":"`+string(rune('a'+i))+`"}}`, `If-Match: "1"`)
				statuses[i] = got.status
				return got.err
			})
		}
		require.NoError(t, racers.Wait())
		counts := map[int]int{}
		for _, status := range statuses {
			counts[status]++
		}
		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusPreconditionFailed: 9}, counts)
	})
}
