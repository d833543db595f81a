package tests

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// The curl lines of the reference, word for word.
const (
	referenceCreate = `curl -X POST https://orbit-api.devotel.io/api/v1/campaigns \
  -H "X-API-Key: dv_live_sk_your_key_here" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Spring Promo 2026",
    "channel": "sms",
    "segment_id": "seg_abc123",
    "body": "Hi {{first_name}}, enjoy 20% off this spring!",
    "scheduled_at": "2026-03-15T09:00:00Z"
  }'`
	referenceSend = `curl -X POST https://orbit-api.devotel.io/api/v1/campaigns/cmp_abc123/send \
  -H "X-API-Key: dv_live_sk_your_key_here"`
)

// demoKey is the key that everybody knows in development mode.
const demoKey = "dv_test_sk_demo"

// developer is the program in development mode, reached where it listens, and
// its client.
func developer(t *testing.T) (*running, *api) {
	t.Helper()
	r := install(t, "sqlite:"+storetest.SQLitePath(t)).start("serve", "--dev", "--public-url", "")
	return r, r.api(demoKey)
}

// asHere puts this server's host and key in place of the reference's.
func (a *api) asHere(line string) string {
	return strings.NewReplacer("https://orbit-api.devotel.io", a.url, "dv_live_sk_your_key_here", a.key).Replace(line)
}

var curlWords = regexp.MustCompile(`-X (\S+) (\S+)|-H "([^"]*)"|-d '([^']*)'`)

// curl does what the program of that name does with the line.
func (a *api) curl(line string) answer {
	a.t.Helper()
	var method, path, body string
	var headers []string
	for _, word := range curlWords.FindAllStringSubmatch(a.asHere(line), -1) {
		switch {
		case word[1] != "":
			method, path = word[1], strings.TrimPrefix(word[2], a.url)
		case word[3] != "":
			headers = append(headers, word[3])
		default:
			body = word[4]
		}
	}
	return a.do(method, path, body, headers...)
}

func TestDevelopmentModePrintsTheReferencesLines(t *testing.T) {
	t.Parallel()
	server, a := developer(t)
	eventually(t, func() bool {
		printed, err := os.ReadFile(server.printed)
		require.NoError(t, err)
		return bytes.Contains(printed, []byte(a.asHere(referenceCreate))) && bytes.Contains(printed, []byte(a.asHere(referenceSend)))
	}, "the lines")
	server.stop()
}

