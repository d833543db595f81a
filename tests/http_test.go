package tests

import (
	"compress/gzip"
	"encoding/json"
	"io"
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
func plainly(t *testing.T, method, url string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	require.NoError(t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res, body
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
			res, body := plainly(t, http.MethodOptions, s.url+path)
			require.Equal(t, http.StatusNoContent, res.StatusCode, path)
			require.Empty(t, body)
			require.ElementsMatch(t, expected, strings.Split(res.Header.Get("Allow"), ", "), path)

			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "PURGE"} {
				if slices.Contains(expected, method) {
					continue
				}
				res, body := plainly(t, method, s.url+path)
				require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, "%s %s", method, path)
				require.ElementsMatch(t, expected, strings.Split(res.Header.Get("Allow"), ", "), "%s %s", method, path)
				if method != http.MethodHead {
					var e types.ErrorEnvelope
					require.NoError(t, json.Unmarshal(body, &e))
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
			get, whole := plainly(t, http.MethodGet, s.url+path, key)
			head, none := plainly(t, http.MethodHead, s.url+path, key)
			require.Equal(t, status, head.StatusCode, path)
			require.NotEmpty(t, whole, path)
			require.Empty(t, none, path)
			for _, name := range []string{"Content-Type", "ETag", "X-Orbit-Env", "X-RateLimit-Limit"} {
				require.Equal(t, get.Header[http.CanonicalHeaderKey(name)], head.Header[http.CanonicalHeaderKey(name)], "%s %s", path, name)
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
		_, plain := plainly(t, http.MethodGet, path, key)
		res, packed := plainly(t, http.MethodGet, path, key, "Accept-Encoding: gzip")
		require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
		require.Contains(t, res.Header.Values("Vary"), "Accept-Encoding")
		require.Less(t, len(packed), len(plain))
		unpack, err := gzip.NewReader(strings.NewReader(string(packed)))
		require.NoError(t, err)
		var page types.CampaignPage
		require.NoError(t, json.NewDecoder(unpack).Decode(&page))
		require.Len(t, page.Data, 10)
		res, _ = plainly(t, http.MethodGet, path+"?limit=1", key, "Accept-Encoding: gzip")
		require.Empty(t, res.Header.Get("Content-Encoding"), "a small one is not worth it")
	})
}

func TestPagesOfOtherOriginsAreLetInWhenToldTo(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		h, err := server.New(server.Options{Store: s.store, Log: slog.New(slog.DiscardHandler), AllowedOrigins: []string{"https://app.example.com"}})
		require.NoError(t, err)
		open := httptest.NewServer(h)
		t.Cleanup(open.Close)
		ask := func(url, origin string) http.Header {
			res, _ := plainly(t, http.MethodOptions, url+"/v1/campaigns", "Origin: "+origin,
				"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-api-key, idempotency-key")
			require.Equal(t, http.StatusNoContent, res.StatusCode)
			return res.Header
		}
		let := ask(open.URL, "https://app.example.com")
		require.Equal(t, "https://app.example.com", let.Get("Access-Control-Allow-Origin"))
		require.Contains(t, let.Get("Access-Control-Allow-Headers"), "Idempotency-Key")
		require.Contains(t, let.Get("Access-Control-Allow-Methods"), "POST")
		require.Empty(t, ask(open.URL, "https://evil.example.com").Get("Access-Control-Allow-Origin"))
		require.Empty(t, ask(s.url, "https://app.example.com").Get("Access-Control-Allow-Origin"), "off unless told")

		a := s.tester()
		res, _ := plainly(t, http.MethodGet, open.URL+"/v1/campaigns", "Origin: https://app.example.com", "X-API-Key: "+a.key)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Contains(t, res.Header.Get("Access-Control-Expose-Headers"), "ETag")
	})
}
