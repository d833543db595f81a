package tests

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
)

// badRequest is one that is refused as a whole, and every fault that its answer
// has to name, as "location field", in order.
type badRequest struct {
	request string // method and path, with {campaign} and the like for what exists
	body    string
	headers []string
	status  int
	code    types.ErrorCode
	faults  []string
}

// The faults of bodies in JSON.
var badBodies = []badRequest{
	{"POST /v1/campaigns", `{}`, nil, 422, "VALIDATION_ERROR", []string{"body /name", "body /channel"}},
	{"POST /v1/campaigns", `{"name":"x"}`, nil, 422, "MISSING_REQUIRED_FIELD", []string{"body /channel"}},
	{
		"POST /v1/campaigns", `{"name":"","channel":"pigeon","colour":"red","body":1}`, nil, 422, "VALIDATION_ERROR",
		[]string{"body /name", "body /channel", "body /colour", "body /body"},
	},
	{
		"POST /v1/campaigns", `{"name":"x","channel":"sms","segment_id":"seg_a","list_id":"lst_a","template_id":"tpl_a","body":"Hi"}`, nil, 422, "VALIDATION_ERROR",
		[]string{"body /list_id", "body /body"},
	},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms","scheduled_at":"2026-03-15T09:00:00"}`, nil, 422, "VALIDATION_ERROR", []string{"body /scheduled_at"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms","scheduled_at":"2026-02-30T09:00:00Z"}`, nil, 422, "VALIDATION_ERROR", []string{"body /scheduled_at"}},
	{
		"POST /v1/campaigns", `{"name":"x","channel":"sms","scheduled_at":"tomorrow","throttle":{"messages_per_second":0}}`, nil, 422, "VALIDATION_ERROR",
		[]string{"body /scheduled_at", "body /throttle/messages_per_second"},
	},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms","body":"Hi {{first_name"}`, nil, 422, "INVALID_TEMPLATE", []string{"body /body"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"email","body":"{% if %}","subject":"{{"}`, nil, 422, "VALIDATION_ERROR", []string{"body /body", "body /subject"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms","subject":"Hi","content_type":"text/html"}`, nil, 422, "VALIDATION_ERROR", []string{"body /subject", "body /content_type"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"email","sender":"nobody"}`, nil, 422, "INVALID_EMAIL", []string{"body /sender"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms","metadata":{"a":1,"":"b"}}`, nil, 422, "VALIDATION_ERROR", []string{"body /metadata/a", "body /metadata/"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms","ab_test":{"variants":[{"name":"a","body":"A","percentage":50}]}}`, nil, 422, "VALIDATION_ERROR", []string{"body /ab_test/variants"}},
	{
		"POST /v1/campaigns", `{"name":"x","channel":"sms","ab_test":{"variants":[{"name":"a","body":"A","percentage":50},{"name":"a","percentage":40}]}}`, nil, 422, "VALIDATION_ERROR",
		[]string{"body /ab_test/variants/1/name", "body /ab_test/variants/1", "body /ab_test/variants"},
	},
	{"PUT /v1/campaigns/{campaign}", `{"name":null,"channel":"email"}`, nil, 422, "VALIDATION_ERROR", []string{"body /name", "body /channel"}},
	{"PUT /v1/campaigns/{campaign}", `{"segment_id":"seg_a","list_id":"lst_a"}`, nil, 422, "VALIDATION_ERROR", []string{"body /list_id"}},
	{"PUT /v1/campaigns/{campaign}", `{"list_id":7}`, nil, 422, "VALIDATION_ERROR", []string{"body /list_id"}},
	{"POST /v1/contacts", `{"first_name":"Ana"}`, nil, 422, "MISSING_REQUIRED_FIELD", []string{"body "}},
	{"POST /v1/contacts", `{"phone":"12"}`, nil, 422, "INVALID_PHONE_NUMBER", []string{"body /phone"}},
	{"POST /v1/contacts", `{"phone":"+999123456789"}`, nil, 422, "INVALID_PHONE_NUMBER", []string{"body /phone"}},
	{"POST /v1/contacts", `{"email":"nobody"}`, nil, 422, "INVALID_EMAIL", []string{"body /email"}},
	{"POST /v1/contacts", `{"external_id":"x","country":"XX"}`, nil, 422, "VALIDATION_ERROR", []string{"body /country"}},
	{
		"POST /v1/contacts", `{"external_id":"x","tags":["a","a"],"opted_out":["fax"],"attributes":{"Plan":1,"b":[1]}}`, nil, 422, "VALIDATION_ERROR",
		[]string{"body /tags/1", "body /opted_out/0", "body /attributes/Plan", "body /attributes/b"},
	},
	{
		"POST /v1/contacts", `{"external_id":"taken","phone":"+4915112000001","email":"taken@example.com"}`, nil, 422, "VALIDATION_ERROR",
		[]string{"body /external_id", "body /phone", "body /email"},
	},
	{"PUT /v1/contacts/{contact}", `{"external_id":null,"phone":null,"email":null}`, nil, 422, "MISSING_REQUIRED_FIELD", []string{"body "}},
	{"PUT /v1/contacts/{contact}", `{"phone":"+9990000000"}`, nil, 422, "INVALID_PHONE_NUMBER", []string{"body /phone"}},
	{"PUT /v1/contacts/{contact}", `{"opted_out":[]}`, nil, 422, "VALIDATION_ERROR", []string{"body /opted_out"}},
	{"POST /v1/contacts/{contact}/opt-out", `{"channels":[]}`, nil, 422, "VALIDATION_ERROR", []string{"body /channels"}},
	{
		"POST /v1/lists/{list}/contacts", `{"contact_ids":["con_unknown","{contact}","con_nobody"]}`, nil, 422, "VALIDATION_ERROR",
		[]string{"body /contact_ids/0", "body /contact_ids/2"},
	},
	{
		"POST /v1/lists/{list}/contacts", `{"contact_ids":[` + manyIDs(21) + `]}`, nil, 422, "VALIDATION_ERROR",
		numbered("body /contact_ids/", 20), // the first twenty
	},
	{"POST /v1/segments", `{"name":"x","rule":{"field":"shoe_size","operator":"equals","value":44}}`, nil, 422, "VALIDATION_ERROR", []string{"body /rule/field"}},
	{"POST /v1/segments", `{"name":"x","rule":{}}`, nil, 422, "VALIDATION_ERROR", []string{"body /rule"}},
	{"POST /v1/segments", `{"name":"x","rule":{"tag":"a","operator":"has","all":[{"tag":"b","operator":"has"}]}}`, nil, 422, "VALIDATION_ERROR", []string{"body /rule"}},
	{
		"PUT /v1/segments/{segment}", `{"rule":{"any":[{"field":"created_at","operator":"before","value":"today"},{"not":{"field":"country","operator":"contains","value":"P"}},
		{"attribute":"age","operator":"less_than","value":"old"},{"field":"email","operator":"in"}]}}`, nil, 422, "VALIDATION_ERROR",
		[]string{"body /rule/any/0/value", "body /rule/any/1/not/operator", "body /rule/any/2/operator", "body /rule/any/3/values"},
	},
	{
		"POST /v1/segments", `{"name":"x","rule":{"all":[{"field":"email","operator":"at_least","value":"a"},{"field":"opted_out","operator":"has","value":"fax"}]}}`,
		nil, 422, "VALIDATION_ERROR",
		[]string{"body /rule/all/0/operator", "body /rule/all/1/value"},
	},
	{
		"POST /v1/segments", `{"name":"x","rule":` + strings.Repeat(`{"not":`, 9) + `{"tag":"a","operator":"has"}` + strings.Repeat("}", 10), nil, 422, "VALIDATION_ERROR",
		[]string{"body /rule" + strings.Repeat("/not", 8)},
	},
	{"POST /v1/templates", `{"name":"x","channel":"sms","body":"{% for %}"}`, nil, 422, "INVALID_TEMPLATE", []string{"body /body"}},
	{"PUT /v1/templates/{template}", `{"body":"Hi {{ first_name"}`, nil, 422, "INVALID_TEMPLATE", []string{"body /body"}},
	{"PUT /v1/templates/{template}", `{"subject":"Hi","content_type":"text/html"}`, nil, 422, "VALIDATION_ERROR", []string{"body /content_type", "body /subject"}},
}

