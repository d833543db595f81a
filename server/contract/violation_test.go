package contract

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func violationOf(t *testing.T, p probe) *Violation {
	t.Helper()
	e, last := newServer(t, ok)
	_, v := send(e, last, p.request())
	require.NotNil(t, v, "%v", *last)
	return v
}

func TestProblemsSpeakTheSpecsWords(t *testing.T) {
	for member, want := range map[string]Problem{
		`"channel":"fax"`: {
			In: "body", Field: "/channel", Rule: "enum", Message: "must be one of: sms, whatsapp, rcs, viber, email",
			Value: "fax", Expected: "one of: sms, whatsapp, rcs, viber, email", Code: "VALIDATION_ERROR",
		},
		`"nope":1`: {In: "body", Field: "/nope", Rule: "additionalProperties", Message: "is not a known field", Code: "VALIDATION_ERROR"},
		`"audience":{"type":"segment"}`: {
			In: "body", Field: "/audience/segment_id", Rule: "required", Message: "is required", Code: "MISSING_REQUIRED_FIELD",
		},
		`"audience":{"type":"fax"}`: {
			In: "body", Field: "/audience/type", Rule: "discriminator", Message: "must be one of: list, segment",
			Value: "fax", Expected: "one of: list, segment", Code: "VALIDATION_ERROR",
		},
		`"description":"` + strings.Repeat("é", 101) + `"`: {
			In: "body", Field: "/description", Rule: "maxLength", Message: "must have at most 20 characters",
			Value: strings.Repeat("é", 100), Expected: "at most 20 characters", Code: "VALIDATION_ERROR",
		},
		`"name":""`: {
			In: "body", Field: "/name", Rule: "minLength", Message: "must have at least 1 character",
			Value: "", Expected: "at least 1 character", Code: "VALIDATION_ERROR",
		},
		`"name":12.50`: {
			In: "body", Field: "/name", Rule: "type", Message: "must be a string",
			Value: "12.50", Expected: "a string", Code: "VALIDATION_ERROR",
		},
		`"description":{"x":1}`: {
			In: "body", Field: "/description", Rule: "type", Message: "must be a string or null",
			Expected: "a string or null", Code: "VALIDATION_ERROR",
		},
		`"budget":{"amount":0,"currency":"EUR","share":1}`: {
			In: "body", Field: "/budget/share", Rule: "exclusiveMaximum", Message: "must be less than 1",
			Value: "1", Expected: "less than 1", Code: "VALIDATION_ERROR",
		},
		`"phone":"+1234567x"`: {
			In: "body", Field: "/phone", Rule: "pattern", Message: `must match ^\+[1-9][0-9]{6,14}$`,
			Value: "+1234567x", Expected: `^\+[1-9][0-9]{6,14}$`, Code: "INVALID_PHONE_NUMBER",
		},
		`"reply_to":"nobody"`: {
			In: "body", Field: "/reply_to", Rule: "format", Message: "must be a valid email address",
			Value: "nobody", Expected: "a valid email address", Code: "INVALID_EMAIL",
		},
		`"metadata":{"A":""}`: {
			In: "body", Field: "/metadata/A", Rule: "propertyNames", Message: `is no allowed name: it must match ^[a-z][a-z0-9_]*$`,
			Expected: "^[a-z][a-z0-9_]*$", Code: "VALIDATION_ERROR",
		},
		`"tags":["a","b","a"]`: {
			In: "body", Field: "/tags/2", Rule: "uniqueItems", Message: "is there twice",
			Value: "a", Expected: "items that differ", Code: "VALIDATION_ERROR",
		},
	} {
		t.Run(member, func(t *testing.T) {
			name, _, _ := strings.Cut(member[1:], `"`)
			members := []string{member}
			for other, text := range map[string]string{"name": `"name":"x"`, "channel": `"channel":"sms"`, "audience": `"audience":{"type":"segment","segment_id":"seg_1"}`} {
				if other != name {
					members = append(members, text)
				}
			}
			v := violationOf(t, post("{"+strings.Join(members, ",")+"}"))
			require.Equal(t, []Problem{want}, v.Problems)
			require.Equal(t, want.Code, v.Code)
		})
	}
}

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	v := violationOf(t, probe{url: campaigns + "?x=1&y=2", body: `{"name":"","channel":"fax"}`, headers: []string{"Idempotency-Key: a\tb"}})
	require.Equal(t, http.StatusBadRequest, v.Status)
	require.Equal(t, "VALIDATION_ERROR", v.Code)
	require.Equal(t, []string{
		"query x unknown", "query y unknown", "header Idempotency-Key pattern",
		"body /name minLength", "body /channel enum", "body /audience required",
	}, told(v))
}

