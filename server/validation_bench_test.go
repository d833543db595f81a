package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/oapi-codegen/echo-middleware"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/spec"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/server/contract"
)

// BenchmarkValidation sends requests of the API's document through the generated
// server, with each of the validators that may stand before it. What comes
// behind it answers from memory. stock-3.0 and hardened run the document as if it
// were written in OpenAPI 3.0, which spares kin-openapi much. The making of the request and the recording of
// the answer are included; bare says what they cost, with nothing but Echo's
// routing between them.
func BenchmarkValidation(b *testing.B) {
	for _, r := range benchRequests {
		for _, s := range validated(b) {
			b.Run(r.name+"/"+s.name, func(b *testing.B) {
				want := r.status
				if r.invalid && s.refuses != 0 {
					want = s.refuses
				}
				require.Equal(b, want, r.send(s.handler))
				b.ReportAllocs()
				for b.Loop() {
					r.send(s.handler)
				}
			})
		}
	}
}

// BenchmarkValidationRatio is what a request that is validated costs as a
// multiple of one that is not. Both take turns, so that a machine busy with
// other things is busy for both; the median of the turns is told.
func BenchmarkValidationRatio(b *testing.B) {
	const turn = 50
	for _, r := range benchRequests {
		b.Run(r.name, func(b *testing.B) {
			without, with := strict(), contracted(b)
			var ratios []float64
			for b.Loop() {
				ratios = append(ratios, float64(r.takes(with, turn))/float64(r.takes(without, turn)))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "validated/unvalidated")
			b.ReportMetric(0, "ns/op") // of two servers and many requests: it says nothing
		})
	}
}

// benchRequest is one request and how it is answered unless it is refused.
type benchRequest struct {
	name, method, url, body string
	status                  int
	invalid                 bool
}

const campaignBody = `{"name":"Spring Promo 2026 by mail","channel":"email","list_id":"lst_abc123",` +
	`"subject":"Enjoy 20% off this spring","body":"Hi {{first_name}}, enjoy 20% off this spring!",` +
	`"sender":"Spring Shop <shop@example.com>","scheduled_at":"2026-03-15T09:00:00Z",` +
	`"metadata":{"season":"spring"},"throttle":{"messages_per_second":50}}`

var benchRequests = []benchRequest{
	{"create", http.MethodPost, "/v1/campaigns", campaignBody, http.StatusCreated, false},
	{"create-invalid", http.MethodPost, "/v1/campaigns", strings.Replace(campaignBody, `"throttle":{`, `"throttle":{"burst":1,`, 1), http.StatusCreated, true},
	{"list", http.MethodGet, "/v1/campaigns?limit=50&search=spring&status=draft&channel=email", "", http.StatusOK, false},
	{"get", http.MethodGet, "/v1/campaigns/cmp_abc123", "", http.StatusOK, false},
}

func (r *benchRequest) send(h http.Handler) (status int) {
	request, _ := http.NewRequestWithContext(context.Background(), r.method, r.url, strings.NewReader(r.body))
	request.Header["X-Api-Key"] = []string{"dv_test_sk_1"}
	if r.body == "" {
		request.Body = http.NoBody
	} else {
		request.Header["Content-Type"] = []string{echo.MIMEApplicationJSON}
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	return answer.Code
}

func (r *benchRequest) takes(h http.Handler, times int) time.Duration {
	began := time.Now()
	for range times {
		r.send(h)
	}
	return time.Since(began)
}

// candidate is a server to compare.
type candidate struct {
	name    string
	handler http.Handler
	refuses int // the status of what is invalid; 0: it takes everything
}

func validated(b *testing.B) []candidate {
	bare := echo.New()
	for _, path := range []string{"/v1/campaigns", "/v1/campaigns/:id"} {
		for _, r := range benchRequests {
			bare.Add(r.method, path, func(c echo.Context) error { return c.NoContent(r.status) })
		}
	}
	return []candidate{
		{"bare", bare, 0},
		{"strict", strict(), 0},
		{"contract", contracted(b), http.StatusUnprocessableEntity},
		{"stock", stock(loadDocument(b, "")), http.StatusBadRequest},
		{"stock-3.0", stock(loadDocument(b, "3.0.3")), http.StatusBadRequest},
		{"hardened", hardened(loadDocument(b, "3.0.3")), http.StatusUnprocessableEntity},
	}
}

func loadDocument(b *testing.B, readAs string) *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(spec.YAML)
	require.NoError(b, err)
	doc.Servers = nil // with which stock compares the host
	if readAs != "" {
		doc.OpenAPI = readAs // which kin checks without compiling each schema anew
	}
	return doc
}

