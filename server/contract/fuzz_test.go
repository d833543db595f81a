package contract

import (
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// FuzzBody sends any bytes through every schema of the test spec. What is let
// through must be JSON that decodes to what was sent; nothing may panic.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		"", " ", "{", `{"a":1,"a":2}`, "[[[]]]", `"\ud800"`, `{"a\u0000":"\u0000"}`, `{"amount":2e1,"list":[1.0,20e-1,"\\\""]}`, validCampaign,
		`{"all":[{"not":{"field":"email","values":["a",1.0]}}]}`, `{"nested":[[1,2],[]],"some":"long","exactly":null,"every":{"a":1e0}}`, "\xff", "null", "-0.0e-0",
	} {
		f.Add([]byte(seed))
	}
	doc := loadSpec(f)
	c := &compiler{done: map[use]*schema{}}
	var schemas []*schema
	for _, ref := range doc.Components.Schemas {
		s, err := c.compile(ref, false)
		require.NoError(f, err)
		schemas = append(schemas, s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, s := range schemas {
			var found faults
			kept := checkJSON(data, s, &found)
			if found.err() != nil {
				require.LessOrEqual(t, len(found.list), maxProblems)
				continue
			}
			require.True(t, jsontext.Value(data).IsValid())
			var sent, bound any
			require.NoError(t, json.Unmarshal(data, &sent))
			require.NoError(t, json.Unmarshal(kept, &bound))
			require.Equal(t, sent, bound)
		}
	})
}

// FuzzQuery sends any query string to an operation. Nothing may panic, and
// what is let through has declared names only.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=5", "limit=%2B5&status=draft&status=sent", "a;b", "%zz=%", "=&&=", "search=%00%ff", "ratio=1e-5&archived=true"} {
		f.Add(seed)
	}
	op := compileSpec(f).operations["listCampaigns"]
	f.Fuzz(func(t *testing.T, raw string) {
		var found faults
		op.checkQuery(raw, &found)
		if found.err() == nil {
			r := get(campaigns).request()
			r.URL.RawQuery = raw
			for name := range r.URL.Query() {
				require.Contains(t, op.byQuery, name)
			}
		}
	})
}
