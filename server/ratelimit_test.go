package server

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

// newTestLimiter allows so much of one operation, to the keys used last.
func newTestLimiter(t *testing.T, keys int, a allowance) (take func(key int64) (http.Header, error)) {
	t.Helper()
	buckets, err := lru.New[bucketID, *rate.Limiter](keys)
	require.NoError(t, err)
	l := &limiter{allowances: map[string]allowance{"GET /v1/lists": a}, buckets: buckets}
	e := echo.New()
	return func(key int64) (http.Header, error) {
		w := httptest.NewRecorder()
		c := e.NewContext(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/lists", nil), w)
		c.SetPath("/v1/lists")
		err := l.take(c, key)
		return w.Header(), err
	}
}

// TestLimitsAreToldToTheSecond uses up few calls that take long to come back.
func TestLimitsAreToldToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		take := newTestLimiter(t, 10, allowance{requests: 2, seconds: 7200})
		told := func(remaining string, full time.Duration) (http.Header, error) {
			h, err := take(1)
			require.Equal(t, "2", h.Get("X-RateLimit-Limit"))
			require.Equal(t, remaining, h.Get("X-RateLimit-Remaining"))
			require.Equal(t, strconv.FormatInt(time.Now().Add(full).Unix(), 10), h.Get("X-RateLimit-Reset"), "a whole second, not before all is back")
			return h, err
		}
		for i, remaining := range []string{"1", "0"} {
			_, err := told(remaining, time.Duration(i+1)*time.Hour)
			require.NoError(t, err)
		}
		h, err := told("0", 2*time.Hour)
		require.Error(t, err)
		require.Equal(t, "3600", h.Get("Retry-After"))
		pass(time.Hour - time.Second/2)
		h, err = told("0", time.Hour+time.Second) // and a half, of which the clock shows the one
		require.Error(t, err)
		require.Equal(t, "1", h.Get("Retry-After"), "never 0")
		pass(time.Second)
		_, err = take(1)
		require.NoError(t, err)
	})
}

func TestFirstCallsAtOnceShareOneAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		take := newTestLimiter(t, 10, allowance{requests: 3, seconds: 3600})
		var allowed atomic.Int32
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				if _, err := take(1); err == nil {
					allowed.Add(1)
				}
			})
		}
		callers.Wait()
		require.EqualValues(t, 3, allowed.Load())
		_, err := take(2)
		require.NoError(t, err, "another key")
	})
}

func TestForgottenKeyStartsAfresh(t *testing.T) {
	take := newTestLimiter(t, 2, allowance{requests: 1, seconds: 3600})
	for _, call := range []struct {
		key     int64
		allowed bool
	}{{1, true}, {1, false}, {2, true}, {1, false}, {3, true}, {2, true}} {
		_, err := take(call.key)
		require.Equal(t, call.allowed, err == nil, "key %d", call.key)
	}
}
