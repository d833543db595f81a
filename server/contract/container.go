package contract

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
)

func (c *compiler) array(s *schema, src *openapi3.Schema) (err error) {
	if s.length, err = counts("Items", "item", src.MinItems, src.MaxItems, s.code); err != nil {
		return err
	}
	if src.Items != nil {
		if s.items, err = c.compile(src.Items, s.secret); err != nil {
			return fmt.Errorf("items: %w", err)
		}
	}
	if src.UniqueItems && (s.items == nil || s.items.types != kindString) {
		return errors.New("uniqueItems is enforced for items of type string only")
	}
	s.unique = src.UniqueItems
	return nil
}

func (c *compiler) object(s *schema, src *openapi3.Schema) (err error) {
	if s.size, err = counts("Properties", "field", src.MinProps, src.MaxProps, s.code); err != nil {
		return err
	}
	if has := src.AdditionalProperties.Has; has != nil {
		s.closed = !*has
	}
	if others := src.AdditionalProperties.Schema; others != nil {
		if s.others, err = c.compile(others, s.secret); err != nil {
			return fmt.Errorf("additionalProperties: %w", err)
		}
	}
	if src.PropertyNames != nil {
		if s.names, err = c.compile(src.PropertyNames, s.secret); err != nil {
			return fmt.Errorf("propertyNames: %w", err)
		}
		if s.names.composed() || s.names.types&^kindString != 0 {
			return errors.New("propertyNames is enforced for a plain schema of strings only")
		}
	}
	return nil
}

func (c *compiler) properties(s *schema, src *openapi3.Schema) error {
	s.members = make(map[string]member, len(src.Properties))
	for name, p := range src.Properties {
		compiled, err := c.compile(p, s.secret)
		if err != nil {
			return fmt.Errorf("properties/%s: %w", name, err)
		}
		s.members[name] = member{schema: compiled, readOnly: p.Value.ReadOnly}
	}
	for _, name := range src.Required {
		m := s.members[name]
		if m.readOnly || m.bit != 0 {
			continue // of a read-only property, required speaks of answers
		}
		if len(s.needs) == 64 {
			return errors.New("required: more than 64 names are not enforced")
		}
		m.bit = 1 << len(s.needs)
		s.members[name] = m
		s.needs = append(s.needs, name)
	}
	return nil
}

// count is a bound on a length or size.
func count(n uint64) (int, error) {
	if n > math.MaxInt32 {
		return 0, fmt.Errorf("%d is too large", n)
	}
	return int(n), nil
}

// counts compiles minItems and maxItems, or the like.
func counts(keyword, noun string, least uint64, most *uint64, code string) (list []check[int], err error) {
	if least > 0 {
		n, err := count(least)
		if err != nil {
			return nil, fmt.Errorf("min%s: %w", keyword, err)
		}
		list = append(list, check[int]{func(have int) bool { return have >= n }, must("min"+keyword, "have", atLeast(n, noun), code)})
	}
	if most != nil {
		n, err := count(*most)
		if err != nil {
			return nil, fmt.Errorf("max%s: %w", keyword, err)
		}
		list = append(list, check[int]{func(have int) bool { return have <= n }, must("max"+keyword, "have", atMost(n, noun), code)})
	}
	return list, nil
}

func atLeast(n int, noun string) string { return "at least " + counted(n, noun) }
func atMost(n int, noun string) string  { return "at most " + counted(n, noun) }

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
