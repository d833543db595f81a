package contract

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// expected is what a probe must be answered: the status, the code, and the
// problems as "in field rule".
type expected struct {
	status   int
	code     string
	problems []string
}

type probeCase struct {
	probe
	expected
}

func accept(name string, p probe) probeCase {
	p.name = name
	return probeCase{p, expected{status: http.StatusOK}}
}

func reject(name string, status int, code string, p probe, problems ...string) probeCase {
	p.name = name
	return probeCase{p, expected{status, code, problems}}
}

// faulty is a request with one or more faults that has no code of its own.
func faulty(name string, status int, p probe, problems ...string) probeCase {
	return reject(name, status, "VALIDATION_ERROR", p, problems...)
}

func runProbes(t *testing.T, cases []probeCase) {
	t.Helper()
	e, last := newServer(t, ok)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, v := send(e, last, c.request())
			require.Equal(t, c.status, status, "%v", *last)
			require.Equal(t, c.problems, told(v))
			if c.code != "" {
				require.Equal(t, c.code, v.Code)
			}
		})
	}
}

func post(body string, headers ...string) probe {
	return probe{url: campaigns, body: body, headers: headers}
}

func get(url string, headers ...string) probe {
	return probe{method: http.MethodGet, url: url, headers: headers}
}

func patch(body string, headers ...string) probe {
	return probe{method: http.MethodPatch, url: campaign1, body: body, headers: headers}
}

func TestBodyIsHeldToItsSchema(t *testing.T) {
	runProbes(t, []probeCase{
		accept("valid", post(validCampaign)),
		accept("white space", post(" \n\t"+strings.ReplaceAll(strings.ReplaceAll(validCampaign, `":`, `" : `), `,"`, "\r\n, \"")+" \n")),
		accept("escaped member name", post(with(t, `"name"`, `"n\u0061me"`))),
		accept("null where it is allowed", post(with(t, `"Winter is here"`, `null`))),
		accept("100 characters in 400 bytes", post(with(t, "Winter sale", strings.Repeat("😀", 100)))),

		reject("missing field", 422, "MISSING_REQUIRED_FIELD", post(with(t, `"name":"Winter sale",`, "")), "body /name required"),
		faulty("missing fields", 422, post(`{}`), "body /name required", "body /channel required", "body /audience required"),
		faulty("unknown field", 422, post(plus(`"nope":1`)), "body /nope additionalProperties"),
		faulty("field in the wrong case", 422, post(plus(`"NAME":"evil"`)), "body /NAME additionalProperties"),
		faulty("unknown nested field", 422, post(with(t, `{"amount"`, `{"x":1,"amount"`)), "body /budget/x additionalProperties"),
		faulty("unknown field with characters to escape", 422, post(plus(`"a/b~c\n":1`)), "body /a~1b~0c additionalProperties"),
		faulty("read-only field", 422, post(plus(`"id":"cmp_1"`)), "body /id readOnly"),
		faulty("null for a string", 422, post(with(t, `"Winter sale"`, `null`)), "body /name type"),
		faulty("number for a string", 422, post(with(t, `"Winter sale"`, `5`)), "body /name type"),
		faulty("body is null", 422, post(`null`), "body type"),
		faulty("body is an array", 422, post(`[]`), "body type"),
		faulty("enum", 422, post(with(t, `"email"`, `"fax"`)), "body /channel enum"),
		faulty("enum in the wrong case", 422, post(with(t, `"email"`, `"SMS"`)), "body /channel enum"),
		faulty("empty name", 422, post(with(t, "Winter sale", "")), "body /name minLength"),
		faulty("101 characters", 422, post(with(t, "Winter sale", strings.Repeat("é", 101))), "body /name maxLength"),
		faulty("pattern", 422, post(with(t, "Winter sale", `Win\nter`)), "body /name pattern"),
		faulty("nullable string too long", 422, post(with(t, "Winter is here", strings.Repeat("a", 21))), "body /description maxLength"),
		faulty("duplicate item", 422, post(with(t, `"sale"`, `"winter"`)), "body /tags/1 uniqueItems"),
		faulty("duplicate item spelled otherwise", 422, post(with(t, `"sale"`, `"w\u0069nter"`)), "body /tags/1 uniqueItems"),
		faulty("too many items", 422, post(with(t, `"sale"`, `"a","b","c"`)), "body /tags maxItems"),
		faulty("item of the wrong type", 422, post(with(t, `"sale"`, `7`)), "body /tags/1 type"),
		faulty("too many members", 422, post(with(t, `"team":"crm"`, `"a":"b","c":"d"`)), "body /metadata maxProperties"),
		faulty("member name against its pattern", 422, post(with(t, `"team"`, `"Team"`)), "body /metadata/Team propertyNames"),
		faulty("member name too long", 422, post(with(t, `"team"`, `"teammates"`)), "body /metadata/teammates propertyNames"),
		faulty("member value", 422, post(with(t, `"crm"`, `7`)), "body /metadata/team type"),

		faulty("fraction", 422, post(with(t, "250000", "250000.5")), "body /budget/amount type"),
		faulty("integer as string", 422, post(with(t, "250000", `"250000"`)), "body /budget/amount type"),
		faulty("above the maximum", 422, post(with(t, "250000", "1000000000001")), "body /budget/amount maximum"),
		faulty("below the minimum", 422, post(with(t, "250000", "-1")), "body /budget/amount minimum"),
		faulty("beyond 64 bits", 422, post(with(t, "250000", "9223372036854775808")), "body /budget/amount format"),
		faulty("tiny fraction", 422, post(with(t, "250000", "1e-400")), "body /budget/amount type"),
		faulty("huge exponent", 422, post(with(t, "250000", "1e99999999999999999999")), "body /budget/amount format"),
		accept("integer as 250000.0", post(with(t, "250000", "250000.0"))),
		accept("integer as 25e4", post(with(t, "250000", "25e4"))),
		accept("zero with an exponent", post(with(t, "250000", "0e99999999999999999999"))),

		faulty("unknown tag", 422, post(with(t, `"segment"`, `"fax"`)), "body /audience/type discriminator"),
		faulty("tag that is no string", 422, post(with(t, `"segment"`, `1`)), "body /audience/type discriminator"),
		reject("missing tag", 422, "MISSING_REQUIRED_FIELD", post(with(t, `"type":"segment",`, "")), "body /audience/type required"),
		faulty("other branch's field", 422, post(with(t, `"segment"`, `"list"`)), "body /audience/segment_id additionalProperties", "body /audience/list_ids required"),
		faulty("tagged value is a string", 422, post(with(t, `{"type":"segment","segment_id":"seg_abc123"}`, `"seg_abc123"`)), "body /audience type"),
		faulty("item within a branch", 422, post(with(t, `"segment","segment_id":"seg_abc123"`, `"list","list_ids":["lst_1","x"]`)), "body /audience/list_ids/1 pattern"),
	})
}

