package contract

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

const (
	goodKey    = "dv_test_sk_1"
	campaigns  = "/v1/campaigns"
	campaign1  = "/v1/campaigns/cmp_1"
	jsonType   = "application/json"
	specSource = "testdata/contract.yaml"
)

var errForbidden = echo.NewHTTPError(http.StatusForbidden, "not this key")

func loadSpec(t testing.TB) *openapi3.T {
	t.Helper()
	return loadFile(t, specSource)
}

func loadFile(t testing.TB, path string) *openapi3.T {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return parseSpec(t, string(data))
}

func parseSpec(t testing.TB, text string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	require.NoError(t, err)
	return doc
}

func compileSpec(t testing.TB) *Contract {
	t.Helper()
	c, err := Compile(loadSpec(t), Options{MaxBody: 1 << 20, Authorize: func(_ echo.Context, key string, _ []string) error {
		if key != goodKey {
			return errForbidden
		}
		return nil
	}})
	require.NoError(t, err)
	return c
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// newServer hangs the contract before a handler on every route of the test
// spec, as the generated server does. Whatever error comes back is kept.
func newServer(t testing.TB, handler echo.HandlerFunc) (e *echo.Echo, last *error) {
	t.Helper()
	e = echo.New()
	last = new(error)
	e.Binder = Binder{}
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		*last = err
		status := http.StatusInternalServerError
		var v *Violation
		var h *echo.HTTPError
		if errors.As(err, &v) {
			status = v.Status
		} else if errors.As(err, &h) {
			status = h.Code
		}
		_ = c.NoContent(status)
	}
	middlewares := compileSpec(t).Middlewares()
	for path, item := range loadSpec(t).Paths.Map() {
		for method, op := range item.Operations() {
			e.Add(method, pathParameter.ReplaceAllString(path, ":$1"), handler, middlewares[op.OperationID]...)
		}
	}
	return e, last
}

func ok(c echo.Context) error { return c.NoContent(http.StatusOK) }

// probe is one request. Headers are written "Name: value"; a name alone takes a
// default header away.
type probe struct {
	name    string
	method  string
	url     string
	body    string
	headers []string
}

func (p probe) request() *http.Request {
	method := p.method
	if method == "" {
		method = http.MethodPost
	}
	var body io.Reader
	if p.body != "" {
		body = strings.NewReader(p.body)
	}
	r := httptest.NewRequest(method, p.url, body)
	r.Header.Set("X-API-Key", goodKey)
	if p.body != "" {
		r.Header.Set("Content-Type", jsonType)
	}
	set := map[string]bool{}
	for _, h := range p.headers {
		name, value, given := strings.Cut(h, ": ")
		if !set[name] {
			r.Header.Del(name)
		}
		set[name] = true
		if given {
			r.Header.Add(name, value)
		}
	}
	return r
}

// send answers the status, and the violation if there is one.
func send(e *echo.Echo, last *error, r *http.Request) (int, *Violation) {
	*last = nil
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	var v *Violation
	_ = errors.As(*last, &v)
	return w.Code, v
}

// told are a violation's problems as "in field rule".
func told(v *Violation) []string {
	var list []string
	if v != nil {
		for _, p := range v.Problems {
			list = append(list, strings.Join(strings.Fields(p.In+" "+p.Field+" "+p.Rule), " "))
		}
	}
	return list
}

const validCampaign = `{"name":"Winter sale","channel":"email","description":"Winter is here",` +
	`"audience":{"type":"segment","segment_id":"seg_abc123"},"starts_at":"2026-12-01T08:00:00Z",` +
	`"reply_to":"shop@example.com","budget":{"amount":250000,"currency":"EUR"},` +
	`"tags":["winter","sale"],"metadata":{"owner":"growth","team":"crm"}}`

// with is the valid campaign with a piece replaced.
func with(t testing.TB, old, replacement string) string {
	t.Helper()
	require.Contains(t, validCampaign, old)
	return strings.Replace(validCampaign, old, replacement, 1)
}

// plus is the valid campaign with further members.
func plus(members string) string { return validCampaign[:len(validCampaign)-1] + "," + members + "}" }
