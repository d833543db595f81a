package contract

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// enforced are the schema keywords that the methods of compiler turn into
// checks; annotations are those that ask nothing of a request. A keyword that
// is in neither set fails Compile.
var (
	enforced = words(`type enum const format minLength maxLength pattern
		minimum maximum exclusiveMinimum exclusiveMaximum
		items minItems maxItems uniqueItems
		properties required additionalProperties propertyNames minProperties maxProperties
		allOf anyOf oneOf discriminator readOnly writeOnly`)
	annotations = words(`title description default example examples deprecated externalDocs xml $comment`)
)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		set[w] = true
	}
	return set
}

// compiler turns the document's schemas into compiled ones. A schema that is
// used twice is compiled once, and so one may contain itself.
type compiler struct {
	done map[use]*schema
	all  []*schema // in the order of their first use
}

// use is a schema in a place: within a secret everything is secret.
type use struct {
	source *openapi3.Schema
	secret bool
}

func (c *compiler) compile(ref *openapi3.SchemaRef, secret bool) (*schema, error) {
	keywords, err := keywordsOf(ref)
	if err != nil {
		return nil, err
	}
	for _, k := range keywords {
		if !enforced[k] {
			return nil, fmt.Errorf("keyword %q is not enforced", k)
		}
	}
	src := ref.Value
	secret = secret || src.WriteOnly || src.Format == "password"
	key := use{src, secret}
	if s := c.done[key]; s != nil {
		return s, nil
	}
	s := &schema{ref: cmp.Or(ref.Ref, "without a name"), secret: secret}
	c.done[key], c.all = s, append(c.all, s)
	for _, step := range []func(*schema, *openapi3.Schema) error{
		ownCode, types, values, texts, numbers, c.array, c.object, c.properties, c.composition,
	} {
		if err := step(s, src); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// keywordsOf are the keywords that ask something of a value, also those next
// to a $ref, sorted.
func keywordsOf(ref *openapi3.SchemaRef) ([]string, error) {
	if ref == nil || ref.Value == nil {
		return nil, errors.New("the schema is missing or its $ref is not resolved")
	}
	var list []string
	for _, part := range []interface{ MarshalYAML() (any, error) }{ref, ref.Value} {
		written, err := part.MarshalYAML()
		if err != nil {
			return nil, err
		}
		keywords, isObject := written.(map[string]any)
		if !isObject && written != true {
			return nil, errors.New("the schema false is not enforced")
		}
		for k := range keywords {
			if k != "$ref" && !annotations[k] && !strings.HasPrefix(k, "x-") {
				list = append(list, k)
			}
		}
	}
	slices.Sort(list)
	return list, nil
}

// ownCode reads the error code that a schema names for its values.
func ownCode(s *schema, src *openapi3.Schema) error {
	code, given := src.Extensions["x-error-code"]
	if !given {
		code = codeValidation
	}
	s.code, _ = code.(string)
	if s.code == "" {
		return fmt.Errorf("x-error-code is %v: it must be a string", code)
	}
	return nil
}

var typeKinds = []struct {
	name string
	kind kind
	told string
}{
	{"string", kindString, "a string"},
	{"number", kindNumber, "a number"},
	{"integer", kindNumber, "an integer"},
	{"boolean", kindBoolean, "true or false"},
	{"array", kindArray, "an array"},
	{"object", kindObject, "an object"},
	{"null", kindNull, "null"},
}

func types(s *schema, src *openapi3.Schema) error {
	if src.Type == nil {
		return nil
	}
	var told []string
	for _, t := range typeKinds {
		if src.Type.Includes(t.name) {
			s.types |= t.kind
			told = append(told, t.told)
		}
	}
	if len(told) != len(*src.Type) {
		return fmt.Errorf("types %v: one is unknown or there twice", *src.Type)
	}
	s.integer = src.Type.Includes("integer") && !src.Type.Includes("number")
	s.typeRule = must("type", "be", strings.Join(told, " or "), codeValidation)
	return nil
}

func values(s *schema, src *openapi3.Schema) error {
	all, keyword := src.Enum, "enum"
	if src.Const != nil {
		if src.Enum != nil {
			return errors.New("enum and const stand together: one is enough")
		}
		all, keyword = []any{src.Const}, "const"
	}
	if len(all) == 0 {
		return nil
	}
	set := &valueSet{texts: map[string]bool{}, literals: map[string]bool{}}
	told := make([]string, len(all))
	for i, v := range all {
		switch v := v.(type) {
		case string:
			set.texts[v], told[i] = true, v
		case nil:
			set.literals["null"], told[i] = true, "null"
		case bool:
			told[i] = strconv.FormatBool(v)
			set.literals[told[i]] = true
		case float64:
			if math.Abs(v) > maxExact {
				return fmt.Errorf("%s %v is too large to be compared exactly", keyword, v)
			}
			set.numbers, told[i] = append(set.numbers, v), decimalText(v)
		default:
			return fmt.Errorf("%s of type %T is not enforced: only scalars are", keyword, v)
		}
	}
	expected := strings.Join(told, ", ")
	if keyword == "enum" {
		expected = "one of: " + expected
	}
	set.rule = must(keyword, "be", expected, s.code)
	s.values = set
	return nil
}