func TestFormatsAreEnforced(t *testing.T) {
	field := func(name, value string) probe { return post(plus(`"` + name + `":"` + value + `"`)) }
	var cases []probeCase
	for name, values := range map[string]struct{ good, bad []string }{
		"starts_at": {
			good: []string{"2026-02-28T23:59:59Z", "2026-12-01T08:00:00+05:30", "2026-12-01T08:00:00.123456789-00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"},
			bad: []string{
				"yesterday", "", "2026-02-30T08:00:00Z", "2026-12-01T08:00:00", "2026-12-31T23:59:60Z", "2026-12-01T24:00:00Z", "2026-12-01t08:00:00z",
				"2026-12-01 08:00:00Z", "2026-12-01T8:00:00Z", "2026-12-01T08:00:00,5Z", "2026-12-01T08:00:00+24:00", "2026-12-01T08:00:00+0100", "2026-12-01T08:00Z",
				"0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "10000-01-01T00:00:00Z", "2026-12-01T08:00:00Z ",
			},
		},
		"day": {
			good: []string{"2024-02-29", "0001-01-01"},
			bad:  []string{"2026-02-29", "2026-2-3", "0000-01-01", "2026-12-01T00:00:00Z", "x"},
		},
		"landing_url": {
			good: []string{"https://example.com", "https://user@example.com:8443/a/b?c=d%20e#f", "http://[::1]:80/x", "ftp://h/"},
			bad: []string{
				"not a uri", "example.com/x", "/x", "https://", "https:///x", "mailto:a@b.de", "https://example.com/a b", "https://example.com/%zz", "https://example.com/?q=%zz",
				"https://exämple.com", "https://example.com/[x]", "https://example.com:port/", "https://a:b:80/", "https://::", "http://::1/", "http://[fe80::1%25en0]/", "http://[x]/", "https://example.com/a#b#c", "https://example.com/<x>",
			},
		},
		"reference": {
			good: []string{"123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"},
			bad:  []string{"123e4567e89b12d3a456426614174000", "{123e4567-e89b-12d3-a456-42661417400}", "urn:uuid:123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-42661417400g", ""},
		},
	} {
		for _, v := range values.good {
			cases = append(cases, accept(name+" "+v, post(strings.Replace(plus(`"`+name+`":"`+v+`"`), `"starts_at":"2026-12-01T08:00:00Z",`, "", 1))))
		}
		for _, v := range values.bad {
			p := field(name, v)
			p.body = strings.Replace(p.body, `"starts_at":"2026-12-01T08:00:00Z",`, "", 1)
			cases = append(cases, faulty(name+" "+v, 422, p, "body /"+name+" format"))
		}
	}
	for _, v := range []string{"a@b.de", "first.last+tag@sub.example.co.uk", "x_y-z!#$%&'*/=?^{|}~@example.com", "A@EXAMPLE.COM"} {
		cases = append(cases, accept("email "+v, post(with(t, "shop@example.com", v))))
	}
	for _, v := range []string{
		"not-an-email", "a b@x.de", "a@", "@b.de", "a@b", "a@b..de", ".a@b.de", "a.@b.de", "a..b@c.de", "a@-b.de", "a@b-.de", "a@b.de.", "a@b@c.de", "Ann <a@b.de>",
		"a@[127.0.0.1]", "a@1.2.3.4", "ä@b.de", "a@bä.de", `\"a b\"@c.de`, "a@b.de\\n", "", strings.Repeat("a", 65) + "@b.de", "a@" + strings.Repeat("b", 64) + ".de",
	} {
		cases = append(cases, reject("email "+v, 422, "INVALID_EMAIL", post(with(t, "shop@example.com", v)), "body /reply_to format"))
	}
	for _, v := range []string{"0301234567", "+49 30 1234567", "+0301234567", "+491", "+4930123456789012"} {
		p := field("phone", v)
		status, rule := 422, "pattern"
		switch {
		case len(v) < 8:
			rule = "minLength"
		case len(v) > 16:
			rule = "maxLength"
		}
		cases = append(cases, reject("phone "+v, status, "INVALID_PHONE_NUMBER", p, "body /phone "+rule))
	}
	cases = append(cases,
		accept("phone", field("phone", "+49301234567")),
		faulty("phone that is a number", 422, post(plus(`"phone":49301234567`)), "body /phone type"))
	runProbes(t, cases)
}

