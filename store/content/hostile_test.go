package content_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store/content"
)

// A hostile template ends in an error, soon, or in an ordinary text; what it
// must never do is fill the memory, hold a core or end the process.
var hostile = []struct{ name, source, err string }{
	{"endless range", `{% for i in (1..1000000000) %}{{ i }}{% endfor %}`, "passes through loops"},
	{"endless range, empty body", `{% for i in (1..1000000000) %}{% endfor %}`, "passes through loops"},
	{"nested loops, empty body", `{% for i in (1..9999) %}{% for j in (1..9999) %}{% for k in (1..9999) %}{% endfor %}{% endfor %}{% endfor %}`, "passes through loops"},
	{"loops one after the other", strings.Repeat(`{% for i in (1..5000) %}{% endfor %}`, 3), "passes through loops"},
	{"range beyond the integers", `{% assign a = 900000000000000000 | times: 9 %}{% assign b = 0 | minus: a %}{% for i in (b..a) %}{% endfor %}`, ""},
	{"range shown", `{{ (1..1000000000) }}`, ""},
	{"range to array", `{{ (1..1000000000) | reverse }}`, "array of more than"},
	{"range joined", `{{ (1..1000000000) | join: "," }}`, "array of more than"},
	{"range as argument", `{{ "a" | split: "," | concat: (1..1000000000) }}`, "array of more than"},
	{"range compared", `{% if (1..1000000000) == (1..1000000000) %}{% endif %}{% if (1..1000000000) contains 5 %}{% endif %}`, ""},
	{"long output", `{% for i in (1..9000) %}` + strings.Repeat("x", 100) + `{% endfor %}`, "gives more than"},
	{"long output by fields", strings.Repeat("{{ attributes.long }}", 3000), "gives more than"},
	{"capture in a loop", `{% for i in (1..9000) %}{% capture x %}{{ x }}{{ x }}aa{% endcapture %}{% endfor %}`, "more than"},
	{"captures doubling", `{% capture x %}aa{% endcapture %}` + strings.Repeat(`{% capture x %}{{ x }}{{ x }}{% endcapture %}`, 60), "gives more than"},
	{"long captures nested", double + strings.Repeat(`{% capture y %}{{ x }}`, 500) + strings.Repeat(`{% endcapture %}`, 500), "assigns or captures"},
	{"assigns doubling", `{% assign x = "aa" %}` + strings.Repeat(`{% assign x = x | append: x %}`, 60), "gives more than"},
	{"many long assigns", double + many(`{%% assign x%d = x | append: "a" %%}`, 100), "assigns or captures"},
	{"append in one expression", `{% assign x = "aaaaaaaa" %}` + strings.Repeat(`{% assign x = x | append: x | append: x | append: x | append: x %}`, 60), "gives more than"},
	{"replace of nothing by much", double + `{{ x | replace: "", x }}`, "gives more than"},
	{"replace of much by much", double + `{{ x | replace: "a", x }}`, "gives more than"},
	{"split into letters", double + `{% assign y = x | split: "" %}`, "array of more than"},
	{"join by much", double + `{{ (1..1000) | join: x }}`, "gives more than"},
	{"arrays doubling", `{% assign x = (1..10) | concat: x %}` + strings.Repeat(`{% assign x = x | concat: x %}`, 20), "array of more than"},
	{"arrays of much", `{% assign x = "a,b" | split: "," %}` + many(`{%% assign x%d = (1..1000) | concat: "" %%}`, 1), "can't convert"},
	{"wide dates", `{{ 0 | date: "` + strings.Repeat("%999999Y", 12) + `" }}`, "a width of more than"},
	{"wider dates", `{{ 0 | date: "%-_0099999999999N" }}`, "a width of more than"},
	{"widest dates", `{{ 0 | date: "` + strings.Repeat("%99N", 25) + `" }}`, ""},
	{"long date format", double + `{{ 0 | date: x }}`, "a format of more than"},
	{"large numbers", `{{ 1000 | round: 999999999 }}{{ "x" | truncate: 999999999999 }}{{ "x" | slice: 0, 999999999999999999 }}`, ""},
	{"negative numbers", `{{ "xyz" | truncate: -5 }}{{ "a b" | truncatewords: -5 }}{{ "xyz" | slice: -999999999 }}`, ""},
	{"smallest integer", `{{ -99999999999999999 | times: 100 | divided_by: -1 | abs | floor }}`, ""},
	{"much work without output", double + `{% for i in (1..10000) %}` + strings.Repeat(`{% assign y = x | upcase | downcase | strip_html | size %}`, 50) + `{% endfor %}`, "takes longer"},
	{"much work in conditions", `{% assign x = (1..1000) | reverse %}{% for i in (1..10000) %}` +
		strings.Repeat(`{% if x contains 0`+strings.Repeat(" or x contains 0", 100)+` %}{% endif %}`, 30) + `{% endfor %}`, "takes longer"},
	{"cases without end", `{% for i in (1..10000) %}{% case i %}` + strings.Repeat(`{% when 0 %}`, 4000) + `{% endcase %}{% endfor %}`, "takes longer"},
	{"deep blocks", strings.Repeat(`{% if true %}`, 2600) + strings.Repeat(`{% endif %}`, 2600), ""},
	{"deep loops", strings.Repeat(`{% for i in (1..2) %}`, 1900) + strings.Repeat(`{% endfor %}`, 1900), "passes through loops"},
	{"deep parentheses", `{{ ` + strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000) + ` }}`, ""},
	{"long paths", `{{ a` + strings.Repeat(".a", 1000) + ` }}`, ""},
	{"deep indexes", `{{ ` + strings.Repeat("a[", 600) + "a" + strings.Repeat("]", 600) + ` }}`, ""},
	{"spoofed loop", `{% assign forloop = "x" %}{% for i in (1..2) %}{% assign forloop = 1 %}{% cycle "a", "b" %}{{ forloop.index }}{% endfor %}`, ""},
	{"spoofed limit", `{% for i in (1..3) limit: attributes.long %}{% endfor %}`, "limit and offset are integers"},
	{"many placeholders", strings.Repeat("{{a}}", 13_000), ""},
	{"many keys", many("{{a%d}}", 7000), ""},
}

