package server

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/oapi-codegen/nullable"
	"go.jetify.com/typeid/v2"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// call is what is known of one request beside its contents.
type call struct {
	requestID string
	scope     store.Scope  // set once the key is known
	store     *store.Store // within once: the one that takes part in its transaction
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return &call{requestID: newRequestID()} // only outside a request, as in a test of one handler
	}
	return c
}

// scope is whose data the request may touch.
func scope(ctx context.Context) store.Scope { return callOf(ctx).scope }

func newRequestID() string { return typeid.MustGenerate("req").String() }

// begin names the request, keeping the caller's own name if it is well-formed,
// and logs its end.
func (s *Server) begin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		k := &call{requestID: c.Request().Header.Get("X-Request-Id")}
		if !wellFormedRequestID(k.requestID) {
			k.requestID = newRequestID()
		}
		r := c.Request().WithContext(context.WithValue(c.Request().Context(), callKey{}, k))
		c.SetRequest(r)
		h := c.Response().Header()
		h.Set("X-Request-Id", k.requestID)
		h.Set("X-Content-Type-Options", "nosniff")
		c.Response().Before(func() { allowHead(h) })
		if err := next(c); err != nil {
			c.Error(err)
		}
		s.Log.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("request_id", k.requestID), slog.String("method", r.Method), slog.String("route", c.Path()),
			slog.Int("status", c.Response().Status), slog.Duration("took", time.Since(started)), slog.Int64("account", k.scope.Account))
		return nil
	}
}

// allowHead adds HEAD to what Echo says that a path takes, where that has GET.
func allowHead(h http.Header) {
	if allow := h.Get(echo.HeaderAllow); strings.Contains(allow, http.MethodGet) && !strings.Contains(allow, http.MethodHead) {
		h.Set(echo.HeaderAllow, allow+", "+http.MethodHead)
	}
}

// wellFormedRequestID is the contract's pattern for X-Request-Id.
func wellFormedRequestID(id string) bool {
	return id != "" && len(id) <= 128 && strings.Trim(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.:-") == "" &&
		!strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

func timestamp() time.Time { return time.Now().UTC().Truncate(time.Second) }

// meta is about one answer.
func meta(ctx context.Context) types.Meta {
	return types.Meta{RequestID: callOf(ctx).requestID, Timestamp: timestamp()}
}

// pageMeta is about one page; next is "" on the last.
func pageMeta(ctx context.Context, next string) types.PageMeta {
	m := types.PageMeta{RequestID: callOf(ctx).requestID, Timestamp: timestamp()}
	m.Pagination.Cursor = nullable.NewNullNullable[string]()
	if m.Pagination.HasMore = next != ""; m.Pagination.HasMore {
		m.Pagination.Cursor.Set(next)
	}
	return m
}

// page is what a listing was asked for.
func page(cursor *types.CursorQuery, limit *types.LimitQuery) store.Page {
	var p store.Page
	if cursor != nil {
		p.Cursor = *cursor
	}
	if limit != nil {
		p.Limit = *limit
	}
	return p
}

// wholeSeconds is how times go out: UTC, nothing finer.
func wholeSeconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func wholeSecondsIf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	w := wholeSeconds(*t)
	return &w
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
