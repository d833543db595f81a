package tests

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// referenceOperation is one of the nine that the API was asked for: what we add
// never changes what these promise.
type referenceOperation struct {
	id, method, path string
	query            []string          // parameters beside the path's
	fields           map[string]string // of the body, with their types
	required         []string          // of those fields
	request          string            // sample body
	status           string            // of a success
	answer           string            // sample data, "" where there is none
	whole            bool              // the sample is all of the data: it alone fits the schema
}

var reference = []referenceOperation{
	{
		id: "createCampaign", method: http.MethodPost, path: "/v1/campaigns", status: "201",
		fields: map[string]string{
			"name": "string", "channel": "string", "segment_id": "string", "list_id": "string",
			"template_id": "string", "body": "string", "scheduled_at": "string", "ab_test": "object",
		},
		required: []string{"name", "channel"},
		request: `{
			"name": "Spring Promo 2026",
			"channel": "sms",
			"segment_id": "seg_abc123",
			"body": "Hi {{first_name}}, enjoy 20% off this spring!",
			"scheduled_at": "2026-03-15T09:00:00Z"
		}`,
		answer: `{
			"id": "cmp_abc123",
			"name": "Spring Promo 2026",
			"channel": "sms",
			"status": "draft",
			"segment_id": "seg_abc123",
			"scheduled_at": "2026-03-15T09:00:00Z",
			"created_at": "2026-03-08T12:00:00Z"
		}`,
	},
	{
		id: "listCampaigns", method: http.MethodGet, path: "/v1/campaigns", status: "200",
		query: []string{"cursor", "limit", "search", "status", "channel"},
	},
	{id: "getCampaign", method: http.MethodGet, path: "/v1/campaigns/{id}", status: "200"},
	{
		id: "updateCampaign", method: http.MethodPut, path: "/v1/campaigns/{id}", status: "200",
		fields: map[string]string{"name": "string", "body": "string", "scheduled_at": "string"},
	},
	{id: "deleteCampaign", method: http.MethodDelete, path: "/v1/campaigns/{id}", status: "204"},
	{
		id: "sendCampaign", method: http.MethodPost, path: "/v1/campaigns/{id}/send", status: "200", whole: true,
		answer: `{"id": "cmp_abc123", "status": "sending", "started_at": "2026-03-08T12:10:00Z"}`,
	},
	{
		id: "pauseCampaign", method: http.MethodPost, path: "/v1/campaigns/{id}/pause", status: "200", whole: true,
		answer: `{"id": "cmp_abc123", "status": "paused", "paused_at": "2026-03-08T12:15:00Z"}`,
	},
	{id: "resumeCampaign", method: http.MethodPost, path: "/v1/campaigns/{id}/resume", status: "200"},
	{
		id: "getCampaignStatistics", method: http.MethodGet, path: "/v1/campaigns/stats", status: "200", whole: true,
		answer: `{
			"total_campaigns": 47,
			"active_campaigns": 3,
			"total_messages_sent": 125430,
			"total_delivered": 121890,
			"total_failed": 1240,
			"delivery_rate": 0.971,
			"channels": {
				"sms": {"sent": 80000, "delivered": 78500},
				"whatsapp": {"sent": 30000, "delivered": 29200},
				"email": {"sent": 15430, "delivered": 14190}
			}
		}`,
	},
}

func TestReferenceOperationsAreThere(t *testing.T) {
	all := operations(t)
	for _, r := range reference {
		op, found := all[r.id]
		require.True(t, found, r.id)
		require.Equal(t, r.method, op.method, r.id)
		require.Equal(t, r.path, op.path, r.id)
		require.NotNil(t, op.Responses.Value(r.status), "%s %s", r.id, r.status)
		if strings.Contains(r.path, "{id}") {
			id := op.parameter("id")
			require.NotNil(t, id, r.id)
			require.Regexp(t, id.Schema.Value.Pattern, "cmp_abc123", r.id)
		}
		for _, name := range r.query {
			require.NotNil(t, op.parameter(name), "%s: %s", r.id, name)
		}
	}
	limit := all["listCampaigns"].parameter("limit").Schema.Value
	require.EqualValues(t, 20, limit.Default)
	require.Equal(t, 100, int(*limit.Max))
}

func TestReferenceFieldsAreTaken(t *testing.T) {
	all := operations(t)
	for _, r := range reference {
		if r.fields == nil {
			require.Nil(t, all[r.id].RequestBody, r.id)
			continue
		}
		schema := all[r.id].RequestBody.Value.Content["application/json"].Schema.Value
		require.ElementsMatch(t, r.required, schema.Required, r.id)
		for name, kind := range r.fields {
			property := schema.Properties[name]
			require.NotNil(t, property, "%s: %s", r.id, name)
			if property.Value.AnyOf != nil { // null clears it
				property = property.Value.AnyOf[0]
			}
			require.True(t, property.Value.Type.Includes(kind), "%s: %s", r.id, name)
		}
	}
}

func TestReferenceSamplesFit(t *testing.T) {
	o := newOracle(t)
	for _, r := range reference {
		at := pointer("paths", r.path, strings.ToLower(r.method))
		if r.request != "" {
			o.accepts(t, at+pointer("requestBody", "content", "application/json", "schema"), json.RawMessage(r.request))
		}
		if r.answer == "" {
			continue
		}
		envelope := operations(t)[r.id].Responses.Value(r.status).Value.Content["application/json"].Schema.Value
		data := strings.TrimPrefix(envelope.Properties["data"].Ref, "#")
		if r.whole {
			o.accepts(t, data, json.RawMessage(r.answer))
		}
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.answer), &fields))
		for name, value := range fields {
			o.accepts(t, data+pointer("properties", name), value)
		}
	}
}

// TestReferenceSamplesAreShown finds each sample, with what we added to it, among
// the examples of its operation.
func TestReferenceSamplesAreShown(t *testing.T) {
	for _, r := range reference {
		op := operations(t)[r.id]
		if r.request != "" {
			requireShown(t, r.id, r.request, examplesOf(t, op.RequestBody.Value.Content["application/json"].Examples))
		}
		if r.answer != "" {
			shown := examplesOf(t, op.Responses.Value(r.status).Value.Content["application/json"].Examples)
			requireShown(t, r.id, `{"data": `+r.answer+`}`, shown)
		}
	}
}

func examplesOf(t *testing.T, examples openapi3.Examples) (values []any) {
	t.Helper()
	for _, e := range examples {
		values = append(values, plainJSON(t, e.Value.Value))
	}
	return values
}

// requireShown asks for an example that has everything the sample has.
func requireShown(t *testing.T, id, sample string, examples []any) {
	t.Helper()
	want := plainJSON(t, json.RawMessage(sample))
	for _, e := range examples {
		if contains(e, want) {
			return
		}
	}
	require.Fail(t, "no example shows the sample", "%s: %s", id, sample)
}

// contains says whether every field of part stands in whole, at any depth.
func contains(whole, part any) bool {
	fields, isObject := part.(map[string]any)
	if !isObject {
		return whole == part
	}
	members, _ := whole.(map[string]any)
	for name, value := range fields {
		if member, found := members[name]; !found || !contains(member, value) {
			return false
		}
	}
	return true
}
