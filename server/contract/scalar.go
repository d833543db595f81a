package contract

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
)

func texts(s *schema, src *openapi3.Schema) error {
	add := func(ok func(string) bool, keyword, verb, expected string) {
		s.text = append(s.text, check[string]{ok, must(keyword, verb, expected, s.code)})
	}
	if least, err := count(src.MinLength); err != nil {
		return fmt.Errorf("minLength: %w", err)
	} else if least > 0 {
		add(func(t string) bool { return len(t) >= least && utf8.RuneCountInString(t) >= least },
			"minLength", "have", atLeast(least, "character"))
	}
	if src.MaxLength != nil {
		most, err := count(*src.MaxLength)
		if err != nil {
			return fmt.Errorf("maxLength: %w", err)
		}
		add(func(t string) bool { return len(t) <= most || utf8.RuneCountInString(t) <= most },
			"maxLength", "have", atMost(most, "character"))
	}
	if src.Pattern != "" {
		re, err := regexp.Compile(src.Pattern)
		if err != nil {
			return fmt.Errorf("pattern: %w", err)
		}
		add(re.MatchString, "pattern", "match", src.Pattern)
	}
	if f, found := textFormats[src.Format]; found {
		add(f.ok, "format", "be", f.expected)
		if s.code == codeValidation {
			s.text[len(s.text)-1].rule.code = f.code
		}
	} else if _, numeric := numberFormats[src.Format]; src.Format != "" && !numeric && !mutedFormats[src.Format] {
		return fmt.Errorf("format %q is not enforced", src.Format)
	}
	return nil
}

func numbers(s *schema, src *openapi3.Schema) error {
	if src.ExclusiveMin.Bool != nil || src.ExclusiveMax.Bool != nil {
		return errors.New("a boolean exclusiveMinimum or exclusiveMaximum is not enforced: give the number, as in OpenAPI 3.1")
	}
	for _, b := range []struct {
		keyword, told string
		bound         *float64
		ok            func(v, bound float64) bool
	}{
		{"minimum", "at least ", src.Min, func(v, bound float64) bool { return v >= bound }},
		{"maximum", "at most ", src.Max, func(v, bound float64) bool { return v <= bound }},
		{"exclusiveMinimum", "greater than ", src.ExclusiveMin.Value, func(v, bound float64) bool { return v > bound }},
		{"exclusiveMaximum", "less than ", src.ExclusiveMax.Value, func(v, bound float64) bool { return v < bound }},
	} {
		if b.bound == nil {
			continue
		}
		bound := *b.bound
		if math.Abs(bound) > maxExact {
			return fmt.Errorf("%s %v is too large to be compared exactly", b.keyword, bound)
		}
		ok := func(v float64) bool { return b.ok(v, bound) }
		s.number = append(s.number, check[float64]{ok, must(b.keyword, "be", b.told+decimalText(bound), s.code)})
	}
	if f, found := numberFormats[src.Format]; found {
		s.number = append(s.number, check[float64]{f.ok, must("format", "be", f.expected, s.code)})
	}
	return nil
}

func decimalText(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
