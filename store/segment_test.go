package store_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

func newSegment(t testing.TB, s *store.Store, sc store.Scope, r store.Rule) store.Segment {
	t.Helper()
	g, err := s.CreateSegment(t.Context(), sc, store.Segment{Name: "Segment", Rule: r})
	require.NoError(t, err)
	return g
}

// rule reads a rule as a request has it.
func rule(t testing.TB, text string) (r store.Rule) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &r))
	return r
}

func TestSegmentIsMadeChangedCountedAndDeleted(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		for _, c := range []store.Contact{
			{ExternalID: ptr("1"), Country: ptr("PT"), Tags: []string{"vip"}},
			{ExternalID: ptr("2"), Country: ptr("ES"), Attributes: map[string]any{"plan": "Trial"}, Tags: []string{"vip"}},
			{ExternalID: ptr("3"), Country: ptr("ES"), Tags: []string{"VIP"}},
		} {
			newContact(t, s, sc, c)
		}
		newContact(t, s, newScope(t, s), store.Contact{ExternalID: ptr("4"), Country: ptr("PT"), Tags: []string{"vip"}})

		g := newSegment(t, s, sc, rule(t, `{"all": [
			{"field": "country", "operator": "in", "values": ["PT", "es"]},
			{"tag": "vip", "operator": "has"},
			{"not": {"attribute": "plan", "operator": "equals", "value": "trial"}}]}`))
		read, err := s.Segment(ctx, sc, g.PublicID)
		require.NoError(t, err)
		require.Equal(t, g, read)
		n, err := s.CountSegment(ctx, sc, g.PublicID)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)

		_, err = s.UpdateSegment(ctx, sc, g.PublicID, func(g *store.Segment) error {
			g.Name, g.Rule = "Others", *g.Rule.All[2].Not
			return nil
		})
		require.NoError(t, err)
		n, err = s.CountSegment(ctx, sc, g.PublicID)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		gs, _, err := s.Segments(ctx, sc, "OTHER", store.Page{})
		require.NoError(t, err)
		require.Len(t, gs, 1)

		_, err = s.UpdateSegment(ctx, sc, g.PublicID, func(g *store.Segment) error {
			g.Rule.Attribute = ptr("Plan")
			return nil
		})
		require.Equal(t, map[string]string{"/rule/attribute": store.CodeValidation}, fields(t, err))

		require.NoError(t, s.DeleteSegment(ctx, sc, g.PublicID))
		requireNotFound(t, s.DeleteSegment(ctx, sc, g.PublicID))
	})
}

