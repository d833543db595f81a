package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/campaigns-api/campaigns/store"
)

// TestRulesMeanTheSameOnBothDatabases compares what the databases find with a
// plain reading of the rules in Go.
func TestRulesMeanTheSameOnBothDatabases(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		rapid.Check(t, func(rt *rapid.T) {
			sc := newScope(t, s)
			var contacts []store.Contact
			for i := range rapid.IntRange(1, 12).Draw(rt, "contacts") {
				contacts = append(contacts, newContact(t, s, sc, drawContact(rt, i)))
			}
			times := []string{"2001-01-01T00:00:00-11:30", "2999-12-31T23:59:59Z"}
			for _, c := range contacts {
				times = append(times, c.CreatedAt.In(time.FixedZone("", 3*3600)).Format(time.RFC3339Nano))
			}
			for range 5 {
				g := newSegment(t, s, sc, drawRule(rt, times, 3))
				want, got := matching(g.Rule, contacts), found(t, s, sc, g)
				n, err := s.CountSegment(t.Context(), sc, g.PublicID)
				require.NoError(rt, err)
				require.Equal(rt, want, got)
				require.EqualValues(rt, len(want), n)
			}
		})
	})
}

// matching are the ids of those contacts that a rule means, newest first.
func matching(r store.Rule, contacts []store.Contact) (ids []string) {
	for _, c := range slices.Backward(contacts) {
		if matches(r, c) {
			ids = append(ids, c.PublicID)
		}
	}
	return ids
}

func found(t *testing.T, s *store.Store, sc store.Scope, g store.Segment) (ids []string) {
	t.Helper()
	rows, _, err := s.Contacts(t.Context(), sc, store.ContactFilter{Segment: g.PublicID}, store.Page{Limit: 100})
	require.NoError(t, err)
	for _, c := range rows {
		ids = append(ids, c.PublicID)
	}
	return ids
}

