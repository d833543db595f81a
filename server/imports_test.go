package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

// upload sends a file and returns the answer's status and body.
func (c *caller) upload(contentType, path string, file io.Reader) (int, string) {
	c.Helper()
	r := httptest.NewRequestWithContext(c.Context(), http.MethodPost, path, file)
	r.Header.Set("X-API-Key", c.key)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// work applies the one import that there is.
func (c *caller) work() {
	c.Helper()
	k, err := c.store.ClaimImport(c.Context(), store.Scope{}, time.Minute)
	require.NoError(c, err)
	require.NotNil(c, k)
	for done := false; !done; {
		done, err = c.store.ApplyPart(c.Context(), k)
		require.NoError(c, err)
	}
}

func TestImportOverHTTP(t *testing.T) {
	c := newCaller(t)
	list := c.make("/v1/lists", `{"name": "Lisbon"}`)
	file := "external_id,phone,email,first_name,tags,attributes.plan\n" +
		"customer-1001,+12025550123,ana@example.com,Ana,vip|lisbon,gold\n" +
		"customer-1002,12,,Ben,,\n" +
		",,cleo@example.com,Cleo,,trial\n"
	status, body := c.upload("Text/CSV; charset=UTF-8", "/v1/imports?list_id="+idOf(list), strings.NewReader(file))
	require.Equal(t, http.StatusAccepted, status, body)
	var pending struct {
		Data struct {
			ID, Status, Format string
			ListID             string `json:"list_id"`
			Bytes              int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &pending))
	require.Equal(t, "pending", pending.Data.Status)
	require.Equal(t, "csv", pending.Data.Format)
	require.Equal(t, idOf(list), pending.Data.ListID)
	require.Len(t, file, pending.Data.Bytes)

	c.work()
	path := "/v1/imports/" + pending.Data.ID
	done := string(c.call(200, "GET", path, "").Data)
	require.Contains(t, done, `"status":"completed"`)
	require.Contains(t, done, `"rows":{"created":2,"failed":1,"processed":3,"updated":0}`)
	require.Contains(t, done, `"completed_at":`)
	require.Contains(t, string(c.call(200, "GET", "/v1/imports", "").Data), pending.Data.ID)

	var faults []map[string]any
	require.NoError(t, json.Unmarshal(c.call(200, "GET", path+"/errors", "").Data, &faults))
	require.Len(t, faults, 1)
	require.EqualValues(t, 3, faults[0]["line"])
	require.Equal(t, "phone", faults[0]["field"])
	require.Equal(t, store.CodeInvalidPhone, faults[0]["code"])

	var members []map[string]any
	require.NoError(t, json.Unmarshal(c.call(200, "GET", list+"/contacts", "").Data, &members))
	require.Len(t, members, 2)
}

func TestImportFieldsAreNamedAsColumnsAre(t *testing.T) {
	c := newCaller(t)
	status, body := c.upload("application/x-ndjson", "/v1/imports", strings.NewReader(`{"email":"ana@example.com","attributes":{"plan":[]}}`))
	require.Equal(t, http.StatusAccepted, status, body)
	c.work()
	var ims []struct{ ID string }
	require.NoError(t, json.Unmarshal(c.call(200, "GET", "/v1/imports", "").Data, &ims))
	require.Contains(t, string(c.call(200, "GET", "/v1/imports/"+ims[0].ID+"/errors", "").Data), `"field":"attributes.plan"`)
}

func TestRefusedImportIsNotKept(t *testing.T) {
	c := newCaller(t)
	for _, x := range []struct {
		contentType, path string
		file              io.Reader
		status            int
		says              string
	}{
		{"text/csv", "/v1/imports?list_id=lst_abc123", strings.NewReader("email\n"), 404, "NOT_FOUND"},
		{"text/csv", "/v1/imports", strings.NewReader("telephone,email,email\n1,2,3\n"), 422, "/columns/telephone"},
		{"text/csv", "/v1/imports", strings.NewReader("telephone\n"), 422, "VALIDATION_ERROR"},
		{"text/csv", "/v1/imports", strings.NewReader("first_name\n"), 422, "MISSING_REQUIRED_FIELD"},
		{"application/json", "/v1/imports", strings.NewReader("{}"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"text/csv; charset=utf-16", "/v1/imports", strings.NewReader("email\n"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"text/csv", "/v1/imports", io.MultiReader(strings.NewReader("email\n"), iotest.ErrReader(errors.New("reset"))), 400, "VALIDATION_ERROR"},
	} {
		status, body := c.upload(x.contentType, x.path, x.file)
		require.Equal(t, x.status, status, body)
		require.Contains(t, body, x.says)
	}
	require.JSONEq(t, `[]`, string(c.call(200, "GET", "/v1/imports", "").Data))
	c.call(404, "GET", "/v1/imports/imp_abc123", "")
	c.call(404, "GET", "/v1/imports/imp_abc123/errors", "")
}
