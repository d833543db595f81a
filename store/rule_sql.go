package store

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
	"modernc.org/sqlite"
)

// SQLite gets fold from us; on PostgreSQL the schema defines a function of this
// name that does the same, or what the server can do without ICU: therefore the
// database folds both sides of a comparison.
func init() {
	sqlite.MustRegisterDeterministicScalarFunction("fold", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		if s, ok := args[0].(string); ok {
			return fold(s), nil
		}
		return args[0], nil
	})
}

// ruleDialect is what the databases spell differently. Each "%s" takes a
// comparison, each "?" before it the name of the tag or attribute.
//
// CASE keeps a cast from values of another type: PostgreSQL may reorder AND.
type ruleDialect struct {
	tag       string
	attribute map[operand]string
	exists    string
	key       func(attribute string) string // how an attribute is named in a "?"
}

var postgresRules = ruleDialect{
	tag: "jsonb_exists(contacts.tags, ?)",
	attribute: map[operand]string{
		textOperand:   "CASE jsonb_typeof(contacts.attributes -> ?::text) WHEN 'string' THEN fold(contacts.attributes ->> ?::text) %s ELSE FALSE END",
		numberOperand: "CASE jsonb_typeof(contacts.attributes -> ?::text) WHEN 'number' THEN (contacts.attributes -> ?::text)::float8 %s ELSE FALSE END",
		boolOperand:   "CASE jsonb_typeof(contacts.attributes -> ?::text) WHEN 'boolean' THEN (contacts.attributes -> ?::text)::boolean %s ELSE FALSE END",
	},
	exists: "jsonb_exists(contacts.attributes, ?)",
	key:    func(attribute string) string { return attribute },
}

var sqliteRules = ruleDialect{
	tag: "EXISTS (SELECT 1 FROM json_each(contacts.tags) WHERE value = ?)",
	attribute: map[operand]string{
		textOperand:   "CASE WHEN json_type(contacts.attributes, ?) = 'text' THEN fold(json_extract(contacts.attributes, ?)) %s ELSE FALSE END",
		numberOperand: "CASE WHEN json_type(contacts.attributes, ?) IN ('integer', 'real') THEN json_extract(contacts.attributes, ?) %s ELSE FALSE END",
		boolOperand:   "CASE WHEN json_type(contacts.attributes, ?) IN ('true', 'false') THEN json_extract(contacts.attributes, ?) %s ELSE FALSE END",
	},
	exists: "json_type(contacts.attributes, ?) IS NOT NULL",
	key:    func(attribute string) string { return "$." + attribute },
}

// ruleWhere makes one condition on the table contacts of a rule, with "?" for
// its args, or the error of Check. The condition is true or false, never NULL,
// for every contact.
func (s *Store) ruleWhere(r Rule) (sql string, args []any, err error) {
	if err := faulty(r.Check()...); err != nil {
		return "", nil, err
	}
	w := ruleWriter{dialect: &postgresRules}
	if s.Embedded() {
		w.dialect = &sqliteRules
	}
	w.rule(&r)
	return w.sql.String(), w.args, nil
}

type ruleWriter struct {
	dialect *ruleDialect
	sql     strings.Builder
	args    []any
}

func (w *ruleWriter) write(sql string, args ...any) {
	w.sql.WriteString(sql)
	w.args = append(w.args, args...)
}

func (w *ruleWriter) rule(r *Rule) {
	switch {
	case r.All != nil:
		w.group(r.All, " AND ")
	case r.Any != nil:
		w.group(r.Any, " OR ")
	case r.Not != nil:
		w.write("NOT ")
		w.rule(r.Not)
	case r.Tag != nil:
		w.membership(r.Operator, w.dialect.tag, norm.NFC.String(*r.Tag))
	case r.Field != nil:
		w.field(r, "contacts."+*r.Field)
	default:
		w.attribute(r)
	}
}

func (w *ruleWriter) group(rules []Rule, between string) {
	w.write("(")
	for i := range rules {
		if i > 0 {
			w.write(between)
		}
		w.rule(&rules[i])
	}
	w.write(")")
}

// membership writes a condition, or for an operator that denies its contrary.
func (w *ruleWriter) membership(operator, sql string, arg any) {
	if operator == "has_not" || operator == notExists {
		w.write("NOT ")
	}
	w.write("("+sql+")", arg)
}

func (w *ruleWriter) field(r *Rule, column string) {
	kind := ruleFields[*r.Field]
	switch {
	case kind == channelOperand:
		w.membership(r.Operator, column+" & ? <> 0", Channel(r.Value.(string)).bit())
	case r.Operator == exists:
		w.write("(" + column + " IS NOT NULL)")
	case r.Operator == notExists:
		w.write("(" + column + " IS NULL)")
	case kind == textOperand:
		w.write("(" + column + " IS NOT NULL AND fold(" + column + ") ")
		w.comparison(r, kind)
		w.write(")")
	default:
		w.write("(" + column + " IS NOT NULL AND " + column + " ")
		w.comparison(r, kind)
		w.write(")")
	}
}

func (w *ruleWriter) attribute(r *Rule) {
	key := w.dialect.key(*r.Attribute)
	if r.Operator == exists || r.Operator == notExists {
		w.membership(r.Operator, w.dialect.exists, key)
		return
	}
	kind, _ := r.operand()
	before, after, _ := strings.Cut(w.dialect.attribute[kind], "%s")
	w.write(before, key, key)
	w.comparison(r, kind)
	w.write(after)
}

var comparisonSQL = map[string]string{
	"equals": "=", "not_equals": "<>", "less_than": "<", "at_most": "<=", "greater_than": ">", "at_least": ">=",
	"before": "<", "after": ">", "in": "IN", "not_in": "NOT IN",
}

// likePattern is where a LIKE that stands for an operator allows anything.
var likePattern = map[string]string{"contains": "%%%s%%", "starts_with": "%s%%", "ends_with": "%%%s"}

// comparison writes an operator and what follows it.
func (w *ruleWriter) comparison(r *Rule, kind operand) {
	place := "?"
	if kind == textOperand {
		place = "fold(?)"
	}
	if pattern, ok := likePattern[r.Operator]; ok {
		literal := likeLiteral(norm.NFC.String(r.Value.(string)))
		w.write("LIKE "+place+` ESCAPE '\'`, fmt.Sprintf(pattern, literal))
		return
	}
	w.write(comparisonSQL[r.Operator] + " ")
	if r.Values == nil {
		w.write(place, ruleArg(r.Value, kind))
		return
	}
	places := strings.Repeat(", "+place, len(r.Values))
	w.write("(" + places[2:] + ")")
	for _, v := range r.Values {
		w.args = append(w.args, ruleArg(v, kind))
	}
}

// ruleArg is a value of a checked rule as the database takes it.
func ruleArg(v any, kind operand) any {
	text, _ := v.(string)
	switch kind {
	case textOperand:
		return norm.NFC.String(text)
	case countryOperand:
		return strings.ToUpper(text)
	case timeOperand:
		t, _ := time.Parse(time.RFC3339, text) // Check has parsed it before
		return t.UTC()
	}
	return v
}
