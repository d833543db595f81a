package contract

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

func (c *compiler) composition(s *schema, src *openapi3.Schema) (err error) {
	if s.allOf, err = c.compileAll("allOf", src.AllOf, s.secret); err != nil {
		return err
	}
	if s.anyOf, err = c.compileAll("anyOf", src.AnyOf, s.secret); err != nil {
		return err
	}
	oneOf, err := c.compileAll("oneOf", src.OneOf, s.secret)
	if err != nil {
		return err
	}
	if src.Discriminator != nil {
		s.tag, err = tag(src, oneOf)
	} else {
		s.oneOf = oneOf
	}
	s.inferTypes(s.anyOf)
	s.inferTypes(oneOf)
	return err
}

func (c *compiler) compileAll(keyword string, refs openapi3.SchemaRefs, secret bool) ([]*schema, error) {
	var parts []*schema
	for i, ref := range refs {
		part, err := c.compile(ref, secret)
		if err != nil {
			return nil, fmt.Errorf("%s/%d: %w", keyword, i, err)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// inferTypes gives a schema without a type the types of its alternatives, so
// that a value of none of them is told which there are.
func (s *schema) inferTypes(alternatives []*schema) {
	if s.types != 0 || len(alternatives) == 0 {
		return
	}
	var all kind
	var told []string
	for _, a := range alternatives {
		if a.types == 0 {
			return
		}
		all |= a.types
		if !slices.Contains(told, a.typeRule.expected) {
			told = append(told, a.typeRule.expected)
		}
	}
	s.types = all
	s.typeRule = must("type", "be", strings.Join(told, " or "), codeValidation)
}

// tag compiles a discriminator. The document must map each branch, and each
// branch must require the member that tells it apart.
func tag(src *openapi3.Schema, branches []*schema) (*tagged, error) {
	d := src.Discriminator
	byRef := map[string]*schema{}
	for i, ref := range src.OneOf {
		if !ref.Value.Type.Is("object") || !slices.Contains(ref.Value.Required, d.PropertyName) {
			return nil, fmt.Errorf("discriminator: oneOf/%d is not an object that requires %q", i, d.PropertyName)
		}
		byRef[ref.Ref] = branches[i]
	}
	t := &tagged{name: d.PropertyName, branches: map[string]*schema{}}
	unmapped := maps.Clone(byRef)
	for value, to := range d.Mapping {
		branch := byRef[to.Ref]
		if branch == nil {
			return nil, fmt.Errorf("discriminator: %s is not in oneOf", to.Ref)
		}
		t.branches[value] = branch
		delete(unmapped, to.Ref)
	}
	if len(unmapped) > 0 || len(t.branches) == 0 {
		return nil, errors.New("discriminator: each branch of oneOf must be a $ref and stand in the mapping")
	}
	names := strings.Join(slices.Sorted(maps.Keys(t.branches)), ", ")
	t.rule = must("discriminator", "be", "one of: "+names, codeValidation)
	return t, nil
}
