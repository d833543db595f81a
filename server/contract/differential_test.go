package contract

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// compared are documents, and how many bodies are made for the request schemas
// of each together; with -short a fifth of them.
var compared = map[string]int{
	specSource:           20_000,
	"../../openapi.yaml": 100_000,
}

// setChecks sets how often rapid repeats a property in this test, unless the
// command line says it.
func setChecks(t *testing.T, checks int) {
	f := flag.Lookup("rapid.checks")
	if before := f.Value.String(); before == f.DefValue {
		require.NoError(t, f.Value.Set(strconv.Itoa(checks)))
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
}

// TestChecksAgreeWithJSONSchema compares the contract with another
// implementation of JSON Schema that asserts formats, body by body. The two differ
// on purpose in what follows; the bodies made here have the first three nowhere,
// and of the last the contract may only be the stricter one.
//   - The NUL character is refused.
//   - More than 32 levels are refused.
//   - Integers beyond 64 bits are refused, and numbers beyond double precision.
//   - Some mailboxes, URIs without a host, leap seconds and lower-case letters
//     in times, and the year 0 are refused.
func TestChecksAgreeWithJSONSchema(t *testing.T) {
	for source, bodies := range compared {
		t.Run(filepath.Base(source), func(t *testing.T) {
			doc := loadFile(t, source)
			names := propertyNames(doc)
			schemas := requestSchemas(doc)
			setChecks(t, bodies/len(schemas)+1)
			made := 0
			for pointer, ref := range schemas {
				t.Run(pointer, func(t *testing.T) { made += compare(t, ref, oracle(t, source, pointer), names) })
			}
			t.Logf("%d bodies for %d schemas", made, len(schemas))
		})
	}
}

// compare says how many bodies it made.
func compare(t *testing.T, ref *openapi3.SchemaRef, theirs *jsonschema.Schema, names []string) int {
	ours, err := (&compiler{done: map[use]*schema{}}).compile(ref, false)
	require.NoError(t, err)
	valid, invalid, stricter := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		v := generate(t, ref, 0)
		for range rapid.IntRange(0, 2).Draw(t, "mutations") {
			v = mutate(t, v, names)
		}
		var text strings.Builder
		spell(&text, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "spelling"), 0)), v)
		var f faults
		kept := checkJSON([]byte(text.String()), ours, &f)
		got, want := f.count == 0, agrees(t, theirs, text.String())
		switch {
		case got && want:
			valid++
			requireSameValue(t, text.String(), kept)
		case got == want:
			invalid++
		case !got && onlyStricterFormats(&f):
			stricter++
		default:
			t.Fatalf("jsonschema says %t, the contract %t %+v: %s", want, got, f.list, &text)
		}
	})
	t.Logf("%d valid, %d invalid, %d of a format that the contract draws narrower", valid, invalid, stricter)
	require.Greater(t, valid, invalid/5, "the generator is too wild")
	require.Greater(t, invalid, valid/5, "the generator is too tame")
	require.Less(t, stricter, (valid+invalid)/50, "formats are hardly compared")
	return valid + invalid + stricter
}

// TestFormatsTakeNothingThatJSONSchemaRefuses is the same for formats alone, on
// texts that are nearly right.
func TestFormatsTakeNothingThatJSONSchemaRefuses(t *testing.T) {
	setChecks(t, 10_000)
	for format, nearly := range map[string]string{
		"date-time": `[0-9]{3}[1-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])`,
		"date":      `[0-9]{3}[1-9]-[01][0-9]-[0-3][0-9]`,
		"email":     "[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,70}@[A-Za-z0-9.-]{1,70}\\.[a-z0-9]{1,6}",
		"uri":       `[a-z][a-z0-9+.-]{0,5}:(//)?[a-z0-9@:%.\[\]-]{0,20}(/[A-Za-z0-9%/._~-]{0,10}){0,3}(\?[a-z=&%0-9]{0,8})?(#[a-z]{0,4})?`,
		"uuid":      `[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	} {
		t.Run(format, func(t *testing.T) {
			c := jsonschema.NewCompiler()
			c.AssertFormat()
			require.NoError(t, c.AddResource("format.json", map[string]any{"format": format}))
			theirs, err := c.Compile("format.json")
			require.NoError(t, err)
			taken, refused, stricter := 0, 0, 0
			rapid.Check(t, func(t *rapid.T) {
				text := rapid.StringMatching(nearly).Draw(t, "text")
				for range rapid.IntRange(0, 2).Draw(t, "scratches") {
					text = scratch(t, text)
				}
				got, want := textFormats[format].ok(text), theirs.Validate(text) == nil
				switch {
				case got && !want:
					t.Fatalf("jsonschema refuses %q", text)
				case got:
					taken++
				case want:
					stricter++
				default:
					refused++
				}
			})
			t.Logf("%d taken, %d refused, %d refused by the contract alone", taken, refused, stricter)
			require.Greater(t, taken, refused/20, "the texts are too wild")
			require.Greater(t, refused, taken/20, "the texts are too tame")
		})
	}
	require.Len(t, textFormats, 5, "a format is not compared")
}

// onlyStricterFormats says whether nothing is wrong but formats of which the
// contract takes less than RFC 3339, 5321 and 3986 do.
func onlyStricterFormats(f *faults) bool {
	return f.count == len(f.list) && !slices.ContainsFunc(f.list, func(p Problem) bool {
		expected := []string{textFormats["date-time"].expected, textFormats["email"].expected, textFormats["uri"].expected, textFormats["date"].expected}
		return p.Rule != "format" || !slices.Contains(expected, p.Expected)
	})
}

// requestSchemas are the schemas of the document's JSON bodies, by JSON pointer.
func requestSchemas(doc *openapi3.T) map[string]*openapi3.SchemaRef {
	schemas := map[string]*openapi3.SchemaRef{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody == nil {
				continue
			}
			for name, media := range op.RequestBody.Value.Content {
				if !strings.HasSuffix(name, "json") || strings.HasSuffix(name, "ndjson") {
					continue
				}
				pointer := media.Schema.Ref
				if pointer == "" {
					pointer = "#/paths/" + pointerEscapes.Replace(path) + "/" + strings.ToLower(method) + "/requestBody/content/" + pointerEscapes.Replace(name) + "/schema"
				}
				schemas[pointer] = media.Schema
			}
		}
	}
	return schemas
}

// propertyNames are those of all schemas with a name, for mutations.
func propertyNames(doc *openapi3.T) []string {
	names := map[string]bool{}
	for _, ref := range doc.Components.Schemas {
		for name := range ref.Value.Properties {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
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

// oracle compiles a schema of a document with formats asserted. It knows two
// things that are OpenAPI's and not JSON Schema's: read-only properties do not
// belong to a request, and integers have a size.
func oracle(t *testing.T, source, pointer string) *jsonschema.Schema {
	data, err := os.ReadFile(source)
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
	s, err := c.Compile("spec.json" + pointer)
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
