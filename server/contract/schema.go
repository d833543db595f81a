package contract

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// schema is a compiled JSON Schema. It is immutable and shared by all requests.
type schema struct {
	ref string // its name in the document, for Compile's errors

	types    kind // the kinds allowed
	integer  bool // a number must be integral
	typeRule rule

	secret bool   // its values are never echoed
	code   string // told when a value breaks a rule other than its type

	values *valueSet // enum or const
	text   []check[string]
	number []check[float64]

	length []check[int] // of an array
	items  *schema
	unique bool

	size    []check[int] // of an object
	members map[string]member
	needs   []string // required names; the place is the bit in member.bit
	closed  bool     // names that are no members are refused
	others  *schema  // else what their values must be; nil: anything
	names   *schema  // what member names must be

	tag                 *tagged // one of several, told apart by a member; replaces oneOf
	allOf, anyOf, oneOf []*schema
}

// member is what an object's schema says of one name.
type member struct {
	schema   *schema // nil: declared as required only, its value is one of the others
	bit      uint64  // its place among the required names, 0 if it is not required
	readOnly bool
}

// tagged is a oneOf whose branch is named by a string member.
type tagged struct {
	name     string
	branches map[string]*schema
	rule     rule
}

// check is one keyword applied to a value.
type check[T any] struct {
	ok   func(T) bool
	rule rule
}

// firstBroken is the first rule that v breaks, or nil. A value is charged with
// one rule at most: what is too short need not also be told its pattern.
func firstBroken[T any](checks []check[T], v T) *rule {
	for i := range checks {
		if !checks[i].ok(v) {
			return &checks[i].rule
		}
	}
	return nil
}

// valueSet is the scalars that an enum or const allows.
type valueSet struct {
	texts    map[string]bool
	numbers  []float64
	literals map[string]bool // true, false, null
	rule     rule
}

// hasNumber compares by value, not by spelling.
func (v *valueSet) hasNumber(f float64) bool { return slices.Contains(v.numbers, f) }

// echo is what a problem tells of a scalar of s: nil if it is a secret.
func (s *schema) echo(text string) any {
	if s.secret {
		return nil
	}
	return echoed(text)
}

// composed says whether parts of s look at the same value again.
func (s *schema) composed() bool {
	return s.tag != nil || s.allOf != nil || s.anyOf != nil || s.oneOf != nil
}

// brokenByText is the rule that a string breaks, or nil.
func (s *schema) brokenByText(text string) *rule {
	if s.values != nil && !s.values.texts[text] {
		return &s.values.rule
	}
	return firstBroken(s.text, text)
}

// brokenByLiteral is the rule that true, false or null breaks, or nil.
func (s *schema) brokenByLiteral(literal string) *rule {
	if s.values != nil && !s.values.literals[literal] {
		return &s.values.rule
	}
	return nil
}

// brokenByNumber is the rule that a number in JSON's spelling breaks, or nil.
// plain is how an integer that came with fraction or exponent is spelled
// without them; it is "" where nothing needs respelling.
func (s *schema) brokenByNumber(number string) (plain string, broken *rule) {
	var v float64
	var err error
	if s.integer {
		var i int64
		i, err = integer(number)
		if v = float64(i); strings.ContainsAny(number, ".eE") {
			plain = strconv.FormatInt(i, 10)
		}
	} else {
		v, err = strconv.ParseFloat(number, 64)
	}
	switch {
	case errors.Is(err, errFraction):
		return "", &s.typeRule
	case errors.Is(err, errRange):
		return "", &ruleInt64
	case err != nil:
		return "", &ruleDouble
	case s.values != nil && !s.values.hasNumber(v):
		return "", &s.values.rule
	}
	return plain, firstBroken(s.number, v)
}
