package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Rule says which contacts belong to a segment. It has exactly one of these
// forms: All, Any, Not, or a comparison of a Field, an Attribute or a Tag. The
// JSON names are those of the contract; rules are stored so.
//
// Text compares without regard to case, in all of Unicode; ß is ss, and the
// dotless ı is i. Tags compare exactly. What a contact lacks, or has of another
// type, makes every comparison with it false, not_equals and not_in too; Not
// makes true of it.
type Rule struct {
	All []Rule `json:"all,omitempty"`
	Any []Rule `json:"any,omitempty"`
	Not *Rule  `json:"not,omitempty"`

	Field     *string `json:"field,omitempty"`
	Attribute *string `json:"attribute,omitempty"`
	Tag       *string `json:"tag,omitempty"`

	Operator string `json:"operator,omitempty"`
	Value    any    `json:"value,omitempty"`  // string, float64 or bool
	Values   []any  `json:"values,omitempty"` // of in and not_in: all strings, or all float64
}

// The bounds of a rule.
const (
	maxRuleDepth  = 8
	maxRuleNodes  = 200
	maxRuleParts  = 50  // in one all or any
	maxRuleValues = 100 // of one in or not_in
	maxRuleText   = 1000
)

// operand is what a rule compares with; it decides which operators there are.
type operand string

const (
	textOperand    operand = "a text"
	countryOperand operand = "a country code"
	timeOperand    operand = "a time with its offset, such as 2026-03-15T09:00:00Z"
	channelOperand operand = "a channel"
	numberOperand  operand = "a number"
	boolOperand    operand = "true or false"
	tagOperand     operand = "a tag"
)

// ruleFields are the fields of a contact that rules can look at.
var ruleFields = map[string]operand{
	"external_id": textOperand, "phone": textOperand, "email": textOperand,
	"first_name": textOperand, "last_name": textOperand, "country": countryOperand,
	"created_at": timeOperand, "updated_at": timeOperand, "opted_out": channelOperand,
}

// Operators that look at what there is, and compare with nothing.
const (
	exists    = "exists"
	notExists = "not_exists"
)

// ruleOperators are the operators of each kind of operand.
var ruleOperators = map[operand][]string{
	textOperand:    {"equals", "not_equals", "in", "not_in", "contains", "starts_with", "ends_with", exists, notExists},
	countryOperand: {"equals", "not_equals", "in", "not_in", exists, notExists},
	timeOperand:    {"before", "after"},
	channelOperand: {"has", "has_not"},
	numberOperand:  {"equals", "not_equals", "in", "not_in", "less_than", "at_most", "greater_than", "at_least", exists, notExists},
	boolOperand:    {"equals", "not_equals", exists, notExists},
	tagOperand:     {"has", "has_not"},
}

// Check says all that is wrong with the rule; Fault.Field points into a request
// that has it as "rule".
func (r *Rule) Check() []Fault {
	var c ruleCheck
	c.rule(r, "/rule", 1)
	if c.nodes > maxRuleNodes {
		c.add(CodeValidation, "/rule", fmt.Sprintf("has more than %d parts", maxRuleNodes), "")
	}
	return c.faults
}

type ruleCheck struct {
	faults
	nodes int
}

func (c *ruleCheck) rule(r *Rule, at string, depth int) {
	if c.nodes++; c.nodes > maxRuleNodes {
		return
	}
	if depth > maxRuleDepth {
		c.add(CodeValidation, at, fmt.Sprintf("is nested more than %d deep", maxRuleDepth), "")
		return
	}
	if forms := r.forms(); len(forms) != 1 {
		c.add(CodeValidation, at, "must have exactly one of all, any, not, field, attribute and tag", strings.Join(forms, ", "))
		return
	}
	if r.All != nil || r.Any != nil || r.Not != nil {
		c.group(r, at, depth)
		return
	}
	c.comparison(r, at)
}

// forms names those of its forms that a rule has.
func (r *Rule) forms() (names []string) {
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"all", r.All != nil},
		{"any", r.Any != nil},
		{"not", r.Not != nil},
		{"field", r.Field != nil},
		{"attribute", r.Attribute != nil},
		{"tag", r.Tag != nil},
	} {
		if f.has {
			names = append(names, f.name)
		}
	}
	return names
}

func (c *ruleCheck) group(r *Rule, at string, depth int) {
	if r.Operator != "" {
		c.add(CodeValidation, at+"/operator", "belongs to a comparison only", shown(r.Operator))
	}
	c.noOperand(r, at, "belongs to a comparison only")
	if r.Not != nil {
		c.rule(r.Not, at+"/not", depth+1)
		return
	}
	name, parts := "/all", r.All
	if r.Any != nil {
		name, parts = "/any", r.Any
	}
	if len(parts) == 0 || len(parts) > maxRuleParts {
		c.add(CodeValidation, at+name, fmt.Sprintf("must have 1 to %d rules", maxRuleParts), strconv.Itoa(len(parts)))
		return
	}
	for i := range parts {
		c.rule(&parts[i], fmt.Sprintf("%s%s/%d", at, name, i), depth+1)
	}
}

