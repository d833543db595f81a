package tests

import (
	"compress/gzip"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/server"
)

// plainly makes a request without a client's help: no redirects, no unpacking.
// The answer is checked all the same.
func plainly(t *testing.T, method, url string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	require.NoError(t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	got := read((&checkedTransport{t: t, over: &http.Transport{DisableCompression: true}}).RoundTrip(r))
	require.NoError(t, got.err)
	return got
}

// methodsOf are what the document has for each path.
func methodsOf(t *testing.T) map[string][]string {
	t.Helper()
	methods := map[string][]string{}
	for _, op := range operations(t) {
		path := strings.NewReplacer("{id}", "x", "{contact_id}", "x").Replace(op.path)
		methods[path] = append(methods[path], op.method)
	}
	return methods
}

func TestEveryPathSaysWhatItTakes(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		for path, methods := range methodsOf(t) {
			expected := append([]string{http.MethodOptions}, methods...)
			if slices.Contains(methods, http.MethodGet) {
				expected = append(expected, http.MethodHead)
			}
			got := plainly(t, http.MethodOptions, s.url+path)
			require.Equal(t, http.StatusNoContent, got.status, path)
			require.Empty(t, got.body)
			require.ElementsMatch(t, expected, strings.Split(got.header.Get("Allow"), ", "), path)

			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "PURGE"} {
				if slices.Contains(expected, method) {
					continue
				}
				got := plainly(t, method, s.url+path)
				require.Equal(t, http.StatusMethodNotAllowed, got.status, "%s %s", method, path)
				require.ElementsMatch(t, expected, strings.Split(got.header.Get("Allow"), ", "), "%s %s", method, path)
				if method != http.MethodHead {
					var e types.ErrorEnvelope
					require.NoError(t, json.Unmarshal(got.body, &e))
					require.Equal(t, types.ErrorCodeMETHODNOTALLOWED, e.Error.Code)
				}
			}
		}
	})
}

func TestHeadIsAGetWithoutItsBody(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		id := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS}).ID
		key := "X-API-Key: " + a.key
		for path, status := range map[string]int{
			"/v1/campaigns/" + id: http.StatusOK, "/v1/campaigns?limit=5": http.StatusOK, "/v1/campaigns?limit=0": http.StatusBadRequest,
			"/v1/campaigns/cmp_none": http.StatusNotFound, "/openapi.yaml": http.StatusOK, "/healthz": http.StatusOK,
		} {
			get := plainly(t, http.MethodGet, s.url+path, key)
			head := plainly(t, http.MethodHead, s.url+path, key)
			require.Equal(t, status, head.status, path)
			require.NotEmpty(t, get.body, path)
			require.Empty(t, head.body, path)
			for _, name := range []string{"Content-Type", "ETag", "X-Orbit-Env", "X-RateLimit-Limit"} {
				require.Equal(t, get.header[http.CanonicalHeaderKey(name)], head.header[http.CanonicalHeaderKey(name)], "%s %s", path, name)
			}
		}
	})
}

func TestLargeAnswersAreCompressedForWhoTakesIt(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		for range 10 {
			a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS})
		}
		path, key := s.url+"/v1/campaigns", "X-API-Key: "+a.key
		plain := plainly(t, http.MethodGet, path, key)
		packed := plainly(t, http.MethodGet, path, key, "Accept-Encoding: gzip")
		require.Equal(t, "gzip", packed.header.Get("Content-Encoding"))
		require.Contains(t, packed.header.Values("Vary"), "Accept-Encoding")
		require.Less(t, len(packed.body), len(plain.body))
		unpack, err := gzip.NewReader(strings.NewReader(string(packed.body)))
		require.NoError(t, err)
		var page types.CampaignPage
		require.NoError(t, json.NewDecoder(unpack).Decode(&page))
		require.Len(t, page.Data, 10)
		small := plainly(t, http.MethodGet, path+"?limit=1", key, "Accept-Encoding: gzip")
		require.Empty(t, small.header.Get("Content-Encoding"), "a small one is not worth it")
	})
}

func TestPagesOfOtherOriginsAreLetInWhenToldTo(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		h, err := server.New(server.Options{Store: s.store, Log: slog.New(slog.DiscardHandler), RateLimits: true, AllowedOrigins: []string{"https://app.example.com"}})
		require.NoError(t, err)
		open := httptest.NewServer(h)
		t.Cleanup(open.Close)
		ask := func(url, origin string) http.Header {
			got := plainly(t, http.MethodOptions, url+"/v1/campaigns", "Origin: "+origin,
				"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-api-key, idempotency-key")
			require.Equal(t, http.StatusNoContent, got.status)
			return got.header
		}
		let := ask(open.URL, "https://app.example.com")
		require.Equal(t, "https://app.example.com", let.Get("Access-Control-Allow-Origin"))
		require.Contains(t, let.Get("Access-Control-Allow-Headers"), "Idempotency-Key")
		require.Contains(t, let.Get("Access-Control-Allow-Methods"), "POST")
		require.Empty(t, ask(open.URL, "https://evil.example.com").Get("Access-Control-Allow-Origin"))
		require.Empty(t, ask(s.url, "https://app.example.com").Get("Access-Control-Allow-Origin"), "off unless told")

		a := s.tester()
		got := plainly(t, http.MethodGet, open.URL+"/v1/campaigns", "Origin: https://app.example.com", "X-API-Key: "+a.key)
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, got.header.Get("Access-Control-Expose-Headers"), "ETag")
	})
}