// TestReferenceWorksAsWritten goes through the reference from top to bottom.
func TestReferenceWorksAsWritten(t *testing.T) {
	t.Parallel()
	server, a := developer(t)
	slow := types.CampaignUpdate{ // there is time to pause it
		Body:        nullable.NewNullableWithValue("Hi {{first_name}}, 25% off!"),
		ScheduledAt: nullable.NewNullableWithValue(time.Date(2026, 3, 16, 9, 0, 0, 0, time.UTC)),
		Throttle:    nullable.NewNullableWithValue(types.Throttle{MessagesPerSecond: 20}),
	}

	created := want[types.CampaignEnvelope](t, http.StatusCreated, a.curl(referenceCreate)).Data
	require.Regexp(t, `^cmp_`, created.ID)
	requireHas(t, created, `{
		"name": "Spring Promo 2026", "channel": "sms", "status": "draft", "segment_id": "seg_abc123",
		"body": "Hi {{first_name}}, enjoy 20% off this spring!", "scheduled_at": "2026-03-15T09:00:00Z"
	}`)

	page := want[types.CampaignPage](t, http.StatusOK, read(a.ListCampaigns(t.Context(), &types.ListCampaignsParams{
		Limit: p(1), Search: p("spring PROMO"), Status: p(types.CampaignStatusDraft), Channel: p(types.ChannelSMS),
	})))
	require.Equal(t, created.ID, page.Data[0].ID)
	require.True(t, page.Meta.Pagination.HasMore)
	require.Equal(t, types.CampaignStatusDraft, a.campaign("cmp_abc123").Status)
	updated := want[types.CampaignEnvelope](t, http.StatusOK, read(a.UpdateCampaign(t.Context(), "cmp_abc123", slow))).Data
	requireHas(t, updated, `{"body": "Hi {{first_name}}, 25% off!", "scheduled_at": "2026-03-16T09:00:00Z", "status": "draft"}`)

	sent := want[types.SentCampaignEnvelope](t, http.StatusOK, a.curl(referenceSend)).Data
	require.Equal(t, types.SentCampaign{ID: "cmp_abc123", Status: types.CampaignStatusSending, StartedAt: sent.StartedAt}, sent)
	paused := want[types.PausedCampaignEnvelope](t, http.StatusOK, read(a.PauseCampaign(t.Context(), "cmp_abc123"))).Data
	require.Equal(t, types.PausedCampaign{ID: "cmp_abc123", Status: types.CampaignStatusPaused, PausedAt: paused.PausedAt}, paused)
	resumed := want[types.ResumedCampaignEnvelope](t, http.StatusOK, read(a.ResumeCampaign(t.Context(), "cmp_abc123"))).Data
	require.Equal(t, types.CampaignStatusSending, resumed.Status)
	statistics := a.statistics()
	require.EqualValues(t, 2, statistics.TotalCampaigns)
	require.EqualValues(t, 1, statistics.ActiveCampaigns)

	// What the create example made is a draft whose time is past: it can be sent
	// all the same.
	want[types.SentCampaignEnvelope](t, http.StatusOK, a.curl(strings.ReplaceAll(referenceSend, "cmp_abc123", created.ID)))
	a.await(created.ID, completed)
	draft := a.newCampaign(types.CampaignCreate{Name: "Short-lived", Channel: types.ChannelSMS})
	gone(t, read(a.DeleteCampaign(t.Context(), draft.ID)))
	refused(t, http.StatusNotFound, read(a.GetCampaign(t.Context(), draft.ID)))
	server.stop()
}

// requireHas wants a value to have, as JSON, all that is in part.
func requireHas(t *testing.T, whole any, part string) {
	t.Helper()
	require.True(t, contains(plainJSON(t, whole), plainJSON(t, json.RawMessage(part))), "%+v has not all of %s", whole, part)
}

func TestPathsAreAnsweredInEveryWayTheyAreWritten(t *testing.T) {
	t.Parallel()
	_, a := developer(t)
	for _, path := range []string{"/campaigns", "/campaigns/stats", "/campaigns/cmp_abc123", "/lists/lst_abc123/contacts"} {
		answer := want[map[string]any](t, http.StatusOK, a.do(http.MethodGet, "/v1"+path, ""))
		for _, written := range []string{"/v1" + path + "/", "/api/v1" + path, "/api/v1" + path + "/"} {
			same := want[map[string]any](t, http.StatusOK, a.do(http.MethodGet, written, ""))
			require.Equal(t, answer["data"], same["data"], written)
		}
	}
	byBearer := a.do(http.MethodGet, "/v1/campaigns", "", "X-API-Key: ", "Authorization: Bearer "+demoKey)
	want[types.CampaignPage](t, http.StatusOK, byBearer)
	require.Equal(t, "sandbox", byBearer.header.Get("X-Orbit-Env"))
}

// TestDemoIsMadeAgainAtEachStart sends the demo's campaign, and finds it a draft
// at the next start.
func TestDemoIsMadeAgainAtEachStart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		i := install(t, dsn)
		server := i.start("serve", "--dev")
		a := server.api(demoKey)
		a.send("cmp_abc123")
		a.await("cmp_abc123", completed)
		server.stop()

		server = i.start("serve", "--dev")
		again := server.api(demoKey).campaign("cmp_abc123")
		require.Equal(t, types.CampaignStatusDraft, again.Status)
		require.Nil(t, again.Progress)
		server.stop()

		e := refused(t, http.StatusUnauthorized, read(i.start("serve").api(demoKey).GetCampaign(t.Context(), "cmp_abc123")))
		require.Equal(t, types.ErrorCodeINVALIDAPIKEY, e.Code)
	})
}
