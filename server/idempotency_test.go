package server

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// newOnce hangs a handler that a test makes up behind once, on a database of its
// own, and gives what calls it with one Idempotency-Key.
func newOnce(t *testing.T, dsn string, handler echo.HandlerFunc) (s *Server, call func() *httptest.ResponseRecorder) {
	t.Helper()
	s = newServer(t, dsn)
	a, err := s.Store.CreateAccount(t.Context(), "Acme")
	require.NoError(t, err)
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.Pre(s.begin)
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.logPanic}))
	known := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			callOf(c.Request().Context()).scope = store.Scope{Account: a.ID, Mode: store.Test}
			return next(c)
		}
	}
	e.POST("/v1/lists", handler, known, s.once)
	return s, func() *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/lists", http.NoBody)
		r.Header.Set("Idempotency-Key", "once")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w
	}
}

// newServer is a server on a database of its own, without its routes.
func newServer(t *testing.T, dsn string) *Server {
	t.Helper()
	st, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	_, err = st.Migrate(t.Context())
	require.NoError(t, err)
	return &Server{Options: Options{Store: st, Log: slog.New(slog.DiscardHandler)}, keys: newKeyMemo(rememberedKeys)}
}

func TestFailureOfAHandlerIsToldAndNotKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		broken := []func() error{
			func() error { panic("a bug") },
			func() error { return errors.New("a bug") },
			func() error { return echo.ErrServiceUnavailable },
		}
		var s *Server
		s, call := newOnce(t, dsn, func(c echo.Context) error {
			ctx := c.Request().Context()
			_, err := s.store(ctx).CreateList(ctx, scope(ctx), store.List{Name: "Friends"})
			if err == nil && len(broken) > 0 {
				fail := broken[0]
				broken = broken[1:]
				err = fail()
			}
			if err != nil {
				return err
			}
			return c.NoContent(http.StatusNoContent)
		})
		for len(broken) > 0 {
			got := call()
			require.Equal(t, http.StatusInternalServerError, got.Code)
			require.Contains(t, got.Body.String(), codeInternal)
		}
		got := call()
		require.Equal(t, http.StatusNoContent, got.Code, got.Body)
		require.Empty(t, got.Header().Get("Idempotent-Replayed"))
		ls, _, err := s.Store.Lists(t.Context(), store.Scope{Account: 1, Mode: store.Test}, "", store.Page{})
		require.NoError(t, err)
		require.Len(t, ls, 1, "of what failed nothing stayed")
	})
}

func TestLargeAnswerIsRepeatedByteForByte(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		large := bytes.Repeat([]byte("\x00\xff<é>"), 1<<18)
		_, call := newOnce(t, dsn, func(c echo.Context) error { return c.Blob(http.StatusCreated, "application/x-all", large) })
		for _, replayed := range []string{"", "true"} {
			got := call()
			require.Equal(t, http.StatusCreated, got.Code)
			require.Equal(t, replayed, got.Header().Get("Idempotent-Replayed"))
			require.Equal(t, "application/x-all", got.Header().Get("Content-Type"))
			require.True(t, bytes.Equal(large, got.Body.Bytes()))
		}
	})
}
