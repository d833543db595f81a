package tests

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// TestOneCallTooManyIsTold uses up what an operation allows: createImport, whose
// allowance comes back at one a second.
func TestOneCallTooManyIsTold(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		a, b := s.api(store.KeyOptions{Account: account}), s.api(store.KeyOptions{Account: account})
		limit := operations(t)["createImport"].Extensions["x-rate-limit"].(map[string]any)
		allowed, seconds := int(limit["requests"].(float64)), int(limit["seconds"].(float64))
		try := func(a *api) answer {
			return a.do(http.MethodPost, "/v1/imports", "x", "Content-Type: text/plain") // refused, and counted
		}
		began := time.Now()
		for n := range allowed {
			before := time.Now().Unix()
			got := try(a)
			after := time.Now().Unix()
			refused(t, http.StatusUnsupportedMediaType, got)
			require.Equal(t, strconv.Itoa(allowed), got.header.Get("X-RateLimit-Limit"))
			left, err := strconv.Atoi(got.header.Get("X-RateLimit-Remaining"))
			require.NoError(t, err)
			back := int(time.Since(began).Seconds() * float64(allowed) / float64(seconds))
			require.GreaterOrEqual(t, left, allowed-n-1)
			require.LessOrEqual(t, left, allowed-n-1+back+1)
			reset, err := strconv.ParseInt(got.header.Get("X-RateLimit-Reset"), 10, 64)
			require.NoError(t, err)
			missing := int64((allowed - left) * seconds / allowed) // in seconds; part of a call may be there already
			require.GreaterOrEqual(t, reset, before+missing-1)
			require.LessOrEqual(t, reset, after+missing+1)
		}
		var got answer
		eventually(t, func() bool { // what came back meanwhile is used up too
			got = try(a)
			return got.status == http.StatusTooManyRequests
		}, "the limit")
		require.Equal(t, types.ErrorCodeRATELIMITEXCEEDED, refused(t, http.StatusTooManyRequests, got).Code)
		require.Equal(t, "0", got.header.Get("X-RateLimit-Remaining"))
		require.Equal(t, "1", got.header.Get("Retry-After"))

		refused(t, http.StatusUnsupportedMediaType, try(b)) // another key
		want[types.ImportPage](t, http.StatusOK, read(a.ListImports(t.Context(), nil)))
		eventually(t, func() bool { return try(a).status == http.StatusUnsupportedMediaType }, "a call to come back")
	})
}

func TestWithoutAKeyNothingIsSaidOfLimits(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		got := newAPI(t, s.url, "dv_live_sk_your_key_here").do(http.MethodGet, "/v1/campaigns", "")
		refused(t, http.StatusUnauthorized, got)
		for name := range got.header {
			require.False(t, strings.HasPrefix(name, "X-Ratelimit"), name)
		}
	})
}