// texts are chosen for what they do to case, normal forms and patterns.
var texts = []string{
	"Ada", "ADA", "ad", "straße", "STRASSE", "STRAẞE", "ss", "ΟΔΟΣ", "οδος", "οδοσ", "Σ", "ς", "ISI", "ısı", "isi", "İsi", "ﬁx", "FIX",
	"100%", "%", "_", "0_", `a\b`, `\`, "é", "e\u0301", "E\u0301", "\u2126", "ω", "ᏸ", "Ᏸ", "ꭰ", "Ꭰ", "Дом", "ДОМ", "ſ", "K", "\u212a", "true", "33", "?", "@name", "x y",
}

func drawContact(rt *rapid.T, i int) store.Contact {
	text := rapid.Ptr(rapid.SampledFrom(texts), true)
	c := store.Contact{
		ExternalID: ptr(fmt.Sprint(rapid.SampledFrom(texts).Draw(rt, "external_id"), " ", i)),
		FirstName:  text.Draw(rt, "first_name"),
		LastName:   text.Draw(rt, "last_name"),
		Country:    rapid.Ptr(rapid.SampledFrom([]string{"PT", "ES", "GB"}), true).Draw(rt, "country"),
		Tags:       rapid.SliceOfN(rapid.SampledFrom(texts), 0, 3).Draw(rt, "tags"),
		OptedOut:   store.SetOf(rapid.SliceOfN(rapid.SampledFrom(store.Channels), 0, 3).Draw(rt, "opted_out")...),
		Attributes: map[string]any{},
	}
	for _, key := range []string{"plan", "a_1"} {
		if v := drawValue(rt, key); v != nil {
			c.Attributes[key] = v
		}
	}
	return c
}

var numbers = []float64{0, -1, 33, 33.5, 0.1, 1e-9, 1<<53 - 1, -(1<<53 - 1)}

func drawValue(rt *rapid.T, label string) any {
	switch rapid.IntRange(0, 3).Draw(rt, label+" type") {
	case 0:
		return rapid.SampledFrom(texts).Draw(rt, label)
	case 1:
		return rapid.SampledFrom(numbers).Draw(rt, label)
	case 2:
		return rapid.Bool().Draw(rt, label)
	}
	return nil
}

func drawRule(rt *rapid.T, times []string, depth int) store.Rule {
	if depth > 0 {
		var rs []store.Rule
		switch form := rapid.IntRange(0, 4).Draw(rt, "form"); form {
		case 0:
			return store.Rule{Not: ptr(drawRule(rt, times, depth-1))}
		case 1, 2:
			for range rapid.IntRange(1, 3).Draw(rt, "parts") {
				rs = append(rs, drawRule(rt, times, depth-1))
			}
			if form == 1 {
				return store.Rule{All: rs}
			}
			return store.Rule{Any: rs}
		}
	}
	return drawComparison(rt, times)
}

var textOperators = []string{"equals", "not_equals", "in", "not_in", "contains", "starts_with", "ends_with", "exists", "not_exists"}

func drawComparison(rt *rapid.T, times []string) store.Rule {
	pick := func(from ...string) string { return rapid.SampledFrom(from).Draw(rt, "pick") }
	switch rapid.IntRange(0, 5).Draw(rt, "what") {
	case 0:
		return store.Rule{Tag: ptr(pick(texts...)), Operator: pick("has", "has_not")}
	case 1:
		return store.Rule{Field: ptr("opted_out"), Operator: pick("has", "has_not"), Value: string(rapid.SampledFrom(store.Channels).Draw(rt, "channel"))}
	case 2:
		return store.Rule{Field: ptr(pick("created_at", "updated_at")), Operator: pick("before", "after"), Value: pick(times...)}
	case 3:
		return withOperands(rt, store.Rule{Field: ptr("country"), Operator: pick("equals", "not_equals", "in", "not_in", "exists", "not_exists")}, "PT", "es", "DE")
	case 4:
		return withOperands(rt, store.Rule{Field: ptr(pick("external_id", "first_name", "last_name", "email", "phone")), Operator: pick(textOperators...)}, texts...)
	}
	r := store.Rule{Attribute: ptr(pick("plan", "a_1", "none"))}
	switch rapid.IntRange(0, 2).Draw(rt, "type") {
	case 0:
		r.Operator, r.Value = pick("equals", "not_equals"), rapid.Bool().Draw(rt, "bool")
	case 1:
		r.Operator = pick("equals", "not_equals", "in", "not_in", "less_than", "at_most", "greater_than", "at_least")
		r = withOperands(rt, r, numbers...)
	default:
		r = withOperands(rt, store.Rule{Attribute: r.Attribute, Operator: pick(textOperators...)}, texts...)
	}
	return r
}

func withOperands[T any](rt *rapid.T, r store.Rule, from ...T) store.Rule {
	draw := func() any { return rapid.SampledFrom(from).Draw(rt, "value") }
	switch r.Operator {
	case "exists", "not_exists":
	case "in", "not_in":
		for range rapid.IntRange(1, 3).Draw(rt, "values") {
			r.Values = append(r.Values, draw())
		}
	default:
		r.Value = draw()
	}
	return r
}

// matches is what a rule means.
func matches(r store.Rule, c store.Contact) bool {
	is := func(part store.Rule) bool { return matches(part, c) }
	switch {
	case r.All != nil:
		return !slices.ContainsFunc(r.All, func(part store.Rule) bool { return !is(part) })
	case r.Any != nil:
		return slices.ContainsFunc(r.Any, is)
	case r.Not != nil:
		return !is(*r.Not)
	case r.Tag != nil:
		return slices.Contains(c.Tags, norm.NFC.String(*r.Tag)) == (r.Operator == "has")
	case r.Attribute != nil:
		return compares(r, c.Attributes[*r.Attribute])
	}
	switch *r.Field {
	case "opted_out":
		return c.OptedOut.Has(store.Channel(r.Value.(string))) == (r.Operator == "has")
	case "created_at", "updated_at":
		at := map[string]time.Time{"created_at": c.CreatedAt, "updated_at": c.UpdatedAt}[*r.Field]
		bound, err := time.Parse(time.RFC3339, r.Value.(string))
		return err == nil && (r.Operator == "before" && at.Before(bound) || r.Operator == "after" && at.After(bound))
	}
	text := map[string]*string{
		"external_id": c.ExternalID, "phone": c.Phone, "email": c.Email, "first_name": c.FirstName, "last_name": c.LastName, "country": c.Country,
	}[*r.Field]
	if text == nil {
		return compares(r, nil)
	}
	return compares(r, *text)
}

func compares(r store.Rule, has any) bool {
	switch r.Operator {
	case "exists":
		return has != nil
	case "not_exists":
		return has == nil
	}
	values := r.Values
	if values == nil {
		values = []any{r.Value}
	}
	if fmt.Sprintf("%T", has) != fmt.Sprintf("%T", values[0]) {
		return false
	}
	equal := slices.ContainsFunc(values, func(v any) bool { return folded(v) == folded(has) })
	switch r.Operator {
	case "equals", "in":
		return equal
	case "not_equals", "not_in":
		return !equal
	}
	if n, ok := has.(float64); ok {
		m := r.Value.(float64)
		return map[string]bool{"less_than": n < m, "at_most": n <= m, "greater_than": n > m, "at_least": n >= m}[r.Operator]
	}
	whole, part := folded(has).(string), folded(r.Value).(string)
	return map[string]bool{
		"contains": strings.Contains(whole, part), "starts_with": strings.HasPrefix(whole, part), "ends_with": strings.HasSuffix(whole, part),
	}[r.Operator]
}

// folded is text as comparing sees it, worked out another way than the store does.
func folded(v any) any {
	s, ok := v.(string)
	if !ok {
		return v
	}
	lower, upper := cases.Lower(language.Und, cases.HandleFinalSigma(false)), cases.Upper(language.Und)
	return strings.ReplaceAll(lower.String(upper.String(lower.String(norm.NFC.String(s)))), "i\u0307", "i")
}
