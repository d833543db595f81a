package tests

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/client"
	"github.com/campaigns-api/campaigns/gen/types"
)

// patience is how long a test waits for something that has to happen: long
// enough for a machine with much else to do, as it costs nothing otherwise.
const patience = 90 * time.Second

// api is the generated client with one key, whose answers are all checked.
type api struct {
	*client.Client
	t      *testing.T
	url    string
	key    string
	people int // made up so far, see someone
}

func newAPI(t *testing.T, url, key string) *api {
	t.Helper()
	withKey := func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-API-Key", key)
		return nil
	}
	c, err := client.NewClient(url, client.WithHTTPClient(&http.Client{Transport: &checkedTransport{t: t}}), client.WithRequestEditorFn(withKey))
	require.NoError(t, err)
	return &api{Client: c, t: t, url: url, key: key}
}

// answer is one, read to its end.
type answer struct {
	to     string // method and address of the request
	status int
	header http.Header
	body   []byte
	err    error // instead of all else
}

// read takes what the generated client's calls return.
func read(res *http.Response, err error) answer {
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.Request.Method + " " + res.Request.URL.String(), res.StatusCode, res.Header, body, err}
}

// want fails the test unless the answer has the status; T is its envelope.
//
//	c := want[types.CampaignEnvelope](t, http.StatusCreated, read(a.CreateCampaign(t.Context(), campaign))).Data
func want[T any](t *testing.T, status int, got answer) (envelope T) {
	t.Helper()
	require.NoError(t, got.err)
	require.Equal(t, status, got.status, "%s: %s", got.to, got.body)
	if status != http.StatusNoContent {
		require.NoError(t, json.Unmarshal(got.body, &envelope))
	}
	return envelope
}

// gone wants the answer of a call that deletes.
func gone(t *testing.T, got answer) {
	t.Helper()
	want[any](t, http.StatusNoContent, got)
}

// refused wants an error.
func refused(t *testing.T, status int, got answer) types.Error {
	t.Helper()
	return want[types.ErrorEnvelope](t, status, got).Error
}

// do makes a request that the generated client would not: broken, or as somebody
// else writes it. Headers come as "Name: value" and replace the key's.
func (a *api) do(method, path, body string, headers ...string) answer {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	require.NoError(a.t, err)
	r.Header.Set("X-API-Key", a.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return read(a.Client.Client.Do(r))
}

// p is a pointer to a value that has no name.
func p[T any](v T) *T { return &v }

// all reads a listing to its end.
func all[T any](t *testing.T, get func(cursor *types.Cursor) ([]T, types.Pagination)) (rows []T) {
	t.Helper()
	var cursor *types.Cursor
	for {
		page, next := get(cursor)
		rows = append(rows, page...)
		require.Equal(t, next.HasMore, !next.Cursor.IsNull())
		if !next.HasMore {
			return rows
		}
		require.NotEmpty(t, page, "a page with a next one has rows")
		cursor = p(next.Cursor.MustGet())
	}
}

func (a *api) campaign(id string) types.Campaign {
	a.t.Helper()
	return want[types.CampaignEnvelope](a.t, http.StatusOK, read(a.GetCampaign(a.t.Context(), id))).Data
}

func (a *api) newCampaign(c types.CampaignCreate) types.Campaign {
	a.t.Helper()
	return want[types.CampaignEnvelope](a.t, http.StatusCreated, read(a.CreateCampaign(a.t.Context(), c))).Data
}

func (a *api) send(id string) {
	a.t.Helper()
	want[types.SentCampaignEnvelope](a.t, http.StatusOK, read(a.SendCampaign(a.t.Context(), id)))
}

// sendWhenReady sends once nothing stands in the way: a worker that has just
// started makes its channels known a moment later.
func (a *api) sendWhenReady(id string) {
	a.t.Helper()
	eventually(a.t, func() bool { return len(a.campaign(id).Blockers) == 0 }, "the campaign to have no blockers")
	a.send(id)
}

func (a *api) statistics() types.Statistics {
	a.t.Helper()
	return want[types.StatisticsEnvelope](a.t, http.StatusOK, read(a.GetCampaignStatistics(a.t.Context(), nil))).Data
}

func (a *api) newContact(c types.ContactCreate) types.Contact {
	a.t.Helper()
	return want[types.ContactEnvelope](a.t, http.StatusCreated, read(a.CreateContact(a.t.Context(), c))).Data
}

func (a *api) contact(id string) types.Contact {
	a.t.Helper()
	return want[types.ContactEnvelope](a.t, http.StatusOK, read(a.GetContact(a.t.Context(), id))).Data
}

// newList makes a list with these contacts in it.
func (a *api) newList(name string, contacts ...string) types.List {
	a.t.Helper()
	l := want[types.ListEnvelope](a.t, http.StatusCreated, read(a.CreateList(a.t.Context(), types.ListCreate{Name: name}))).Data
	if len(contacts) > 0 {
		want[types.AddedMembersEnvelope](a.t, http.StatusOK, read(a.AddListContacts(a.t.Context(), l.ID, types.ListMembers{ContactIds: contacts})))
	}
	return l
}

func (a *api) newSegment(name string, rule types.Rule) types.Segment {
	a.t.Helper()
	return want[types.SegmentEnvelope](a.t, http.StatusCreated, read(a.CreateSegment(a.t.Context(), types.SegmentCreate{Name: name, Rule: rule}))).Data
}

func (a *api) newTemplate(name string, channel types.Channel) types.Template {
	a.t.Helper()
	return want[types.TemplateEnvelope](a.t, http.StatusCreated, read(a.CreateTemplate(a.t.Context(), types.TemplateCreate{Name: name, Channel: channel, Body: "Hi"}))).Data
}

// messages is the campaign's whole ledger, of one status if one is given.
func (a *api) messages(id string, status *types.MessageStatus) []types.Message {
	a.t.Helper()
	return all(a.t, func(cursor *types.Cursor) ([]types.Message, types.Pagination) {
		page := want[types.MessagePage](a.t, http.StatusOK, read(a.ListCampaignMessages(a.t.Context(), id,
			&types.ListCampaignMessagesParams{Cursor: cursor, Limit: p(100), Status: status})))
		return page.Data, page.Meta.Pagination
	})
}

// contacts is everybody, or those whose name or address has the text.
func (a *api) contacts(search string) []types.Contact {
	a.t.Helper()
	return all(a.t, func(cursor *types.Cursor) ([]types.Contact, types.Pagination) {
		page := want[types.ContactPage](a.t, http.StatusOK, read(a.ListContacts(a.t.Context(),
			&types.ListContactsParams{Cursor: cursor, Limit: p(100), Search: &search})))
		return page.Data, page.Meta.Pagination
	})
}

// await polls the campaign until the condition holds.
func (a *api) await(id string, condition func(types.Campaign) bool) (c types.Campaign) {
	a.t.Helper()
	began := time.Now()
	eventually(a.t, func() bool {
		c = a.campaign(id)
		requireAddsUp(a.t, c)
		return condition(c)
	}, "the campaign's progress")
	a.t.Logf("campaign %q is %s after %v", c.Name, c.Status, time.Since(began).Round(time.Millisecond))
	return c
}

// eventually polls until the condition holds. Unlike require.Eventually it asks
// in the test's own goroutine, so that the condition may fail the test.
func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); !condition(); <-again.C {
		require.True(t, time.Now().Before(end), "waited in vain for %s", what)
	}
}
