package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/campaigns-api/campaigns/gen/spec"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
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

func TestDocumentsAreSentAnewOnlyWhenTheyChanged(t *testing.T) {
	t.Parallel()
	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	src := scriptInPage.FindStringSubmatch(visit(t, s.url+"/docs"))
	for _, path := range []string{"openapi.yaml", "openapi.json", "docs", "docs/reference.js", "docs/errors", "docs/errors/NOT_FOUND", src[1]} {
		first := plainly(t, http.MethodGet, s.url+"/"+path)
		tag := first.header.Get("ETag")
		require.Regexp(t, `^(W/)?"[0-9a-f]+"$`, tag, path)
		strong := strings.TrimPrefix(tag, "W/")
		for _, has := range [][]string{{tag}, {strong}, {"W/" + strong}, {"*"}, {`"other", ` + tag}, {`"other",W/` + strong + ` , "another"`}, {`"other"`, tag}} {
			again := plainly(t, http.MethodGet, s.url+"/"+path, headersOf("If-None-Match", has)...)
			require.Equal(t, http.StatusNotModified, again.status, "%s: %q", path, has)
			require.Empty(t, again.body)
			require.Equal(t, tag, again.header.Get("ETag"))
		}
		for _, has := range [][]string{{}, {`"other"`}, {strings.Trim(tag, `"`)}, {`"other, ` + tag[1:]}, {""}} {
			again := plainly(t, http.MethodGet, s.url+"/"+path, headersOf("If-None-Match", has)...)
			require.Equal(t, http.StatusOK, again.status, "%s: %q", path, has)
			require.Equal(t, first.body, again.body)
		}
	}
}

func headersOf(name string, values []string) []string {
	var all []string
	for _, v := range values {
		all = append(all, name+": "+v)
	}
	return all
}

// TestJSONDocumentIsTheYAMLOneInItsOrder compares both as what YAML makes of them:
// all JSON is YAML.
func TestJSONDocumentIsTheYAMLOneInItsOrder(t *testing.T) {
	t.Parallel()
	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	text := visit(t, s.url+"/openapi.json")
	require.True(t, json.Valid([]byte(text)))
	var fromYAML, fromJSON yaml.Node
	require.NoError(t, yaml.Unmarshal(spec.YAML, &fromYAML))
	require.NoError(t, yaml.Unmarshal([]byte(text), &fromJSON))
	require.Equal(t, values(&fromYAML), values(&fromJSON))
}

// values are the node's kinds and scalars, in their order.
func values(n *yaml.Node) []string {
	all := []string{fmt.Sprint(n.Kind, n.ShortTag(), n.Value)}
	for _, inner := range n.Content {
		all = append(all, values(inner)...)
	}
	return all
}
