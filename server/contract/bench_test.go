package contract

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

const benchList = campaigns + "?limit=50&status=draft&status=sent&created_after=2026-01-01T00:00:00Z&search=winter"

// BenchmarkRequest compares a route without any check, with the contract, and
// with the stock validator of kin-openapi (for a 3.1 document, and for the same
// read as 3.0), building of the request included.
func BenchmarkRequest(b *testing.B) {
	require.Greater(b, len(validCampaign), 300)
	invalid := strings.Replace(validCampaign, `"EUR"`, `"eur"`, 1)
	requests := []struct {
		name, method, url, body string
		status                  int
	}{
		{"post", http.MethodPost, campaigns, validCampaign, http.StatusOK},
		{"post-invalid", http.MethodPost, campaigns, invalid, http.StatusUnprocessableEntity},
		{"list", http.MethodGet, benchList, "", http.StatusOK},
		{"get", http.MethodGet, campaign1, "", http.StatusOK},
	}
	checked, _ := newServer(b, ok)
	for _, r := range requests {
		for _, server := range []struct {
			name    string
			handler http.Handler
			checks  bool
		}{
			{"bare", bareServer(), false},
			{"contract", checked, true},
			{"kin-3.0", kinServer(b, "3.0.3"), true},
			{"kin-3.1", kinServer(b, "3.1.1"), true},
		} {
			b.Run(r.name+"/"+server.name, func(b *testing.B) {
				b.ReportAllocs()
				want := http.StatusOK
				if server.checks {
					want = r.status
				}
				for b.Loop() {
					w := httptest.NewRecorder()
					server.handler.ServeHTTP(w, benchRequest(r.method, r.url, r.body))
					if w.Code != want {
						b.Fatalf("status %d, want %d", w.Code, want)
					}
				}
			})
		}
	}
}

func benchRequest(method, url, body string) *http.Request {
	r, _ := http.NewRequest(method, url, strings.NewReader(body))
	r.Header["X-Api-Key"] = []string{goodKey}
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header["Content-Type"] = []string{jsonType}
	}
	return r
}

func bareServer() *echo.Echo {
	e := echo.New()
	e.POST(campaigns, ok)
	e.GET(campaigns, ok)
	e.GET(campaigns+"/:id", ok)
	return e
}

// kinServer validates with openapi3filter, the route already known.
func kinServer(b *testing.B, version string) *echo.Echo {
	doc := loadSpec(b)
	doc.OpenAPI = version
	create := doc.Components.Schemas["CampaignCreate"].Value // of 3.1, kin also asks for read-only fields
	create.Required = slices.DeleteFunc(create.Required, func(name string) bool { return name == "id" })
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	e := echo.New()
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			route := &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
			e.Add(method, pathParameter.ReplaceAllString(path, ":$1"), func(c echo.Context) error {
				input := &openapi3filter.RequestValidationInput{
					Request: c.Request(), PathParams: map[string]string{"id": c.Param("id")}, Route: route, Options: options,
				}
				if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
					return c.NoContent(http.StatusUnprocessableEntity)
				}
				return ok(c)
			})
		}
	}
	return e
}