// double makes x a text of 128 KiB.
var double = `{% assign x = "aaaaaaaa" %}` + strings.Repeat(`{% assign x = x | append: x %}`, 14)

func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestHostileTemplateIsStopped(t *testing.T) {
	v := &content.Values{Attributes: []byte(`{"long":"` + strings.Repeat("&", 1000) + `"}`)}
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			template, err := content.Compile(c.source, true)
			require.NoError(t, err)
			out, err := template.Render(nil, v)
			require.LessOrEqual(t, len(out), content.MaxOutput)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			if !strings.Contains(fmt.Sprint(err), "takes longer") { // which a slow machine may find first
				require.ErrorContains(t, err, c.err)
			}
			require.ErrorAs(t, err, new(*content.RenderError))
			require.Less(t, len(err.Error()), 1000)
			require.Empty(t, out)
		})
	}
}

func FuzzRenderStaysWithinItsLimits(f *testing.F) {
	for _, c := range placeholders {
		f.Add(c.source, `{"plan":"gold"}`, true)
	}
	for _, c := range hostile {
		if len(c.source) < 500 {
			f.Add(c.source, `{"n":1e9}`, false)
		}
	}
	f.Fuzz(func(t *testing.T, source, attributes string, html bool) {
		template, err := content.Compile(source, html)
		if err != nil {
			var syntax *content.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Positive(t, syntax.Line)
			require.Positive(t, syntax.Column)
			return
		}
		v := ann()
		v.Attributes = []byte(attributes)
		out, err := template.Render([]byte("kept"), v)
		require.True(t, strings.HasPrefix(string(out), "kept"))
		require.LessOrEqual(t, len(out)-len("kept"), content.MaxOutput)
		if err != nil {
			require.ErrorAs(t, err, new(*content.RenderError))
			require.Len(t, out, len("kept"))
		}
	})
}
