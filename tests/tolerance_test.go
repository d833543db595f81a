package tests

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
)

// variants are requests that mean the same as base, each in other words.
func variants(op operation, base attempt) map[string]attempt {
	all := map[string]attempt{}
	for _, prefix := range []string{"/api", ""} {
		for _, end := range []string{"", "/"} {
			a := base
			a.path = prefix + base.path + end
			all["path "+prefix+"…"+end] = a
		}
	}
	for _, accept := range []string{"*/*", "application/*", "Application/JSON;q=0.1, text/html", "application/problem+json", "text/html, */*;q=0.001"} {
		all["Accept: "+accept] = base.with("Accept", accept)
	}
	all["empty query"] = base.asking("&")
	all["headers that nobody declared"] = base.with("X-Nobody-Knows", "1", "2").with("Cookie", "a=b")
	if op.RequestBody == nil {
		for _, mediaType := range []string{"application/json", "application/merge-patch+json", "application/json; charset=utf-8"} {
			all["empty body as "+mediaType] = base.with("Content-Type", mediaType)
		}
		a := base.with("Content-Type", "application/json")
		a.chunked = true
		all["empty body whose length is not announced"] = a
		return all
	}
	mediaType := base.header.Get("Content-Type")
	for _, written := range []string{mediaType + "; charset=utf-8", mediaType + `;charset="UTF-8"`, strings.ToUpper(mediaType)} {
		all["Content-Type: "+written] = base.with("Content-Type", written)
	}
	all["no encoding, by name"] = base.with("Content-Encoding", "identity")
	a := base
	a.chunked = true
	all["body whose length is not announced"] = a
	if mediaType == "application/json" {
		spaced := strings.NewReplacer(`":`, "\" :\r\n\t", `,"`, ` , "`).Replace(base.body)
		all["white space"] = base.saying(" \n" + spaced + "\t\r\n ")
		all["escaped names"] = base.saying(strings.Replace(base.body, `{"n`, `{"\u006e`, 1))
	}
	return all
}

// TestEveryOperationTakesWhatMeansTheSame finds that strictness has its limits. What
// is not there is 404, which only a request gets that has no fault.
func TestEveryOperationTakesWhatMeansTheSame(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		unknown := map[string]string{}
		for ref := range s.tester().oneOfEach() {
			schema := document(t).Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
			if schema != nil {
				unknown[ref] = schema.Value.Examples[0].(string)
			}
		}
		nobody := s.tester()
		for id, op := range operations(t) {
			for why, v := range variants(op, right(op, unknown)) {
				a, status := nobody, http.StatusNotFound
				if !strings.Contains(op.path, "{") {
					a = s.tester() // one that has nothing yet: nothing is there twice
					status = success(t, op)
				}
				got := a.attempt(op.method, v)
				require.NoError(t, got.err)
				require.Equal(t, status, got.status, "%s: %s: %s", id, why, got.body)
			}
		}
	})
}

// success is the status of it that the operation declares.
func success(t *testing.T, op operation) int {
	t.Helper()
	least, err := strconv.Atoi(slices.Min(slices.Collect(maps.Keys(op.Responses.Map()))))
	require.NoError(t, err)
	require.Less(t, least, 300)
	return least
}

func TestIntegersMayBeWrittenWithAFraction(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		for _, written := range []string{"20", "20.0", "2e1", "200E-1", "0.2e+2"} {
			got := a.do(http.MethodPost, "/v1/campaigns", `{"name":"x","channel":"sms","throttle":{"messages_per_second":`+written+`}}`)
			c := want[types.CampaignEnvelope](t, http.StatusCreated, got).Data
			require.Equal(t, 20, c.Throttle.MessagesPerSecond, written)
		}
	})
}