func TestMalformedBodyIsRefused(t *testing.T) {
	runProbes(t, []probeCase{
		faulty("duplicate key", 400, post(plus(`"name":"other"`)), "body /name repeated"),
		faulty("duplicate key, the first one bad", 400, post(with(t, `"name":"Winter sale"`, `"name":"","name":"ok"`)), "body /name repeated", "body /name minLength"),
		faulty("duplicate keys and other faults", 400, post(`{"name":"a","name":7,"channel":"fax","tags":["x","x"],"metadata":{"a":"","b":"","a":""},"nope":1}`),
			"body /name repeated", "body /metadata/a repeated", "body /name type", "body /channel enum", "body /tags/1 uniqueItems", "body /metadata maxProperties",
			"body /nope additionalProperties", "body /audience required"),
		faulty("the same name in several objects", 422, probe{url: "/v1/values", body: `{"any":[{"a":1},{"a":{"a":2}}],"nope":{"any":1}}`}, "body /nope additionalProperties"),
		faulty("duplicate key spelled otherwise", 400, post(plus(`"n\u0061me":"other"`)), "body /name repeated"),
		faulty("duplicate key in an open object", 400, post(plus(`"credentials":{"x":1,"x":2}`)), "body /credentials/x repeated"),
		faulty("data after the JSON", 400, post(validCampaign+"garbage"), "body syntax"),
		faulty("second JSON value", 400, post(validCampaign+`{"name":"x"}`), "body syntax"),
		faulty("data after JSON with a fault", 400, post(plus(`"nope":1`)+" ]"), "body syntax", "body /nope additionalProperties"),
		faulty("data after a scalar", 400, post(`"a" "b"`), "body syntax", "body type"),
		faulty("cut off", 400, post(validCampaign[:40]), "body syntax"),
		faulty("only white space", 400, post("  \n"), "body syntax"),
		faulty("byte order mark", 400, post("\xef\xbb\xbf"+validCampaign), "body syntax"),
		faulty("raw NUL", 400, post(with(t, "Winter sale", "Win\x00ter")), "body /name syntax"),
		faulty("bad UTF-8", 400, post(with(t, "Winter sale", "Win\xff\xfeter")), "body /name encoding"),
		faulty("lone surrogate", 400, post(with(t, "Winter sale", `Win\ud800ter`)), "body /name encoding"),
		faulty("bad UTF-8 in a name", 400, post(plus("\"a\xff\":1")), "body /a\uFFFD encoding", "body /a\uFFFD additionalProperties"),
		faulty("bad UTF-8 in open values", 400, probe{url: "/v1/values", body: "{\"any\":[\"\xff\",{\"\xff\":1}],\"list\":1}"},
			"body /any/0 encoding", "body /any/1/\uFFFD encoding", "body /list type"),
		faulty("bad UTF-8 before an integer to be respelled", 400, probe{url: "/v1/values", body: "{\"any\":\"\xff\",\"int\":1e0}"}, "body /any encoding"),
		faulty("all at once", 400, post("{\"name\":\"\xff\",\"name\":\"\\u0000\",\"channel\":1} x"),
			"body /name encoding", "body /name repeated", "body /name encoding", "body syntax", "body /channel type", "body /audience required"),
		faulty("syntax after a duplicate key", 400, post(`{"name":"a","name":"b",}`), "body /name repeated", "body syntax"),
		faulty("leading zero", 400, post(with(t, "250000", "0250000")), "body /budget syntax"),
		faulty("NaN", 400, post(with(t, "250000", "NaN")), "body /budget/amount syntax"),
		faulty("trailing comma", 400, post(with(t, `"crm"}`, `"crm",}`)), "body /metadata syntax"),
		faulty("comment", 400, post("/* */"+validCampaign), "body syntax"),
		faulty("nesting of 100,000", 400, post(with(t, `{"owner":"growth","team":"crm"}`, strings.Repeat("[", 100000)+strings.Repeat("]", 100000))), "body /metadata"+strings.Repeat("/0", 245)+"/ syntax"),

		faulty("escaped NUL", 422, post(with(t, "Winter sale", `Win\u0000ter`)), "body /name encoding"),
		faulty("escaped NUL in an open value", 422, probe{url: "/v1/values", body: `{"any":[{"a":"\u0000"}]}`}, "body /any/0/a encoding"),
		faulty("escaped NUL in an open name", 422, probe{url: "/v1/values", body: `{"open":{"a\u0000":1}}`}, "body /open/a\x00 encoding"),
		accept("escaped backslash before u0000", probe{url: "/v1/values", body: `{"any":"\\u0000"}`}),

		faulty("no body", 400, probe{url: campaigns}, "body required"),
		faulty("no body but a type", 400, probe{url: campaigns, headers: []string{"Content-Type: application/json"}}, "body required"),
		accept("optional body missing", probe{url: "/v1/notes"}),
		accept("optional body missing, with a type", probe{url: "/v1/notes", headers: []string{"Content-Type: application/json"}}),
		reject("optional body bad", 422, "MISSING_REQUIRED_FIELD", probe{url: "/v1/notes", body: `{}`}, "body /text required"),
	})
}

