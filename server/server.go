// Package server answers the HTTP API: it hangs the validator and hand-written
// handlers on the routes that openapi.yaml generates, and translates between
// the contract's words and the store's. It knows no SQL and no carrier; what is
// true of a campaign is decided in store.
//
//	HTTP → request id, log, recover → validator (key, rate limit, scope, every part
//	of the request) → idempotency → generated strict stub → handler → store → envelope
package server

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/spec"
	"github.com/campaigns-api/campaigns/server/contract"
	"github.com/campaigns-api/campaigns/store"
)

// DemoKey is the key of the account that development mode makes. Everybody knows
// it, so a server outside development mode refuses it whatever its database says.
const DemoKey = "dv_test_sk_demo"

// Options is what a Server is made of.
type Options struct {
	Store       *store.Store
	Log         *slog.Logger
	PublicURL   string // where the world reaches this server, without a slash at the end
	Development bool   // accept DemoKey
	RateLimits  bool   // hold each key to the operations' x-rate-limit

	// AllowedOrigins are the web origins whose pages may call the API, such as
	// https://app.example.com; * is any. Without one, browsers keep pages of
	// other origins out.
	AllowedOrigins []string

	// ReceiptSecrets are the signing secrets of those carriers that send
	// receipts, by the carrier's name.
	ReceiptSecrets map[string]string
}

// Server implements every operation of the contract.
type Server struct {
	Options
	keys   *keyMemo
	limits *limiter // nil for none
}

var _ apiserver.StrictServerInterface = (*Server)(nil)

// maxJSONBody is the contract's limit for JSON bodies.
const maxJSONBody = 1 << 20

// New compiles the contract and returns the handler that answers it.
func New(o Options) (http.Handler, error) {
	e, err := routes(o)
	if err != nil {
		return nil, err
	}
	compress, err := gzhttp.NewWrapper()
	if err != nil {
		return nil, fmt.Errorf("set up gzip: %w", err)
	}
	return compress(headAsGet(e)), nil
}

// routes is everything that is served: the operations of the contract with the
// checks compiled from it, and what is beside them.
func routes(o Options) (*echo.Echo, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec.YAML)
	if err != nil {
		return nil, fmt.Errorf("load openapi.yaml: %w", err)
	}
	s := &Server{Options: o, keys: newKeyMemo(rememberedKeys)}
	if o.RateLimits {
		if s.limits, err = newLimiter(doc); err != nil {
			return nil, fmt.Errorf("read the rate limits of openapi.yaml: %w", err)
		}
	}
	checks, err := contract.Compile(doc, contract.Options{MaxBody: maxJSONBody, Authorize: s.authorize})
	if err != nil {
		return nil, fmt.Errorf("compile openapi.yaml: %w", err)
	}
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.Binder = contract.Binder{}
	e.IPExtractor = echo.ExtractIPDirect()
	e.Pre(plainPath, s.begin)
	if len(o.AllowedOrigins) > 0 {
		e.Use(middleware.CORSWithConfig(crossOrigin(o.AllowedOrigins)))
	}
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.logPanic}), noDetour(doc))
	apiserver.RegisterHandlersWithOptions(e, apiserver.NewStrictHandler(s, nil), apiserver.RegisterHandlersOptions{
		OperationMiddlewares: s.middlewares(doc, checks),
	})
	return e, s.routeBeside(e, doc)
}

// headAsGet answers HEAD as the GET whose body net/http, which knows the method
// as it came, keeps back.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			get := *r
			get.Method = http.MethodGet
			r = &get
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin lets pages of these origins use every header of the contract.
func crossOrigin(origins []string) middleware.CORSConfig {
	return middleware.CORSConfig{
		AllowOrigins: origins,
		AllowHeaders: []string{"X-API-Key", "Authorization", "Content-Type", "Content-Digest", "Idempotency-Key", "If-Match", "X-Request-Id"},
		ExposeHeaders: []string{
			"ETag", "Idempotent-Replayed", "Location", "Retry-After", "X-Orbit-Env", "X-Request-Id",
			"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
		},
		MaxAge: 600, // seconds that a browser may remember this
	}
}

// middlewares are those of each operation, by operationId.
func (s *Server) middlewares(doc *openapi3.T, checks *contract.Contract) map[string][]echo.MiddlewareFunc {
	all := checks.Middlewares()
	for _, item := range doc.Paths.Map() {
		if op := item.Post; op != nil && op.OperationID != streamed {
			all[op.OperationID] = append(all[op.OperationID], s.once)
		}
	}
	return all
}

// streamed is the operation whose body is not held in memory; it keeps its
// answer itself.
const streamed = "createImport"

// plainPath makes the contract's paths of those under /api and of those with a
// slash at the end.
func plainPath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		u.Path, u.RawPath = plain(u.Path), plain(u.RawPath)
		return next(c)
	}
}

func plain(path string) string {
	if rest, ok := strings.CutPrefix(path, "/api/"); ok {
		path = "/" + rest
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// noDetour answers 405 where the router, finding a path without the method asked
// for, goes on to one whose parameter fits as well: PUT /v1/campaigns/stats is no
// update of a campaign "stats".
func noDetour(doc *openapi3.T) echo.MiddlewareFunc {
	methods := map[string]string{} // of the paths that have no parameters
	for path, item := range doc.Paths.Map() {
		if !strings.Contains(path, "{") {
			methods[path] = strings.Join(append([]string{http.MethodOptions}, slices.Sorted(maps.Keys(item.Operations()))...), ", ")
		}
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			path := echo.GetPath(c.Request())
			if allowed, exact := methods[path]; exact && c.Path() != path {
				c.Response().Header().Set(echo.HeaderAllow, allowed)
				return echo.ErrMethodNotAllowed
			}
			return next(c)
		}
	}
}

// logPanic records a panic; what it returns is written by fail as any other
// error of ours.
func (s *Server) logPanic(c echo.Context, err error, stack []byte) error {
	s.Log.ErrorContext(c.Request().Context(), "panic", "request_id", callOf(c.Request().Context()).requestID, "error", err, "stack", string(stack))
	return err
}