func TestStatusIs422OnlyIfAllFaultsLieInTheBodysSchema(t *testing.T) {
	require.Equal(t, 422, violationOf(t, post(`{}`)).Status)
	require.Equal(t, 400, violationOf(t, probe{url: campaigns + "?x=1", body: `{}`}).Status)
	require.Equal(t, 400, violationOf(t, probe{url: campaigns + "?x=1", body: validCampaign}).Status)
	require.Equal(t, 400, violationOf(t, post(`{`)).Status)
}

func TestSeveralFaultsOfOneCodeAreAValidationError(t *testing.T) {
	v := violationOf(t, post(`{}`))
	require.Equal(t, "VALIDATION_ERROR", v.Code)
	require.Equal(t, "MISSING_REQUIRED_FIELD", v.Problems[0].Code)
}

func TestSecretsAreNotEchoed(t *testing.T) {
	for _, p := range []probe{
		post(plus(`"password":"hunter22"`)),
		post(plus(`"credentials":{"pin":"hunter22"}`)),
		post(plus(`"credentials":{"hints":["hunter22"]}`)),
		post(plus(`"credentials":"hunter22"`)),
		post(plus(`"passwort":"hunter22"`)),
		get(campaigns + "?token=hunter22"),
		get(campaigns + "?tokken=hunter22"),
		post(`{"name":"hunter22`),
		{url: campaigns, body: "hunter22"},
	} {
		v := violationOf(t, p)
		require.Len(t, v.Problems, 1)
		require.Nil(t, v.Problems[0].Value)
		require.NotContains(t, fmt.Sprintf("%+v", *v)+v.Error(), "hunter22")
	}
}

func TestErrorTextHoldsNoValue(t *testing.T) {
	v := violationOf(t, post(strings.Replace(validCampaign, "email", "carrier pigeon", 1)))
	require.Equal(t, "carrier pigeon", v.Problems[0].Value)
	require.Equal(t, "422 VALIDATION_ERROR: body /channel must be one of: sms, whatsapp, rcs, viber, email", v.Error())
}

func TestWhatIsSentBackIsBounded(t *testing.T) {
	var members []string
	for i := range 200 {
		members = append(members, fmt.Sprintf(`"%d%s":1`, i, strings.Repeat("é", 1000)))
	}
	v := violationOf(t, post(plus(strings.Join(members, ","))))
	require.Len(t, v.Problems, 20)
	for _, p := range v.Problems {
		require.LessOrEqual(t, len(p.Field), 500)
		require.True(t, utf8.ValidString(p.Field))
	}
	v = violationOf(t, get(campaigns+"?"+strings.Repeat("%C3%A9", 1000)+"=1&search="+strings.Repeat("%C3%A9", 1000)))
	require.Equal(t, strings.Repeat("é", 100), v.Problems[0].Field)
	require.Equal(t, strings.Repeat("é", 100), v.Problems[1].Value)
	v = violationOf(t, get(campaigns+"?search=%ff%ff"+strings.Repeat("a", 200)))
	require.True(t, utf8.ValidString(v.Problems[0].Value.(string)))
}

func TestFaultsBeyondTheListedOnesStillSetTheStatus(t *testing.T) {
	var f faults
	for i := range 100 {
		f.breach(strconv.Itoa(i), &ruleMissing, nil)
	}
	f.fault(inQuery, "x", &ruleNoQuery, nil)
	var v *Violation
	require.ErrorAs(t, f.err(), &v)
	require.Equal(t, http.StatusBadRequest, v.Status)
	require.Equal(t, "VALIDATION_ERROR", v.Code)
	require.Len(t, v.Problems, maxProblems)
}