func TestNestingIsBounded(t *testing.T) {
	rule := func(levels int) probe {
		return probe{url: "/v1/segments", body: strings.Repeat(`{"not":`, levels-1) + `{"field":"email"}` + strings.Repeat(`}`, levels-1)}
	}
	runProbes(t, []probeCase{
		accept("32 levels", rule(32)),
		faulty("33 levels", 400, rule(33), "body depth"),
		faulty("fault at the deepest level", 422, probe{url: "/v1/segments", body: strings.Repeat(`{"not":`, 31) + `{"x":1}` + strings.Repeat(`}`, 31)},
			"body "+strings.Repeat("/not", 31)+"/x additionalProperties"),
		faulty("missing at the deepest level", 422, probe{url: "/v1/segments", body: strings.Repeat(`{"not":`, 31) + `{}` + strings.Repeat(`}`, 31)},
			"body "+strings.Repeat("/not", 31)+" minProperties"),
		accept("brackets in strings", probe{url: "/v1/values", body: `{"any":"` + strings.Repeat("[", 100) + `\"{"}`}),
		faulty("open values", 400, probe{url: "/v1/values", body: `{"any":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`}, "body depth"),
	})
}

func TestEveryKeywordIsEnforced(t *testing.T) {
	value := func(member string) probe { return probe{url: "/v1/values", body: "{" + member + "}"} }
	var cases []probeCase
	for _, member := range []string{
		`"any":{"x":[1,null,"a",{}]}`, `"always":[]`, `"open":{"x":{"y":1}}`, `"list":[1,"a"]`, `"bool":false`, `"yes":true`, `"nothing":null`,
		`"int":-9223372036854775808`, `"int":9223372036854775807.0`, `"int":-0`, `"int32":2147483647`, `"int32":-2147483648`, `"count":-5`, `"count":9`,
		`"one":1`, `"one":1.0`, `"one":2`, `"one":3e1`, `"float":3.4e38`, `"double":1.7e308`, `"ratio":0.5`, `"mixed":"ab"`, `"mixed":10.5`, `"mixed":true`, `"mixed":null`,
		`"scalar":"a"`, `"scalar":1.0`, `"scalar":true`, `"scalar":null`, `"const":"x"`, `"nested":[[1,2],[]]`, `"sized":{"a":1}`, `"half":{"a":1,"b":null,"c":2}`,
		`"some":"abc"`, `"some":"long story"`, `"some":4`, `"exactly":"abc"`, `"exactly":"long"`, `"exactly":null`, `"every":{"a":1,"c":2}`,
		`"shape":5`, `"shape":[]`, `"channel":"viber"`, `"phone":null`, `"phone":"+49301234567"`,
	} {
		cases = append(cases, accept(member, value(member)))
	}
	for member, problem := range map[string]string{
		`"nope":1`: "/nope additionalProperties", `"open":[]`: "/open type", `"list":{}`: "/list type", `"bool":"true"`: "/bool type", `"yes":false`: "/yes const", `"nothing":0`: "/nothing type",
		`"any":1e400`: "/any format", `"int":1.5`: "/int type", `"int":-9223372036854775809`: "/int format", `"int":1e19`: "/int format", `"int32":2147483648`: "/int32 format", `"int32":-2147483649`: "/int32 format",
		`"count":-6`: "/count minimum", `"count":10`: "/count exclusiveMaximum", `"one":3`: "/one enum", `"one":"1"`: "/one type", `"float":3.5e38`: "/float format", `"double":1e309`: "/double format",
		`"ratio":0`: "/ratio exclusiveMinimum", `"ratio":0.51`: "/ratio maximum", `"mixed":"a"`: "/mixed minLength", `"mixed":"abcde"`: "/mixed maxLength", `"mixed":9`: "/mixed minimum", `"mixed":[]`: "/mixed type",
		`"scalar":"b"`: "/scalar enum", `"scalar":2`: "/scalar enum", `"scalar":false`: "/scalar enum", `"scalar":{}`: "/scalar enum", `"scalar":["a"]`: "/scalar enum", `"const":"y"`: "/const const",
		`"nested":[[1,2,3]]`: "/nested/0 maxItems", `"nested":[[],[1,"2"]]`: "/nested/1/1 type", `"sized":{}`: "/sized minProperties", `"sized":{"a":1,"b":2,"c":3}`: "/sized maxProperties", `"sized":{"a":""}`: "/sized/a type",
		`"some":"short"`: "/some anyOf", `"some":true`: "/some type", `"some":1.5`: "/some type", `"exactly":"l"`: "/exactly oneOf", `"exactly":"abcd"`: "/exactly oneOf", `"exactly":1`: "/exactly type",
		`"every":{"a":1,"b":"","c":0}`: "/every maxProperties", `"every":{"a":""}`: "/every/a type", `"every":[]`: "/every type", `"shape":4`: "/shape minimum", `"shape":[1.5]`: "/shape/0 type", `"shape":""`: "/shape type",
		`"channel":"sms"`: "/channel minLength", `"channel":"smss"`: "/channel enum", `"tagged":"segment"`: "/tagged type",
	} {
		cases = append(cases, faulty(member, 422, value(member), "body "+problem))
	}
	cases = append(cases,
		reject("required without a property", 422, "MISSING_REQUIRED_FIELD", value(`"half":{"a":1}`), "body /half/b required"),
		reject("required in a part", 422, "MISSING_REQUIRED_FIELD", value(`"every":{"b":"x"}`), "body /every/a required"),
		reject("own code through a part", 422, "INVALID_PHONE_NUMBER", value(`"phone":"030123456"`), "body /phone pattern"))
	runProbes(t, cases)
}

