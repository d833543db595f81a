package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"
)

// generate draws a value that mostly matches the schema.
func generate(t *rapid.T, ref *openapi3.SchemaRef, depth int) any {
	s := ref.Value
	switch {
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return rapid.SampledFrom(s.Enum).Draw(t, "enum")
	case len(s.OneOf) > 0:
		return generate(t, rapid.SampledFrom(s.OneOf).Draw(t, "oneOf"), depth)
	case len(s.AnyOf) > 0:
		return generate(t, rapid.SampledFrom(s.AnyOf).Draw(t, "anyOf"), depth)
	case s.Type == nil && len(s.AllOf) > 0:
		return generate(t, s.AllOf[len(s.AllOf)-1], depth)
	case s.Type == nil:
		return junk(t)
	}
	switch kind := rapid.SampledFrom(*s.Type).Draw(t, "type"); kind {
	case "null":
		return nil
	case "boolean":
		return rapid.Bool().Draw(t, "boolean")
	case "integer":
		low, high := bounds(s, math.MinInt32, math.MaxInt32)
		if rapid.IntRange(0, 7).Draw(t, "at a bound") == 0 {
			return rapid.SampledFrom([]int64{low - 1, low, high, high + 1}).Draw(t, "bound")
		}
		return rapid.Int64Range(low, high).Draw(t, "integer")
	case "number":
		low, high := bounds(s, -1000, 1000)
		return rapid.SampledFrom([]float64{float64(low), float64(high), 0.5, 1.5, 10, 0}).Draw(t, "number")
	case "string":
		return strings.ReplaceAll(generateString(t, s), "\x00", "0")
	case "array":
		return generateArray(t, s, depth)
	default:
		return generateObject(t, s, depth)
	}
}

func bounds(s *openapi3.Schema, low, high int64) (int64, int64) {
	if s.Min != nil {
		low = int64(*s.Min)
	}
	if s.Max != nil {
		high = int64(*s.Max)
	}
	return min(low, high), high
}

func generateString(t *rapid.T, s *openapi3.Schema) string {
	switch s.Format {
	case "date-time":
		return time.Unix(rapid.Int64Range(-6e10, 2e11).Draw(t, "time"), 0).UTC().Format(time.RFC3339)
	case "date":
		return time.Unix(rapid.Int64Range(-6e10, 2e11).Draw(t, "date"), 0).UTC().Format(time.DateOnly)
	case "email":
		return rapid.StringMatching(`[a-z]{1,20}@[a-z]{1,20}\.[a-z]{2,5}`).Draw(t, "email")
	case "uri":
		return rapid.StringMatching(`https://[a-z]{1,10}\.[a-z]{2,3}/[a-z0-9]{0,9}`).Draw(t, "uri")
	case "uuid":
		return rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).Draw(t, "uuid")
	}
	if s.Pattern != "" && s.Pattern != `^[^\n]*$` {
		return rapid.StringMatching(s.Pattern).Draw(t, "pattern")
	}
	most := 12
	if s.MaxLength != nil {
		longest := int(*s.MaxLength)
		if rapid.IntRange(0, 15+longest/1000).Draw(t, "at a bound") == 0 {
			letter := rapid.SampledFrom([]string{"a", "é"}).Draw(t, "letter")
			return strings.Repeat(letter, longest+rapid.IntRange(0, 1).Draw(t, "beyond"))
		}
		most = min(most, longest)
	}
	return rapid.StringN(int(s.MinLength), most, -1).Draw(t, "string")
}

func generateArray(t *rapid.T, s *openapi3.Schema, depth int) []any {
	list := []any{}
	if s.Items == nil || depth > 4 {
		return list
	}
	for range generateSize(t, s.MinItems, s.MaxItems) {
		list = append(list, generate(t, s.Items, depth+1))
	}
	return list
}

// generateSize is small, or at times just what is allowed at most, or one more.
func generateSize(t *rapid.T, least uint64, most *uint64) int {
	if most != nil && rapid.IntRange(0, 15+int(*most)/4).Draw(t, "at a bound") == 0 {
		return int(*most) + rapid.IntRange(0, 1).Draw(t, "beyond")
	}
	return rapid.IntRange(int(least), max(int(least), 3)).Draw(t, "size")
}

func generateObject(t *rapid.T, s *openapi3.Schema, depth int) map[string]any {
	object := map[string]any{}
	rarity := max(2, len(s.Properties)/4) // so that large objects are often valid too
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		if p.Value.ReadOnly {
			continue
		}
		if slices.Contains(s.Required, name) || depth < 5 && rapid.IntRange(0, rarity).Draw(t, name) == 0 {
			object[name] = generate(t, p, depth+1)
		}
	}
	if others := s.AdditionalProperties.Schema; others != nil {
		for range generateSize(t, s.MinProps, s.MaxProps) {
			object[rapid.StringMatching(`[a-z][a-z0-9_]{0,6}`).Draw(t, "name")] = generate(t, others, depth+1)
		}
	}
	return object
}

