package tests

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/spec"
	"github.com/campaigns-api/campaigns/gen/types"
)

// visit gives what anybody gets there, without a key.
func visit(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s: %s", url, body)
	return string(body)
}

func TestWhatIsBesideTheAPINeedsNoKey(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		require.Equal(t, "ok\n", visit(t, s.url+"/healthz"))
		require.Equal(t, "ready\n", visit(t, s.url+"/readyz"))
		require.Equal(t, string(spec.YAML), visit(t, s.url+"/openapi.yaml"))
		require.True(t, json.Valid([]byte(visit(t, s.url+"/openapi.json"))))
	})
}

func TestErrorsLeadToAPageAboutThem(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		e := want[types.ErrorEnvelope](t, http.StatusNotFound, read(s.tester().GetCampaign(t.Context(), "cmp_unknown")))
		path, here := strings.CutPrefix(e.Meta.DocsURL, publicURL)
		require.True(t, here, e.Meta.DocsURL)
		require.Contains(t, visit(t, s.url+path), "NOT_FOUND")
	})
}

func TestRequestKeepsItsCallersName(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		const path = "/v1/campaigns"
		require.Equal(t, "mine.1", a.do(http.MethodGet, path, "", "X-Request-Id: mine.1").header.Get("X-Request-Id"))
		for _, malformed := range []string{"", "two words", "<script>", strings.Repeat("x", 129)} {
			require.Regexp(t, `^req_`, a.do(http.MethodGet, path, "", "X-Request-Id: "+malformed).header.Get("X-Request-Id"), malformed)
		}
	})
}