// TestEveryFaultOfARuleIsNamedWhereItStands needs no database: what Check
// refuses is refused on both.
func TestEveryFaultOfARuleIsNamedWhereItStands(t *testing.T) {
	invalid, missing := store.CodeValidation, store.CodeMissingField
	for text, faults := range map[string]map[string]string{
		`{}`:                     {"/rule": invalid},
		`{"operator": "equals"}`: {"/rule": invalid},
		`{"field": "phone", "tag": "vip", "operator": "has"}`: {"/rule": invalid},
		`{"all": [], "any": []}`:                              {"/rule": invalid},
		`{"all": []}`:                                         {"/rule/all": invalid},
		`{"not": {"any": []}}`:                                {"/rule/not/any": invalid},
		`{"all": [
			{"field": "phone", "operator": "at_least", "value": "1"},
			{"not": {"field": "shoe_size", "operator": "equals", "value": 43}},
			{"any": [{"tag": "vip", "operator": "equals", "value": "x"}, {"attribute": "Ünique", "operator": "exists"}]}]}`: {
			"/rule/all/0/operator": invalid, "/rule/all/1/not/field": invalid,
			"/rule/all/2/any/0/operator": invalid, "/rule/all/2/any/1/attribute": invalid,
		},
		`{"field": "email"}`:                                                            {"/rule/operator": missing},
		`{"field": "email", "operator": "equals"}`:                                      {"/rule/value": missing},
		`{"field": "email", "operator": "equals", "value": 1}`:                          {"/rule/value": invalid},
		`{"field": "email", "operator": "equals", "values": ["a"]}`:                     {"/rule/values": invalid, "/rule/value": missing},
		`{"field": "email", "operator": "in", "value": "a"}`:                            {"/rule/value": invalid, "/rule/values": invalid},
		`{"field": "email", "operator": "in", "values": ["a", 1, "\u0000"]}`:            {"/rule/values/1": invalid, "/rule/values/2": invalid},
		`{"field": "email", "operator": "exists", "value": "a"}`:                        {"/rule/value": invalid},
		`{"field": "country", "operator": "in", "values": ["GB", "UK"]}`:                {"/rule/values/1": invalid},
		`{"field": "country", "operator": "contains", "value": "G"}`:                    {"/rule/operator": invalid},
		`{"field": "created_at", "operator": "before", "value": "2026-03-15T09:00:00"}`: {"/rule/value": invalid},
		`{"field": "opted_out", "operator": "has", "value": "fax"}`:                     {"/rule/value": invalid},
		`{"tag": "vip", "operator": "has", "value": "x", "values": ["y"]}`:              {"/rule/value": invalid, "/rule/values": invalid},
		`{"attribute": "age", "operator": "at_least"}`:                                  {"/rule/value": missing},
		`{"attribute": "age", "operator": "at_least", "value": "18"}`:                   {"/rule/operator": invalid},
		`{"attribute": "age", "operator": "equals", "value": 1e17}`:                     {"/rule/value": invalid},
		`{"attribute": "age", "operator": "equals", "value": {}}`:                       {"/rule/value": invalid},
		`{"attribute": "age", "operator": "in", "values": [1, "2"]}`:                    {"/rule/values/1": invalid},
		`{"attribute": "vip", "operator": "in", "values": [true]}`:                      {"/rule/operator": invalid},
		`{"all": [{"tag": "a", "operator": "has"}], "operator": "has", "value": 1, "values": [1]}`: {
			"/rule/operator": invalid, "/rule/value": invalid, "/rule/values": invalid,
		},
	} {
		r := rule(t, text)
		got := map[string]string{}
		for _, f := range r.Check() {
			got[f.Field] = f.Code
		}
		require.Equal(t, faults, got, text)
	}
}

func TestRuleHasBounds(t *testing.T) {
	leaf := store.Rule{Tag: ptr("vip"), Operator: "has"}
	deep := leaf
	for range 7 {
		deep = store.Rule{Not: ptr(deep)}
	}
	require.Empty(t, deep.Check())
	deep = store.Rule{Not: &deep}
	require.Equal(t, "/rule"+strings.Repeat("/not", 8), deep.Check()[0].Field)

	parts := func(n int) (rs []store.Rule) {
		for range n {
			rs = append(rs, leaf)
		}
		return rs
	}
	wide := store.Rule{Any: []store.Rule{{All: parts(50)}, {All: parts(50)}, {All: parts(50)}, {All: parts(45)}}}
	require.Empty(t, wide.Check()) // 200 in all
	wide.Any[3].All = parts(46)
	require.Equal(t, "/rule", wide.Check()[0].Field)
	wide.Any[3].All = parts(51)
	require.Equal(t, "/rule/any/3/all", wide.Check()[0].Field)

	many := store.Rule{Field: ptr("email"), Operator: "not_in"}
	for range 100 {
		many.Values = append(many.Values, strings.Repeat("ö", 1000))
	}
	require.Empty(t, many.Check())
	many.Values[5] = strings.Repeat("ö", 1001)
	require.Equal(t, "/rule/values/5", many.Check()[0].Field)
	many.Values = append(many.Values, "x")
	require.Equal(t, "/rule/values", many.Check()[0].Field)
}

func TestLargestRuleRuns(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		newContact(t, s, sc, store.Contact{ExternalID: ptr("1"), Attributes: map[string]any{"n": 1.0}})
		leaf := store.Rule{Attribute: ptr("n"), Operator: "not_in"}
		for i := range 100 {
			leaf.Values = append(leaf.Values, float64(i+2))
		}
		wide := store.Rule{}
		for _, n := range []int{50, 50, 50, 45} {
			part := store.Rule{}
			for range n {
				part.All = append(part.All, leaf)
			}
			wide.All = append(wide.All, part)
		}
		g := newSegment(t, s, sc, wide)
		n, err := s.CountSegment(ctx, sc, g.PublicID)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	})
}