// strict is the generated server alone: it decodes and encodes.
func strict(middlewares ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.Use(middlewares...)
	apiserver.RegisterHandlers(e, apiserver.NewStrictHandler(fromMemory{}, nil))
	return e
}

func contracted(b *testing.B) *echo.Echo {
	compiled, err := contract.Compile(loadDocument(b, ""), contract.Options{
		MaxBody: 1 << 20, Authorize: func(echo.Context, string, []string) error { return nil },
	})
	require.NoError(b, err)
	e := echo.New()
	e.Binder = contract.Binder{}
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		var v *contract.Violation
		if !errors.As(err, &v) {
			b.Fatal(err)
		}
		_ = c.JSON(v.Status, v.Problems)
	}
	apiserver.RegisterHandlersWithOptions(e, apiserver.NewStrictHandler(fromMemory{}, nil), apiserver.RegisterHandlersOptions{
		OperationMiddlewares: compiled.Middlewares(),
	})
	return e
}

// stock is the validator that oapi-codegen recommends.
func stock(doc *openapi3.T) *echo.Echo {
	return strict(echomiddleware.OapiRequestValidatorWithOptions(doc, &echomiddleware.Options{
		SilenceServersWarning: true,
		Options:               openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}))
}

// fromMemory answers three operations; the others are not called.
type fromMemory struct {
	apiserver.StrictServerInterface
}

var (
	benchTime     = time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	benchMeta     = types.Meta{RequestID: "req_01m85wje2xfq4acx5twz43x710", Timestamp: benchTime}
	benchCampaign = types.Campaign{
		ID: "cmp_abc123", Name: "Spring Promo 2026", Channel: types.ChannelEmail, Status: types.CampaignStatusDraft,
		AllowedActions: []types.CampaignAction{"update", "delete"}, Blockers: []types.Blocker{}, CreatedAt: benchTime, UpdatedAt: benchTime, Version: 1,
	}
)

func (fromMemory) CreateCampaign(_ context.Context, r apiserver.CreateCampaignRequestObject) (apiserver.CreateCampaignResponseObject, error) {
	c := benchCampaign
	c.Name, c.Body, c.ScheduledAt = r.Body.Name, r.Body.Body, r.Body.ScheduledAt
	return apiserver.CreateCampaign201JSONResponse{Body: types.CampaignEnvelope{Data: c, Meta: benchMeta}}, nil
}

func (fromMemory) ListCampaigns(context.Context, apiserver.ListCampaignsRequestObject) (apiserver.ListCampaignsResponseObject, error) {
	m := types.PageMeta{RequestID: benchMeta.RequestID, Timestamp: benchTime}
	m.Pagination.Cursor = nullable.NewNullNullable[string]()
	return apiserver.ListCampaigns200JSONResponse{Data: []types.Campaign{benchCampaign}, Meta: m}, nil
}

func (fromMemory) GetCampaign(context.Context, apiserver.GetCampaignRequestObject) (apiserver.GetCampaignResponseObject, error) {
	return apiserver.GetCampaign200JSONResponse{Body: types.CampaignEnvelope{Data: benchCampaign, Meta: benchMeta}}, nil
}