func TestMediaTypeIsEnforced(t *testing.T) {
	typed := func(contentType string) probe { return post(validCampaign, "Content-Type: "+contentType) }
	unsupported := func(name string, p probe) probeCase {
		return reject(name, 415, "UNSUPPORTED_MEDIA_TYPE", p, "header Content-Type unsupported")
	}
	encoded := func(encoding string) probe { return post(validCampaign, "Content-Encoding: "+encoding) }
	runProbes(t, []probeCase{
		accept("charset", typed("application/json; charset=utf-8")),
		accept("charset in capitals and quotes", typed(`application/json;charset="UTF-8"`)),
		accept("type in capitals", typed("Application/JSON")),
		accept("merge-patch", patch(`{"starts_at":null}`, "Content-Type: application/merge-patch+json")),
		accept("patch as JSON in capitals", patch(`{"starts_at":null}`, "Content-Type: Application/JSON")),
		accept("identity", encoded("Identity")),
		unsupported("none", post(validCampaign, "Content-Type")),
		unsupported("an empty one", typed("")),
		unsupported("text", typed("text/plain")),
		unsupported("longer name", typed("application/jsonx")),
		unsupported("another JSON", typed("application/problem+json")),
		unsupported("charset of another kind", typed("application/json; charset=iso-8859-1")),
		unsupported("charset twice", typed("application/json; charset=utf-8; charset=latin1")),
		unsupported("no type at all", typed(";")),
		unsupported("two headers", post(validCampaign, "Content-Type: application/json", "Content-Type: application/json")),
		unsupported("type comes before a bad body and a bad query", probe{url: campaigns + "?x=1", body: "{", headers: []string{"Content-Type: text/plain"}}),
		reject("gzip", 415, "UNSUPPORTED_MEDIA_TYPE", encoded("gzip"), "header Content-Encoding unsupported"),
		reject("gzip after identity", 415, "UNSUPPORTED_MEDIA_TYPE", post(validCampaign, "Content-Encoding: identity", "Content-Encoding: gzip"), "header Content-Encoding unsupported"),
		faulty("patch without members", 422, patch(`{}`), "body minProperties"),
		faulty("patch with null where it is not allowed", 422, patch(`{"name":null}`), "body /name type"),
		accept("patch of a nullable object", patch(`{"budget":null}`)),
		faulty("patch within a nullable object", 422, patch(`{"budget":{"amount":1,"currency":"eur"}}`), "body /budget/currency pattern"),
	})
}

