package tests

import (
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/server"
	"github.com/campaigns-api/campaigns/store"
)

// subjects are things to call every operation on, by the tag of the operation
// and the name of the path's parameter.
func (a *api) subjects() map[string]map[string]string {
	a.t.Helper()
	c := a.newContact(types.ContactCreate{Phone: p("+12025550120")})
	l := a.newList("Friends", c.ID)
	campaign := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS, ListID: &l.ID, Body: p("Hi"), Throttle: &types.Throttle{MessagesPerSecond: 1}})
	return map[string]map[string]string{
		"Campaigns": {"id": campaign.ID}, "Contacts": {"id": c.ID}, "Lists": {"id": l.ID, "contact_id": c.ID},
	}
}

// TestEveryPostMayBeRepeated calls each POST of the document twice with one key.
func TestEveryPostMayBeRepeated(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		for id, op := range operations(t) {
			if op.method != http.MethodPost {
				continue
			}
			a := s.tester()
			ids := a.subjects()[op.Tags[0]]
			const key = "Idempotency-Key: once"
			first := a.call(op, ids, key)
			before := a.everything()
			again := a.call(op, ids, key)
			require.Equal(t, first.status, again.status, "%s: %s %s", id, first.body, again.body)
			require.Empty(t, first.header.Get("Idempotent-Replayed"), id)
			require.Equal(t, "true", again.header.Get("Idempotent-Replayed"), id)
			require.Equal(t, first.header.Get("Location"), again.header.Get("Location"), id)
			require.Equal(t, first.header.Get("ETag"), again.header.Get("ETag"), id)
			require.Equal(t, first.header.Get("Content-Type"), again.header.Get("Content-Type"), id)
			if id != "createImport" { // which tells how far it is by now
				require.Equal(t, string(first.body), string(again.body), id)
			}
			if id != "createImport" && id != "sendCampaign" { // whose effect goes on
				require.Equal(t, before, a.everything(), id)
			}
		}
	})
}

func TestKeyOfAnotherBodyIsAMismatch(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		const key = "Idempotency-Key: once"
		want[types.ListEnvelope](t, http.StatusCreated, a.do(http.MethodPost, "/v1/lists", `{"name":"Friends"}`, key))
		e := refused(t, http.StatusUnprocessableEntity, a.do(http.MethodPost, "/api/v1/lists/", `{"name":"Foes"}`, key))
		require.Equal(t, types.ErrorCodeIDEMPOTENCYMISMATCH, e.Code)
		want[types.SegmentEnvelope](t, http.StatusCreated, a.do(http.MethodPost, "/v1/segments", `{"name":"Foes","rule":{"tag":"foe","operator":"has"}}`, key))
	})
}

func TestRefusalIsRepeatedInTheFormAskedFor(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		id := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS, Body: p("Hi")}).ID
		path := "/v1/campaigns/" + id + "/send"
		first := a.do(http.MethodPost, path, "", "Idempotency-Key: once")
		e := refused(t, http.StatusUnprocessableEntity, first)
		require.Equal(t, types.ErrorCodeCAMPAIGNNOTREADY, e.Code)
		want[any](t, http.StatusOK, a.do(http.MethodPut, "/v1/campaigns/"+id, `{"list_id":"`+a.audience().ID+`"}`))

		again := a.do(http.MethodPost, path, "", "Idempotency-Key: once", "Accept: application/problem+json")
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
		problem := want[types.Problem](t, http.StatusUnprocessableEntity, again)
		require.Equal(t, e.Message, problem.Detail)
		require.Equal(t, e.Errors, problem.Errors)
		require.Equal(t, first.header.Get("X-Request-Id"), problem.RequestID)
		want[any](t, http.StatusOK, a.do(http.MethodPost, path, "", "Idempotency-Key: twice"))
	})
}