// The faults of everything else.
var badRequests = []badRequest{
	{"POST /v1/campaigns", `{"name":"a","name":"b","channel":"sms"}`, nil, 400, "VALIDATION_ERROR", []string{"body /name"}},
	{"POST /v1/campaigns", `{"name":"a","channel":"sms"} {}`, nil, 400, "VALIDATION_ERROR", []string{"body "}},
	{"POST /v1/campaigns", `{"name":`, nil, 400, "VALIDATION_ERROR", []string{"body /name"}},
	{"POST /v1/campaigns", "{\"name\":\"\xff\",\"channel\":\"sms\"}", nil, 400, "VALIDATION_ERROR", []string{"body /name"}},
	{"POST /v1/campaigns", `{"name":"a\u0000","channel":"sms"}`, nil, 422, "VALIDATION_ERROR", []string{"body /name"}},
	{"POST /v1/campaigns", `[]`, nil, 422, "VALIDATION_ERROR", []string{"body "}},
	{"POST /v1/campaigns?dry_run=1", `{"name":"x"}`, nil, 400, "VALIDATION_ERROR", []string{"query dry_run", "body /channel"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms"}`, []string{"Content-Type: text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE", []string{"header Content-Type"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms"}`, []string{"Content-Type: "}, 415, "UNSUPPORTED_MEDIA_TYPE", []string{"header Content-Type"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms"}`, []string{"Content-Type: application/json; charset=iso-8859-1"}, 415, "UNSUPPORTED_MEDIA_TYPE", []string{"header Content-Type"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms"}`, []string{"Content-Encoding: gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE", []string{"header Content-Encoding"}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms"}` + strings.Repeat(" ", 1<<20), nil, 413, "PAYLOAD_TOO_LARGE", []string{"body "}},
	{"POST /v1/campaigns", `{"name":"x","channel":"sms"}`, []string{"Accept: text/html"}, 406, "NOT_ACCEPTABLE", []string{"header Accept"}},
	{"POST /v1/campaigns/{campaign}/send", `{"now":true}`, nil, 400, "VALIDATION_ERROR", []string{"body "}},
	{
		"GET /v1/campaigns?limit=0&status=lost&channel=pigeon&sort=name", "", nil, 400, "VALIDATION_ERROR",
		[]string{"query limit", "query status", "query channel", "query sort"},
	},
	{"GET /v1/campaigns?limit=101", "", nil, 400, "VALIDATION_ERROR", []string{"query limit"}},
	{"GET /v1/campaigns?limit=five", "", nil, 400, "VALIDATION_ERROR", []string{"query limit"}},
	{"GET /v1/campaigns?limit=5&limit=6", "", nil, 400, "VALIDATION_ERROR", []string{"query limit"}},
	{"GET /v1/campaigns?Limit=5", "", nil, 400, "VALIDATION_ERROR", []string{"query Limit"}},
	{"GET /v1/campaigns?search=%zz", "", nil, 400, "VALIDATION_ERROR", []string{"query search"}},
	{"GET /v1/campaigns?cursor=a.b", "", nil, 400, "INVALID_CURSOR", []string{"query cursor"}},
	{"GET /v1/campaigns?cursor=AAAA", "", nil, 400, "INVALID_CURSOR", nil},
	{"GET /v1/contacts?cursor={cursor}", "", nil, 400, "INVALID_CURSOR", nil}, // another listing's
	{"GET /v1/campaigns/stats?since=yesterday&until=2026-02-30T00:00:00Z", "", nil, 400, "VALIDATION_ERROR", []string{"query since", "query until"}},
	{"GET /v1/campaigns/nonsense", "", nil, 400, "VALIDATION_ERROR", []string{"path id"}},
	{"DELETE /v1/campaigns/lst_abc123?force=1", "", nil, 400, "VALIDATION_ERROR", []string{"path id", "query force"}},
	{"GET /v1/campaigns/cmp_unknown", "", nil, 404, "NOT_FOUND", nil},
	{"GET /v1/campaign", "", nil, 404, "NOT_FOUND", nil},
	{"PATCH /v1/campaigns/{campaign}", `{}`, nil, 405, "METHOD_NOT_ALLOWED", nil},
	{"PUT /v1/campaigns/stats", `{}`, nil, 405, "METHOD_NOT_ALLOWED", nil},
	{
		"POST /v1/imports", "email,shoe_size,email,attributes.Plan\n", csv, 422, "VALIDATION_ERROR",
		[]string{"body /columns/shoe_size", "body /columns/email", "body /columns/attributes.Plan"},
	},
	{"POST /v1/imports", "first_name,last_name\nAna,Alves\n", csv, 422, "MISSING_REQUIRED_FIELD", []string{"body /columns"}},
	{"POST /v1/imports", "external_id;phone\n1;2\n", csv, 422, "VALIDATION_ERROR", []string{"body /columns/external_id;phone", "body /columns"}},
	{"POST /v1/imports", "external_id,\"phone\n", csv, 422, "VALIDATION_ERROR", []string{"body /columns"}},
	{"POST /v1/imports", `[{"email":"a@example.com"}]`, nil, 415, "UNSUPPORTED_MEDIA_TYPE", []string{"header Content-Type"}},
	{"POST /v1/imports", "email\na@example.com\n", []string{"Content-Type: text/csv; charset=utf-16"}, 415, "UNSUPPORTED_MEDIA_TYPE", []string{"header Content-Type"}},
	{"POST /v1/imports?list_id=lst_unknown", "email\na@example.com\n", csv, 404, "NOT_FOUND", nil},
	{"POST /v1/imports?list_id=nonsense&dry_run=1", "email\na@example.com\n", csv, 400, "VALIDATION_ERROR", []string{"query list_id", "query dry_run"}},
}

var csv = []string{"Content-Type: text/csv"}

// manyIDs are n ids of contacts that do not exist, as JSON.
func manyIDs(n int) string { return `"` + strings.Join(numbered("con_", n), `","`) + `"` }

// numbered is the prefix with each of the first n numbers.
func numbered(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, prefix+strconv.Itoa(i))
	}
	return all
}

func TestBadRequestsNameEveryFaultAndStoreNothing(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		own := a.oneOfEach()
		a.newContact(types.ContactCreate{ExternalID: p("taken"), Email: p("taken@example.com")})
		a.newCampaign(types.CampaignCreate{Name: "Second", Channel: types.ChannelSMS})
		first := want[types.CampaignPage](t, http.StatusOK, read(a.ListCampaigns(t.Context(), &types.ListCampaignsParams{Limit: p(1)})))
		fill := strings.NewReplacer(
			"{campaign}", own["#/components/schemas/CampaignID"], "{contact}", own["contact"], "{list}", own["#/components/schemas/ListID"],
			"{segment}", own["#/components/schemas/SegmentID"], "{template}", own["#/components/schemas/TemplateID"],
			"{cursor}", first.Meta.Pagination.Cursor.MustGet(),
		)
		before := a.everything()
		for _, bad := range slices.Concat(badBodies, badRequests) {
			method, path, _ := strings.Cut(fill.Replace(bad.request), " ")
			e := refused(t, bad.status, a.do(method, path, fill.Replace(bad.body), bad.headers...))
			said := bad.request + " " + bad.body[:min(len(bad.body), 200)]
			require.Equal(t, bad.code, e.Code, said)
			require.Equal(t, bad.faults, faultsOf(e), said)
			require.NotEmpty(t, e.Message, said)
		}
		require.Equal(t, before, a.everything(), "something was stored")
	})
}

// faultsOf is where they lie.
func faultsOf(e types.Error) (places []string) {
	for _, f := range e.Errors {
		places = append(places, string(*f.Location)+" "+*f.Field)
	}
	return places
}