func TestBodyWhereNoneIsDeclaredIsRefused(t *testing.T) {
	verb := "/v1/campaigns/cmp_1/send"
	runProbes(t, []probeCase{
		accept("verb", probe{url: verb}),
		accept("verb with a type", probe{url: verb, headers: []string{"Content-Type: application/json"}}),
		faulty("verb with a body", 400, probe{url: verb, body: "{}"}, "body unexpected"),
		faulty("GET with a body", 400, probe{method: http.MethodGet, url: campaigns, body: "{}"}, "body unexpected"),
		faulty("DELETE with a body", 400, probe{method: http.MethodDelete, url: campaign1, body: " "}, "body unexpected"),
	})
}

func TestQueryIsHeldToTheContract(t *testing.T) {
	query := func(q string) probe { return get(campaigns + "?" + q) }
	bad := func(q, problem string) probeCase { return faulty(q, 400, query(q), "query "+problem) }
	runProbes(t, []probeCase{
		accept("all", query("limit=5&cursor=abc&search=a+b%26&status=draft&status=sent&created_after=2026-01-01T00:00:00%2B01:00&archived=true&ratio=0.5")),
		accept("none", query("")),
		accept("empty pairs", query("&&limit=5&")),
		accept("empty search", query("search=")),
		accept("bare search", query("search")),
		accept("escaped name", query("lim%69t=5")),
		accept("umlaut", query("search=%C3%A4")),
		bad("limt=5", "limt unknown"),
		bad("Limit=5", "Limit unknown"),
		bad("=5", "unknown"),
		bad("limit=5&limit=7", "limit repeated"),
		bad("limit=abc", "limit type"),
		bad("limit=1.0", "limit type"),
		bad("limit=1e1", "limit type"),
		bad("limit=%2B5", "limit type"),
		bad("limit=+5", "limit type"),
		bad("limit=05", "limit type"),
		bad("limit=", "limit type"),
		bad("limit", "limit type"),
		bad("limit=-", "limit type"),
		bad("limit=0x10", "limit type"),
		bad("limit=0", "limit minimum"),
		bad("limit=101", "limit maximum"),
		bad("limit=99999999999999999999", "limit format"),
		bad("ratio=x", "ratio type"),
		bad("ratio=%201", "ratio type"),
		bad("ratio=NaN", "ratio type"),
		bad("ratio=0", "ratio exclusiveMinimum"),
		bad("archived=TRUE", "archived type"),
		bad("archived=1", "archived type"),
		bad("search=%zz", "search encoding"),
		bad("%zz=1", "%zz encoding"),
		bad("limit=5;search=x", "limit encoding"),
		bad("search=a%00b", "search encoding"),
		bad("search=%ff", "search encoding"),
		bad("search="+strings.Repeat("a", 21), "search maxLength"),
		bad("status=draft&status=nope", "status enum"),
		bad("status=draft&status=draft", "status uniqueItems"),
		bad("status=draft,sent", "status enum"),
		bad("status=draft&status=sent&status=sending&status=scheduled", "status maxItems"),
		bad("created_after=2026-13-01T00:00:00Z", "created_after format"),
		bad("created_after=2026-01-01T00:00:00+01:00", "created_after format"), // the plus sign is a space
		reject("cursor", 400, "INVALID_CURSOR", query("cursor=AB"), "query cursor pattern"),
		reject("cursor too long", 400, "INVALID_CURSOR", query("cursor="+strings.Repeat("a", 21)), "query cursor maxLength"),
		reject("cursor with NUL", 400, "INVALID_CURSOR", query("cursor=%00"), "query cursor encoding"),
		reject("cursor of bad UTF-8", 400, "INVALID_CURSOR", query("cursor=%ff"), "query cursor encoding"),
		faulty("where none is declared", 400, get(campaign1+"?x=1"), "query x unknown"),
	})
}

