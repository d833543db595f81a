package tests

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/server"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
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

// TestEveryPostNeedsOneConnection lets the server have no second one: what waited
// for it within the transaction of a first would run into the deadline.
func TestEveryPostNeedsOneConnection(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		if u, err := url.Parse(dsn); err == nil && u.Scheme != "sqlite" { // which has one writer anyway
			q := u.Query()
			q.Set("pool_max_conns", "1")
			u.RawQuery = q.Encode()
			dsn = u.String()
		}
		st, err := store.Open(t.Context(), dsn)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, st.Close()) })
		_, err = st.Migrate(t.Context())
		require.NoError(t, err)
		h, err := server.New(server.Options{Store: st, Log: slog.New(slog.DiscardHandler), RateLimits: true})
		require.NoError(t, err)
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), patience)
			defer cancel()
			h.ServeHTTP(w, r.WithContext(ctx))
		}))
		t.Cleanup(web.Close)
		s := &inProcess{t, web.URL, st}
		const key = "Idempotency-Key: once"
		for id, op := range operations(t) {
			if op.method == http.MethodPost {
				a := s.tester()
				got := a.call(op, a.subjects()[op.Tags[0]], key)
				require.Less(t, got.status, http.StatusInternalServerError, "%s: %s", id, got.body)
			}
		}
		a := s.tester()
		list := a.audience()
		id := a.newCampaign(types.CampaignCreate{
			Name: "Spring", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi"), ScheduledAt: p(time.Now().Add(time.Hour)),
		}).ID
		for _, verb := range []string{"schedule", "send", "pause", "resume", "cancel"} {
			want[any](t, http.StatusOK, a.do(http.MethodPost, "/v1/campaigns/"+id+"/"+verb, "", key))
		}
	})
}

// TestRepeatIsAnsweredWhateverIfMatchSays: what was sent once is answered as it
// was, though the campaign is another by now; so is what If-Match kept from it.
func TestRepeatIsAnsweredWhateverIfMatchSays(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		list := a.audience()
		id := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi")}).ID
		send := func(headers ...string) answer {
			return a.do(http.MethodPost, "/v1/campaigns/"+id+"/send", "", headers...)
		}
		stale := send("Idempotency-Key: one", `If-Match: "7"`)
		refused(t, http.StatusPreconditionFailed, stale)
		sent := send("Idempotency-Key: two", `If-Match: "1"`)
		want[types.SentCampaignEnvelope](t, http.StatusOK, sent)
		for key, first := range map[string]answer{"one": stale, "two": sent} {
			for _, condition := range []string{`"1"`, `"7"`, "*"} {
				again := send("Idempotency-Key: "+key, "If-Match: "+condition)
				require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
				require.Equal(t, first.status, again.status)
				require.Equal(t, string(first.body), string(again.body))
				require.Equal(t, first.header.Get("ETag"), again.header.Get("ETag"))
			}
		}
		require.Equal(t, types.ErrorCodeINVALIDSTATE, refused(t, http.StatusConflict, send("Idempotency-Key: three")).Code)
	})
}

func TestKeysOfAnAccountAndModeShareTheirRepeats(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		create := func(o store.KeyOptions) answer {
			return s.api(o).do(http.MethodPost, "/v1/lists", `{"name":"Friends"}`, "Idempotency-Key: once")
		}
		first := create(store.KeyOptions{Account: account, Mode: store.Test})
		again := create(store.KeyOptions{Account: account, Mode: store.Test, Scopes: []string{"audience:write"}})
		require.Equal(t, string(first.body), string(again.body))
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
		for _, apart := range []store.KeyOptions{{Account: account, Mode: store.Live}, {Account: s.account("Rival"), Mode: store.Test}} {
			other := create(apart)
			want[types.ListEnvelope](t, http.StatusCreated, other)
			require.Empty(t, other.header.Get("Idempotent-Replayed"))
		}
		refused(t, http.StatusForbidden, create(store.KeyOptions{Account: account, Mode: store.Test, Scopes: store.ReadScopes}))
	})
}

// TestOtherMethodsHeedNoIdempotencyKey: they are safe to repeat as they are.
func TestOtherMethodsHeedNoIdempotencyKey(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		path := "/v1/lists/" + a.newList("Friends").ID
		for _, name := range []string{"Foes", "Friends", "Foes"} {
			got := a.do(http.MethodPut, path, `{"name":"`+name+`"}`, "Idempotency-Key: once")
			require.Equal(t, name, want[types.ListEnvelope](t, http.StatusOK, got).Data.Name)
			got = a.do(http.MethodGet, path, "", "Idempotency-Key: once")
			require.Equal(t, name, want[types.ListEnvelope](t, http.StatusOK, got).Data.Name)
		}
		gone(t, a.do(http.MethodDelete, path, "", "Idempotency-Key: once"))
		refused(t, http.StatusNotFound, a.do(http.MethodDelete, path, "", "Idempotency-Key: once"))
	})
}

// TestRefusalsAreTheSameWithAKey compares what a rule of the store, or the
// database itself, refuses.
func TestRefusalsAreTheSameWithAKey(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		a.newContact(types.ContactCreate{Phone: p("+12025550120")})
		list, campaign := a.newList("Friends").ID, a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS}).ID
		for path, body := range map[string]string{
			"/v1/contacts":                          `{"phone":"+12025550120"}`,
			"/v1/lists":                             `{"name":" "}`,
			"/v1/lists/" + list + "/contacts":       `{"contact_ids":["con_none"]}`,
			"/v1/lists/lst_none/contacts":           `{"contact_ids":["con_none"]}`,
			"/v1/contacts/con_none/opt-out":         `{"channels":["sms"]}`,
			"/v1/templates":                         `{"name":"Spring","channel":"sms","body":"{{"}`,
			"/v1/campaigns":                         `{"name":"Spring","channel":"sms","body":"{{"}`,
			"/v1/campaigns/" + campaign + "/send":   "",
			"/v1/campaigns/" + campaign + "/pause":  "",
			"/v1/campaigns/cmp_none/send":           "",
			"/v1/campaigns/" + campaign + "/cancel": "",
		} {
			plain := a.do(http.MethodPost, path, body)
			e := refused(t, plain.status, plain)
			require.GreaterOrEqual(t, plain.status, http.StatusBadRequest, path)
			for range 2 {
				require.Equal(t, e, refused(t, plain.status, a.do(http.MethodPost, path, body, "Idempotency-Key: once")), path)
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