func (c *ruleCheck) noOperand(r *Rule, at, why string) {
	if r.Value != nil {
		c.add(CodeValidation, at+"/value", why, "")
	}
	if r.Values != nil {
		c.add(CodeValidation, at+"/values", why, "")
	}
}

func (c *ruleCheck) comparison(r *Rule, at string) {
	kind, ok := r.operand()
	switch {
	case r.Field != nil && !ok:
		c.add(CodeValidation, at+"/field", "is not a field that rules can look at", shown(*r.Field))
		return
	case r.Attribute != nil && !isAttributeKey(*r.Attribute):
		c.add(CodeValidation, at+"/attribute", "is not the name of an attribute", shown(*r.Attribute))
	case r.Tag != nil:
		if _, wrong := tidy(*r.Tag, maxTag); wrong != "" {
			c.add(CodeValidation, at+"/tag", wrong, "")
		}
	}
	switch {
	case r.Operator == "":
		c.add(CodeMissingField, at+"/operator", "is required", "")
	case !ok:
		c.add(CodeValidation, at+"/value", "must be a text, a number, true or false", "")
	case !slices.Contains(ruleOperators[kind], r.Operator):
		c.faults = append(c.faults, Fault{
			Code: CodeValidation, Field: at + "/operator", Message: "does not go with " + r.subject(kind),
			Value: shown(r.Operator), Expected: "one of " + strings.Join(ruleOperators[kind], ", "),
		})
	default:
		c.operands(r, kind, at)
	}
}

// operand is the kind of what the rule compares with: its field's, or that of
// the value it gives for an attribute. It is not ok for an unknown field and
// for a value of a type that rules do not have.
func (r *Rule) operand() (operand, bool) {
	switch {
	case r.Tag != nil:
		return tagOperand, true
	case r.Field != nil:
		kind, ok := ruleFields[*r.Field]
		return kind, ok
	}
	value := r.Value
	if len(r.Values) > 0 {
		value = r.Values[0]
	}
	switch value.(type) {
	case nil: // exists, or a value is missing
		if slices.Contains(ruleOperators[textOperand], r.Operator) {
			return textOperand, true
		}
		return numberOperand, true
	case string:
		return textOperand, true
	case float64:
		return numberOperand, true
	case bool:
		return boolOperand, true
	}
	return "", false
}

// subject is what a comparison looks at, in words.
func (r *Rule) subject(kind operand) string {
	switch {
	case r.Tag != nil:
		return "a tag"
	case r.Field != nil:
		return *r.Field
	}
	return "an attribute and " + string(kind)
}

// operands checks that a comparison has what its operator asks for: nothing, a
// value, or values.
func (c *ruleCheck) operands(r *Rule, kind operand, at string) {
	switch {
	case kind == tagOperand || r.Operator == exists || r.Operator == notExists:
		c.noOperand(r, at, "does not go with "+r.Operator)
	case r.Operator == "in" || r.Operator == "not_in":
		if r.Value != nil {
			c.add(CodeValidation, at+"/value", "does not go with "+r.Operator+", which takes values", "")
		}
		if len(r.Values) == 0 || len(r.Values) > maxRuleValues {
			c.add(CodeValidation, at+"/values", fmt.Sprintf("must have 1 to %d values", maxRuleValues), strconv.Itoa(len(r.Values)))
			return
		}
		for i, v := range r.Values {
			c.value(v, kind, fmt.Sprintf("%s/values/%d", at, i))
		}
	default:
		if r.Values != nil {
			c.add(CodeValidation, at+"/values", "does not go with "+r.Operator+", which takes a value", "")
		}
		if r.Value == nil {
			c.add(CodeMissingField, at+"/value", "is required", "")
			return
		}
		c.value(r.Value, kind, at+"/value")
	}
}

func (c *ruleCheck) value(v any, kind operand, at string) {
	text, isText := v.(string)
	ok := false
	switch kind {
	case textOperand:
		ok = isText
	case countryOperand:
		ok = isText && countries()[strings.ToUpper(text)]
	case timeOperand:
		_, err := time.Parse(time.RFC3339, text)
		ok = err == nil
	case channelOperand:
		ok = slices.Contains(Channels, Channel(text))
	case numberOperand:
		n, isNumber := v.(float64)
		ok = isNumber && n >= -maxAttributeNumber && n <= maxAttributeNumber
	case boolOperand:
		_, ok = v.(bool)
	}
	if !ok {
		c.add(CodeValidation, at, "must be "+string(kind), shown(fmt.Sprint(v)))
		return
	}
	if isText && (!utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0) {
		c.add(CodeValidation, at, "is not valid UTF-8, or holds a NUL character", "")
	}
	if wrong := tooLong(text, maxRuleText); wrong != "" {
		c.add(CodeValidation, at, wrong, "")
	}
}