func TestPathAndHeadersAreHeldToTheContract(t *testing.T) {
	page := func(path string, headers ...string) probe {
		return get("/v1/pages/"+path+"?size=small", append(headers, "X-Part: 1")...)
	}
	key := func(v ...string) probe {
		p := post(validCampaign)
		for _, v := range v {
			p.headers = append(p.headers, "Idempotency-Key: "+v)
		}
		return p
	}
	condition := func(versions ...string) probe {
		p := probe{method: http.MethodDelete, url: campaign1}
		for _, v := range versions {
			p.headers = append(p.headers, "If-Match: "+v)
		}
		return p
	}
	runProbes(t, []probeCase{
		accept("path", get(campaign1)),
		accept("escaped where it need not be", get("/v1/campaigns/%63mp_1")),
		faulty("pattern", 400, get("/v1/campaigns/nope"), "path id pattern"),
		faulty("escaped slash", 400, get("/v1/campaigns/cmp_1%2F"), "path id pattern"),
		faulty("escaped twice", 400, get("/v1/campaigns/cmp_%2561"), "path id pattern"),
		accept("text", page("1/a%20b%2Fc")),
		faulty("number", 400, page("x/a"), "path number type"),
		faulty("number 0", 400, page("0/a"), "path number minimum"),
		faulty("NUL", 400, page("1/a%00"), "path title encoding"),
		faulty("bad UTF-8", 400, page("1/%ff"), "path title encoding"),

		accept("one key", key("a")),
		accept("key of 255 characters", key(strings.Repeat("a", 255))),
		faulty("key of 256 characters", 400, key(strings.Repeat("a", 256)), "header Idempotency-Key maxLength"),
		faulty("empty key", 400, key(""), "header Idempotency-Key minLength"),
		faulty("two keys", 400, key("a", "b"), "header Idempotency-Key repeated"),
		faulty("two keys, the same", 400, key("a", "a"), "header Idempotency-Key repeated"),
		faulty("key with a tabulator", 400, key("a\tb"), "header Idempotency-Key pattern"),
		faulty("key that is not ASCII", 400, key("ä"), "header Idempotency-Key pattern"),
		faulty("header of bad UTF-8", 400, key("\xff"), "header Idempotency-Key encoding"),
		accept("no version", condition()),
		accept("a version", condition(`"7"`)),
		accept("some versions", condition(`"7", "8"`)),
		accept("any version", condition(`*`)),
		faulty("empty version", 400, condition(""), "header If-Match pattern"),
		faulty("version without quotes", 400, condition("7"), "header If-Match pattern"),
		faulty("weak version", 400, condition(`W/"7"`), "header If-Match pattern"),
		faulty("version too long", 400, condition(`"`+strings.Repeat("7", 39)+`"`), "header If-Match maxLength"),
		faulty("two versions", 400, condition(`"7"`, `"8"`), "header If-Match repeated"),
		faulty("header named in the document's letters", 400, probe{method: http.MethodDelete, url: campaign1 + "/report", headers: []string{"X-Report-Sha256: x"}},
			"header X-Report-SHA256 pattern"),
		accept("undeclared headers", post(validCampaign, "X-Whatever: 1", "X-Whatever: 2")),
		faulty("header of the path item", 400, post(validCampaign, "X-Trace: "+strings.Repeat("a", 101)), "header X-Trace maxLength"),
		faulty("missing header and query", 400, get("/v1/pages/1/a"), "query size required", "header X-Part required"),
		faulty("header of the wrong type", 400, get("/v1/pages/1/a?size=small", "X-Part: 1.0"), "header X-Part type"),
	})
}

