package server_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/server"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// caller sends requests as an account of its own.
type caller struct {
	*testing.T
	handler http.Handler
	key     string
	store   *store.Store
}

func newCaller(t *testing.T) *caller {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+storetest.SQLitePath(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	a, err := s.CreateAccount(t.Context(), "Acme")
	require.NoError(t, err)
	key, _, err := s.CreateKey(t.Context(), store.KeyOptions{Account: a.ID, Mode: store.Test})
	require.NoError(t, err)
	h, err := server.New(server.Options{Store: s, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return &caller{T: t, handler: h, key: key, store: s}
}

// answer is what all answers have in common.
type answer struct {
	Data  json.RawMessage
	Error struct {
		Code   string
		Errors []struct{ Field, Code string }
	}
	Meta struct {
		Pagination struct {
			Cursor  *string
			HasMore bool `json:"has_more"`
		}
	}
	location string
}

// call sends a request, checks the answer's status and returns it.
func (c *caller) call(status int, method, path, body string) (a answer) {
	c.Helper()
	r := httptest.NewRequestWithContext(c.Context(), method, path, strings.NewReader(body))
	r.Header.Set("X-API-Key", c.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	require.Equal(c, status, w.Code, "%s %s: %s", method, path, w.Body)
	if w.Body.Len() > 0 {
		require.NoError(c, json.Unmarshal(w.Body.Bytes(), &a), w.Body.String())
	}
	a.location = w.Header().Get("Location")
	return a
}

// make creates something and returns its path.
func (c *caller) make(collection, body string) string {
	c.Helper()
	a := c.call(http.StatusCreated, http.MethodPost, collection, body)
	require.True(c, strings.HasPrefix(a.location, collection+"/"), a.location)
	return a.location
}

// requireData compares what an answer says with JSON, but for id and times.
func requireData(t *testing.T, want string, a answer) {
	t.Helper()
	var data map[string]any
	require.NoError(t, json.NewDecoder(bytes.NewReader(a.Data)).Decode(&data))
	for _, field := range []string{"id", "created_at", "updated_at"} {
		require.Contains(t, data, field)
		delete(data, field)
	}
	got, err := json.Marshal(data)
	require.NoError(t, err)
	require.JSONEq(t, want, string(got))
}

func idOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func TestContactOverHTTP(t *testing.T) {
	c := newCaller(t)
	path := c.make("/v1/contacts", `{"external_id": "1", "phone": "+12025550123", "email": "Ana@example.com", "first_name": "Ana",
		"tags": ["vip"], "attributes": {"plan": "gold", "age": 33, "newsletter": true}, "opted_out": ["viber"]}`)
	requireData(t, `{"external_id": "1", "phone": "+12025550123", "email": "ana@example.com", "first_name": "Ana",
		"tags": ["vip"], "attributes": {"plan": "gold", "age": 33, "newsletter": true}, "opted_out": ["viber"]}`, c.call(200, "GET", path, ""))

	requireData(t, `{"external_id": "1", "phone": "+12025550123", "last_name": "Sousa", "tags": [], "attributes": {"plan": "silver", "newsletter": true},
		"opted_out": ["viber"]}`, c.call(200, "PUT", path, `{"email": null, "first_name": null, "last_name": "Sousa", "tags": [],
		"attributes": {"plan": "silver", "age": null}}`))

	require.Contains(t, string(c.call(200, "POST", path+"/opt-out", `{"channels": ["sms", "email"]}`).Data), `"opted_out":["sms","viber","email"]`)
	require.Contains(t, string(c.call(200, "POST", path+"/opt-in", `{"channels": ["sms"]}`).Data), `"opted_out":["viber","email"]`)

	a := c.call(422, "POST", "/v1/contacts", `{"external_id": "1", "phone": "+12025550123"}`)
	require.Equal(t, store.CodeValidation, a.Error.Code)
	require.Len(t, a.Error.Errors, 2)
	a = c.call(422, "PUT", path, `{"phone": "+9990000000"}`)
	require.Equal(t, store.CodeInvalidPhone, a.Error.Code)
	require.Equal(t, store.CodeMissingField, c.call(422, "POST", "/v1/contacts", `{"first_name": "Ana"}`).Error.Code)

	c.make("/v1/contacts", `{"external_id": "2", "first_name": "ÖZGE"}`)
	var rows []map[string]any
	require.NoError(t, json.Unmarshal(c.call(200, "GET", "/v1/contacts?search=%C3%B6zg", "").Data, &rows))
	require.Len(t, rows, 1)
	a = c.call(200, "GET", "/v1/contacts?limit=1", "")
	require.True(t, a.Meta.Pagination.HasMore)
	a = c.call(200, "GET", "/v1/contacts?limit=1&cursor="+*a.Meta.Pagination.Cursor, "")
	require.Nil(t, a.Meta.Pagination.Cursor)
	require.Equal(t, store.CodeInvalidCursor, c.call(400, "GET", "/v1/contacts?cursor=x", "").Error.Code)

	c.call(204, "DELETE", path, "")
	c.call(404, "GET", path, "")
	c.call(404, "DELETE", path, "")
}

func TestListOverHTTP(t *testing.T) {
	c := newCaller(t)
	path := c.make("/v1/lists", `{"name": "Lisbon", "description": "Customers"}`)
	requireData(t, `{"name": "Lisbon", "description": "Customers"}`, c.call(200, "GET", path, ""))
	requireData(t, `{"name": "Porto"}`, c.call(200, "PUT", path, `{"name": "Porto", "description": null}`))
	require.Contains(t, string(c.call(200, "GET", "/v1/lists?search=port", "").Data), "Porto")

	contact := c.make("/v1/contacts", `{"external_id": "1"}`)
	ids := `{"contact_ids": ["` + idOf(contact) + `"]}`
	require.JSONEq(t, `{"added": 1, "already_members": 0}`, string(c.call(200, "POST", path+"/contacts", ids).Data))
	require.JSONEq(t, `{"added": 0, "already_members": 1}`, string(c.call(200, "POST", path+"/contacts", ids).Data))
	a := c.call(422, "POST", path+"/contacts", `{"contact_ids": ["con_x", "`+idOf(contact)+`", "con_y"]}`)
	require.Equal(t, "/contact_ids/2", a.Error.Errors[1].Field)
	require.Contains(t, string(c.call(200, "GET", path+"/contacts", "").Data), idOf(contact))

	c.call(204, "DELETE", path+"/contacts/"+idOf(contact), "")
	c.call(404, "DELETE", path+"/contacts/"+idOf(contact), "")
	c.call(204, "DELETE", path, "")
	c.call(404, "GET", path+"/contacts", "")
}

func TestSegmentOverHTTP(t *testing.T) {
	c := newCaller(t)
	c.make("/v1/contacts", `{"external_id": "1", "country": "PT", "tags": ["vip"], "attributes": {"age": 33, "trial": false}}`)
	c.make("/v1/contacts", `{"external_id": "2", "country": "ES", "opted_out": ["sms"]}`)

	const rule = `{"any": [{"all": [{"field": "country", "operator": "in", "values": ["PT", "ES"]}, {"tag": "vip", "operator": "has"},
		{"attribute": "age", "operator": "at_least", "value": 18}]}, {"not": {"attribute": "trial", "operator": "exists"}}]}`
	path := c.make("/v1/segments", `{"name": "Grown-ups", "rule": `+rule+`}`)
	requireData(t, `{"name": "Grown-ups", "rule": `+rule+`}`, c.call(200, "GET", path, ""))
	require.JSONEq(t, `{"count": 2}`, string(c.call(200, "GET", path+"/count", "").Data))

	const trial = `{"attribute": "trial", "operator": "equals", "value": false}`
	requireData(t, `{"name": "Old", "rule": `+trial+`}`, c.call(200, "PUT", path, `{"name": "Old", "rule": `+trial+`}`))
	require.Contains(t, string(c.call(200, "GET", path+"/contacts", "").Data), `"external_id":"1"`)
	require.Contains(t, string(c.call(200, "GET", "/v1/segments?search=OLD", "").Data), "trial")

	a := c.call(422, "POST", "/v1/segments", `{"name": "S", "rule": {"all": [{"field": "email", "operator": "at_least", "value": "a"},
		{"field": "opted_out", "operator": "has", "value": "fax"}]}}`)
	require.Equal(t, "/rule/all/0/operator", a.Error.Errors[0].Field)
	require.Equal(t, "/rule/all/1/value", a.Error.Errors[1].Field)
	c.call(204, "DELETE", path, "")
	c.call(404, "GET", path+"/count", "")
}

func TestTemplateOverHTTP(t *testing.T) {
	c := newCaller(t)
	path := c.make("/v1/templates", `{"name": "Spring", "channel": "email", "subject": "Hi {{first_name}}", "body": "<p>{{plan}}</p>", "content_type": "text/html"}`)
	requireData(t, `{"name": "Spring", "channel": "email", "subject": "Hi {{first_name}}", "body": "<p>{{plan}}</p>", "content_type": "text/html"}`,
		c.call(200, "GET", path, ""))
	requireData(t, `{"name": "May", "channel": "email", "body": "Hi", "content_type": "text/plain"}`,
		c.call(200, "PUT", path, `{"name": "May", "subject": null, "body": "Hi", "content_type": "text/plain"}`))
	c.make("/v1/templates", `{"name": "Spring", "channel": "sms", "body": "Hi"}`)
	require.NotContains(t, string(c.call(200, "GET", "/v1/templates?channel=sms", "").Data), "May")

	a := c.call(422, "PUT", path, `{"body": "Hi {{ first_name"}`)
	require.Equal(t, store.CodeInvalidTemplate, a.Error.Code)
	require.Equal(t, "/body", a.Error.Errors[0].Field)
	c.call(204, "DELETE", path, "")
	c.call(404, "PUT", path, `{"name": "x"}`)
}
