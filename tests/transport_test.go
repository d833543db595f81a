package tests

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/campaigns-api/campaigns/gen/spec"
)

// checkedTransport is that of every client here: it holds each answer to the
// document, declared status and all, and fails the test for one that breaks it.
// What it saw stands in produced.
type checkedTransport struct {
	t    *testing.T
	over http.RoundTripper // nil for the usual one
}

// RoundTrip passes the answer on whatever it is.
func (c *checkedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	over := c.over
	if over == nil {
		over = http.DefaultTransport
	}
	res, err := over.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err := check(res, body); err != nil {
		c.t.Errorf("%s %s: %d: %v\n%s", r.Method, r.URL, res.StatusCode, err, body)
	}
	return res, nil
}

// check holds an answer to all that it has to be.
func check(res *http.Response, body []byte) error {
	if res.Header.Get("Content-Encoding") == "gzip" {
		unpack, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		if body, err = io.ReadAll(unpack); err != nil {
			return err
		}
	}
	switch {
	case res.Header.Get("X-Request-Id") == "":
		return errors.New("no X-Request-Id")
	case !strings.HasPrefix(plainPath(res.Request), "/v1/"):
		return nil // beside the API
	case res.Request.Method == http.MethodOptions && res.StatusCode == http.StatusNoContent:
		return nil // of a path, not of an operation
	case res.Request.Method == http.MethodHead:
		return ofDocument(res, nil)
	}
	return errors.Join(ofDocument(res, body), ofEnvelope(res, body))
}

// plainPath is the path as the document writes it; a%2Fb is one step of it.
func plainPath(r *http.Request) string {
	return strings.TrimSuffix(strings.TrimPrefix(r.URL.EscapedPath(), "/api"), "/")
}

// routed is the document made fit for checking answers with it.
var routed = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec.YAML) // its own copy: it is changed below
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // paths are matched, hosts are not
	router, err := legacy.NewRouter(doc)
	// The library compiles each schema of a 3.1 document anew for each answer;
	// what it does for 3.0 holds for what we use of 3.1 and is fifty times as fast.
	doc.OpenAPI = "3.0.3"
	return router, err
})

// ofDocument holds an answer to its operation, that to a HEAD to the headers of
// the GET. On a path that the document does not know only an error may come.
func ofDocument(res *http.Response, body []byte) error {
	router, err := routed()
	if err != nil {
		return err
	}
	request := res.Request.Clone(res.Request.Context())
	request.URL.Path = plainPath(request)
	head := request.Method == http.MethodHead
	if head {
		request.Method = http.MethodGet
	}
	route, params, err := router.FindRoute(request)
	if err != nil || undeclared(request, route) {
		if res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusMethodNotAllowed {
			return errors.New("the document knows no such operation")
		}
		if head {
			return nil
		}
		return ofErrorSchema(body)
	}
	if res.StatusCode < 500 && res.StatusCode != http.StatusUnauthorized && res.Header.Get("X-RateLimit-Remaining") == "" {
		return errors.New("an answer to a key does not say how often it may call")
	}
	if !head {
		produced.note(route.Operation.OperationID, res.StatusCode)
	}
	return openapi3filter.ValidateResponse(request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: head},
	})
}

// undeclared says whether the document has the very path and not the method. The
// library's router then goes on to another path that fits as well in its eyes: one
// with a parameter, or with a part more.
func undeclared(r *http.Request, found *routers.Route) bool {
	doc, err := loaded()
	if err != nil || strings.Count(found.Path, "/") != strings.Count(r.URL.Path, "/") {
		return true
	}
	path := doc.Paths.Value(r.URL.Path)
	return path != nil && path.GetOperation(r.Method) == nil
}

func ofErrorSchema(body []byte) error {
	doc, err := loaded()
	if err != nil {
		return err
	}
	var answer any
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	return doc.Components.Schemas["ErrorEnvelope"].Value.VisitJSON(answer)
}

var (
	timeField  = regexp.MustCompile(`"(?:[a-z_]+_at|timestamp)":"([^"]*)"`)
	wholeInUTC = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
)

// ofEnvelope holds an answer to what every answer promises and no schema says.
func ofEnvelope(res *http.Response, body []byte) error {
	if res.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := ofMeta(res, body); err != nil {
		return err
	}
	for _, found := range timeField.FindAllSubmatch(body, -1) {
		if !wholeInUTC.Match(found[1]) {
			return fmt.Errorf("%s is not a time in UTC of whole seconds", found[0])
		}
	}
	return nil
}

// ofMeta holds the request's name and the status in a body to those of the answer;
// one that is given again has the name of its first request.
func ofMeta(res *http.Response, body []byte) error {
	var answer struct {
		Error     *struct{ Status int }
		Status    int    // of a problem
		RequestID string `json:"request_id"` // likewise
		Meta      struct {
			RequestID string `json:"request_id"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	named, status := answer.Meta.RequestID, 0
	switch {
	case strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json"):
		named, status = answer.RequestID, answer.Status
	case answer.Error != nil:
		status = answer.Error.Status
	}
	if id := res.Header.Get("X-Request-Id"); named != id && res.Header.Get("Idempotent-Replayed") != "true" {
		return fmt.Errorf("the body names the request %q, the header %q", named, id)
	}
	if (status != 0) != (res.StatusCode >= 400) || status != 0 && status != res.StatusCode {
		return errors.New("the status and the error do not agree")
	}
	return nil
}