func TestAcceptIsEnforced(t *testing.T) {
	asking := func(values ...string) probe {
		p := get(campaigns)
		for _, v := range values {
			p.headers = append(p.headers, "Accept: "+v)
		}
		return p
	}
	var cases []probeCase
	for _, v := range []string{
		"*/*", "application/json", "APPLICATION/JSON", "application/*", "application/problem+json", "application/json;version=1", "text/html, application/xhtml+xml, */*;q=0.8",
		"application/json; q=0.001", "text/html;q=0, application/*", "application/problem+json, */*;q=0",
	} {
		cases = append(cases, accept(v, asking(v)))
	}
	for _, v := range []string{"text/html", "text/*", "application/xml", "json", "application/json;q=0", "*/*;q=0", "application/json;q=0, application/problem+json;q=0.0, */*", "image/*, text/html"} {
		cases = append(cases, reject(v, 406, "NOT_ACCEPTABLE", asking(v), "header Accept accept"))
	}
	cases = append(cases,
		accept("two headers", asking("text/html", "application/json")),
		accept("no answer has a body", probe{method: http.MethodDelete, url: campaign1, headers: []string{"Accept: text/html"}}),
		accept("what the operation answers", get("/v1/status", "Accept: text/plain")),
		accept("what success is", get(campaign1+"/report", "Accept: text/csv")),
		accept("no more than problems", get(campaign1+"/report", "Accept: application/problem+json")),
		accept("no more than problems, which the document does not declare", get("/v1/status", "Accept: application/problem+json")),
		reject("what errors alone are", 406, "NOT_ACCEPTABLE", get(campaign1+"/report", "Accept: application/json"), "header Accept accept"),
		accept("what errors are where success has no body", probe{method: http.MethodDelete, url: campaign1 + "/report", headers: []string{"Accept: application/json"}}),
		reject("not even errors", 406, "NOT_ACCEPTABLE", probe{method: http.MethodDelete, url: campaign1 + "/report", headers: []string{"Accept: text/html"}}, "header Accept accept"),
		reject("comes before other faults", 406, "NOT_ACCEPTABLE", get(campaigns+"?x=1", "Accept: text/html"), "header Accept accept"))
	runProbes(t, cases)
}

func TestKeyComesFirst(t *testing.T) {
	keys := func(headers ...string) probe { return get(campaigns+"?unknown=1", headers...) }
	known := "query unknown unknown"
	runProbes(t, []probeCase{
		faulty("X-API-Key", 400, keys(), known),
		faulty("bearer", 400, keys("X-API-Key", "Authorization: Bearer "+goodKey), known),
		faulty("bearer in lower case", 400, keys("X-API-Key", "Authorization: bearer  "+goodKey), known),
		faulty("both, the same", 400, keys("X-API-Key: "+goodKey, "Authorization: Bearer "+goodKey), known),
		faulty("another scheme beside it", 400, keys("Authorization: Basic eDp5"), known),
		reject("none", 401, "UNAUTHORIZED", keys("X-API-Key")),
		reject("an empty one", 401, "UNAUTHORIZED", keys("X-API-Key: ")),
		reject("another scheme", 401, "UNAUTHORIZED", keys("X-API-Key", "Authorization: Basic eDp5")),
		reject("empty bearer", 401, "UNAUTHORIZED", keys("X-API-Key", "Authorization: Bearer")),
		reject("twice", 401, "INVALID_API_KEY", keys("X-API-Key: "+goodKey, "X-API-Key: "+goodKey)),
		reject("bearer twice", 401, "INVALID_API_KEY", keys("X-API-Key", "Authorization: Bearer a", "Authorization: Bearer b")),
		reject("both, differing", 401, "INVALID_API_KEY", keys("Authorization: Bearer other")),
		reject("refused", 403, "", keys("X-API-Key: other")),
		reject("refused before anything of the body", 403, "", post("{", "X-API-Key: other", "Content-Type: text/plain", "Accept: text/html")),
		accept("public", get("/v1/status", "X-API-Key")),
		accept("public, whatever the key", get("/v1/status", "X-API-Key: a", "X-API-Key: b")),
	})
}