// TestWhatNeverReachedARuleIsNotKept mends each request and repeats it with the
// same key.
func TestWhatNeverReachedARuleIsNotKept(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		a, reader := s.api(store.KeyOptions{Account: account}), s.api(store.KeyOptions{Account: account, Scopes: store.ReadScopes})
		const key, body = "Idempotency-Key: once", `{"name":"Friends"}`
		refused(t, http.StatusUnprocessableEntity, a.do(http.MethodPost, "/v1/lists", `{}`, key))
		refused(t, http.StatusBadRequest, a.do(http.MethodPost, "/v1/lists?x=1", body, key))
		refused(t, http.StatusUnsupportedMediaType, a.do(http.MethodPost, "/v1/lists", body, key, "Content-Type: text/plain"))
		refused(t, http.StatusNotAcceptable, a.do(http.MethodPost, "/v1/lists", body, key, "Accept: text/html"))
		refused(t, http.StatusForbidden, reader.do(http.MethodPost, "/v1/lists", body, key))
		require.Empty(t, want[types.ListPage](t, http.StatusOK, a.do(http.MethodGet, "/v1/lists", "")).Data)
		want[types.ListEnvelope](t, http.StatusCreated, a.do(http.MethodPost, "/v1/lists", body, key))
	})
}

func TestMalformedKeysAreRefused(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		for _, malformed := range []string{"", "two words", "ключ", strings.Repeat("x", 256)} {
			e := refused(t, http.StatusBadRequest, a.do(http.MethodPost, "/v1/lists", `{"name":"Friends"}`, "Idempotency-Key: "+malformed))
			require.Equal(t, "Idempotency-Key", *e.Details.Field, malformed)
		}
	})
}

// TestRacingSendsAreOne races two servers on one database.
func TestRacingSendsAreOne(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		h, err := server.New(server.Options{Store: s.store, Log: slog.New(slog.DiscardHandler), RateLimits: true})
		require.NoError(t, err)
		other := httptest.NewServer(h)
		t.Cleanup(other.Close)
		a := s.tester()
		b := newAPI(t, other.URL, a.key)
		list := a.audience()
		id := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi")}).ID
		answers := make([]answer, 20)
		var racers errgroup.Group
		for i := range answers {
			racers.Go(func() error {
				answers[i] = []*api{a, b}[i%2].do(http.MethodPost, "/v1/campaigns/"+id+"/send", "", "Idempotency-Key: once")
				return answers[i].err
			})
		}
		require.NoError(t, racers.Wait())
		bodies := map[string]bool{}
		for _, got := range answers {
			if got.status == http.StatusOK {
				bodies[string(got.body)] = true
				continue
			}
			require.Equal(t, types.ErrorCodeIDEMPOTENCYINPROGRESS, refused(t, http.StatusConflict, got).Code)
			require.Equal(t, "1", got.header.Get("Retry-After"))
		}
		require.Len(t, slices.Collect(maps.Keys(bodies)), 1, "all who were answered were answered alike")
	})
}

func TestImportIsRepeatedByItsDigest(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		digest := func(file string) string {
			sum := sha256.Sum256([]byte(file))
			return "Content-Digest: sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		}
		upload := func(file string, headers ...string) answer {
			return a.do(http.MethodPost, "/v1/imports", file, append(headers, "Content-Type: text/csv")...)
		}
		one, two := "external_id\nana\n", "external_id\nbea\n"
		e := refused(t, http.StatusUnprocessableEntity, upload(one, digest(two)))
		require.Equal(t, types.ErrorCodeVALIDATIONERROR, e.Code)
		require.Empty(t, want[types.ImportPage](t, http.StatusOK, read(a.ListImports(t.Context(), nil))).Data)

		const key = "Idempotency-Key: once"
		first := want[types.ImportEnvelope](t, http.StatusAccepted, upload(one, digest(one), key)).Data
		a.awaitImport(first.ID)
		again := upload(one, digest(one), key)
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
		require.Equal(t, types.ImportRows{Processed: 1, Created: 1}, want[types.ImportEnvelope](t, http.StatusAccepted, again).Data.Rows)
		require.Equal(t, types.ErrorCodeIDEMPOTENCYMISMATCH, refused(t, http.StatusUnprocessableEntity, upload(two, digest(two), key)).Code)
	})
}
