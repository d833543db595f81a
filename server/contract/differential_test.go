package contract

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// checksPerSchema times the schemas of TestChecksAgreeWithJSONSchema is 20,000.
const checksPerSchema = 4000

// setChecks sets how often rapid repeats a property in this test, unless the
// command line says it.
func setChecks(t *testing.T, checks int) {
	f := flag.Lookup("rapid.checks")
	if before := f.Value.String(); before == f.DefValue {
		require.NoError(t, f.Value.Set(strconv.Itoa(checks)))
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
}

func TestChecksAgreeWithJSONSchema(t *testing.T) {
	setChecks(t, checksPerSchema)
	doc := loadSpec(t)
	c := &compiler{done: map[use]*schema{}}
	for _, name := range []string{"CampaignCreate", "CampaignPatch", "Rule", "Values", "Audience"} {
		t.Run(name, func(t *testing.T) {
			ref := doc.Components.Schemas[name]
			ours, err := c.compile(ref, false)
			require.NoError(t, err)
			theirs := oracle(t, name)
			valid, invalid := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				v := generate(t, ref, 0)
				for range rapid.IntRange(0, 2).Draw(t, "mutations") {
					v = mutate(t, v)
				}
				var text strings.Builder
				spell(&text, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "spelling"), 0)), v)
				want := agrees(t, theirs, text.String())
				var f faults
				kept := checkJSON([]byte(text.String()), ours, &f)
				if got := f.count == 0; got != want {
					t.Fatalf("jsonschema says %t, the contract %t %+v: %s", want, got, f.list, &text)
				}
				if want {
					valid++
					requireSameValue(t, text.String(), kept)
				} else {
					invalid++
				}
			})
			t.Logf("%d valid, %d invalid", valid, invalid)
			require.Greater(t, valid, invalid/20, "the generator is too wild")
			require.Greater(t, invalid, valid/20, "the generator is too tame")
		})
	}
}

func agrees(t *rapid.T, s *jsonschema.Schema, text string) bool {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("the generator made %q: %v", text, err)
	}
	return s.Validate(v) == nil
}

// requireSameValue says that respelled integers are the same numbers.
func requireSameValue(t *rapid.T, sent string, kept []byte) {
	var a, b any
	require.NoError(t, json.Unmarshal([]byte(sent), &a))
	require.NoError(t, json.Unmarshal(kept, &b), "%s", kept)
	require.Equal(t, a, b)
}

// oracle compiles a schema of the test spec with formats asserted. It knows
// two things that are OpenAPI's and not JSON Schema's: read-only properties do
// not belong to a request, and integers have a size.
func oracle(t *testing.T, name string) *jsonschema.Schema {
	data, err := os.ReadFile(specSource)
	require.NoError(t, err)
	var doc any
	require.NoError(t, yaml.Unmarshal(data, &doc))
	asJSON, err := json.Marshal(withoutReadOnly(doc))
	require.NoError(t, err)
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.RegisterFormat(&jsonschema.Format{Name: "int32", Validate: func(v any) error {
		if n, isNumber := v.(json.Number); isNumber {
			if f, err := n.Float64(); err != nil || f != float64(int32(f)) {
				return jsonschema.LocalizableError("no int32")
			}
		}
		return nil
	}})
	c.RegisterFormat(&jsonschema.Format{Name: "float", Validate: func(v any) error {
		if n, isNumber := v.(json.Number); isNumber {
			if f, err := n.Float64(); err != nil || math.IsInf(float64(float32(f)), 0) {
				return jsonschema.LocalizableError("no float")
			}
		}
		return nil
	}})
	require.NoError(t, c.AddResource("spec.json", resource))
	s, err := c.Compile("spec.json#/components/schemas/" + name)
	require.NoError(t, err)
	return s
}

func withoutReadOnly(v any) any {
	switch v := v.(type) {
	case map[string]any:
		properties, _ := v["properties"].(map[string]any)
		required, _ := v["required"].([]any)
		for name, p := range properties {
			if s, isObject := p.(map[string]any); isObject && s["readOnly"] == true {
				properties[name] = false
				var rest []any
				for _, r := range required {
					if r != name {
						rest = append(rest, r)
					}
				}
				v["required"] = rest
			}
		}
		for k := range v {
			v[k] = withoutReadOnly(v[k])
		}
	case []any:
		for i := range v {
			v[i] = withoutReadOnly(v[i])
		}
	}
	return v
}