// junk is a value that breaks one schema and fits another.
func junk(t *rapid.T) any {
	return rapid.SampledFrom([]any{
		nil, true, false, "", "x", "ab", "long", "longer", "EUR", "sms", "email", "segment", "list", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01", "seg_1", "é", "+49301234567",
		strings.Repeat("é", 100), strings.Repeat("a", 300),
		0.0, -1.0, 1.0, 2.0, 3.0, 9.0, 10.0, 1.5, 0.5, 1e15, 3e9,
		[]any{},
		[]any{"a", "a"},
		[]any{1.0, 2.0, 3.0},
		map[string]any{},
		map[string]any{"type": "list"},
		map[string]any{"a": 1.0},
	}).Draw(t, "junk")
}

// mutate changes one random place; names are some that a member may be given.
// Whether the result is valid, the oracle says.
func mutate(t *rapid.T, v any, names []string) any {
	switch v := v.(type) {
	case map[string]any:
		own := slices.Sorted(maps.Keys(v))
		switch op := rapid.IntRange(0, 3).Draw(t, "op"); {
		case op == 0 || len(own) == 0:
			v[rapid.SampledFrom(append([]string{"a", "zzz", "Name", "toolongname"}, names...)).Draw(t, "add")] = junk(t)
		case op == 1:
			delete(v, rapid.SampledFrom(own).Draw(t, "delete"))
		default:
			name := rapid.SampledFrom(own).Draw(t, "member")
			v[name] = mutate(t, v[name], names)
		}
		return v
	case []any:
		switch op := rapid.IntRange(0, 3).Draw(t, "op"); {
		case op == 0:
			return append(v, junk(t))
		case op == 1 && len(v) > 0:
			return append(v, v[0])
		case op == 2 && len(v) > 0:
			i := rapid.IntRange(0, len(v)-1).Draw(t, "index")
			v[i] = mutate(t, v[i], names)
			return v
		}
	case string:
		if rapid.Bool().Draw(t, "scratch") {
			return scratch(t, v)
		}
	}
	return junk(t)
}

// scratch puts a character into a text, in place of another or before it, or
// takes one out. What was a date or an address is often nearly one then.
func scratch(t *rapid.T, v string) string {
	letters := []rune(v)
	at := rapid.IntRange(0, len(letters)).Draw(t, "at")
	until := min(at+rapid.IntRange(0, 1).Draw(t, "out"), len(letters))
	in := rapid.SampledFrom([]string{"", "-", ":", ".", "T", "t", "Z", "z", "+", "@", "/", "%", "_", "0", "2", "6", "9", " ", `"`, `\`, "[", "é", "\n", ","}).Draw(t, "in")
	return string(letters[:at]) + in + string(letters[until:])
}

// spell writes v as JSON in one of many ways: white space, escapes, the order
// of members, and integers as 20, 20.0 or 2e1.
func spell(b *strings.Builder, r *rand.Rand, v any) {
	space := func() { b.WriteString([]string{"", "", "", " ", "\n\t"}[r.IntN(5)]) }
	space()
	switch v := v.(type) {
	case map[string]any:
		b.WriteString("{")
		names := slices.Sorted(maps.Keys(v))
		for n, i := range r.Perm(len(names)) {
			if n > 0 {
				b.WriteString(",")
			}
			spell(b, r, names[i])
			b.WriteString(":")
			spell(b, r, v[names[i]])
		}
		b.WriteString("}")
	case []any:
		b.WriteString("[")
		for i, item := range v {
			if i > 0 {
				b.WriteString(",")
			}
			spell(b, r, item)
		}
		b.WriteString("]")
	case string:
		b.WriteString(spellString(r, v))
	case int64:
		b.WriteString(spellInteger(r, v))
	case float64:
		if v == math.Trunc(v) {
			b.WriteString(spellInteger(r, int64(v)))
		} else {
			fmt.Fprint(b, v)
		}
	default:
		fmt.Fprint(b, map[any]string{nil: "null", true: "true", false: "false"}[v])
	}
	space()
}

func spellInteger(r *rand.Rand, v int64) string {
	switch r.IntN(8) {
	case 0:
		return fmt.Sprintf("%d.00", v)
	case 3:
		return fmt.Sprintf("%de-1", v*10)
	case 1:
		return fmt.Sprintf("%d.0e-0", v)
	case 2:
		return fmt.Sprintf("%dE+0", v)
	}
	return strconv.FormatInt(v, 10)
}

func spellString(r *rand.Rand, v string) string {
	plain, _ := json.Marshal(v)
	if v == "" || v[0] < 'a' || v[0] > 'z' || r.IntN(4) > 0 {
		return string(plain)
	}
	return fmt.Sprintf(`"\u%04x%s`, v[0], plain[2:])
}
