package content_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store/content"
)

func ann() *content.Values {
	return &content.Values{
		FirstName:      "Ann",
		LastName:       "O'Neil & <Co>",
		Email:          "ann@example.com",
		Phone:          "+4915112345678",
		Country:        "DE",
		ExternalID:     "crm-7",
		ContactID:      "con_1",
		UnsubscribeURL: "https://example.com/u?c=1&t=2",
		CampaignName:   "Spring",
		Attributes: []byte(`{"plan":"gold","age":33,"vip":true,"late":false,"price":1299999.5,"big":1e3,
			"empty":"","nothing":null,"quoted":"a \"b\" \u00e9 <i>","email":"other@example.com","odd":{"x":[1]},
			"joined":"2026-03-15T09:00:00Z","word":"élan VITAL"}`),
	}
}

func render(t *testing.T, source string, html bool, v *content.Values) string {
	t.Helper()
	template, err := content.Compile(source, html)
	require.NoError(t, err, source)
	out, err := template.Render([]byte("kept:"), v)
	require.NoError(t, err, source)
	rest, found := strings.CutPrefix(string(out), "kept:")
	require.True(t, found, "Render must append to what it is given")
	return rest
}

var placeholders = []struct{ source, text, html string }{
	{"", "", ""},
	{"Hi!", "Hi!", "Hi!"},
	{"{ not } {a placeholder} %}", "{ not } {a placeholder} %}", "{ not } {a placeholder} %}"},
	{"Hi {{first_name}}, enjoy 20% off this spring!", "Hi Ann, enjoy 20% off this spring!", "Hi Ann, enjoy 20% off this spring!"},
	{"{{ last_name }}", "O'Neil & <Co>", "O&#39;Neil &amp; &lt;Co&gt;"},
	{
		"{{email}} {{phone}} {{country}} {{external_id}} {{contact_id}} {{campaign_name}}",
		"ann@example.com +4915112345678 DE crm-7 con_1 Spring", "ann@example.com +4915112345678 DE crm-7 con_1 Spring",
	},
	{"{{unsubscribe_url}}", "https://example.com/u?c=1&t=2", "https://example.com/u?c=1&amp;t=2"},
	{"{{ plan }}/{{ attributes.plan }}", "gold/gold", "gold/gold"},
	{"{{ email }}/{{ attributes.email }}", "ann@example.com/other@example.com", "ann@example.com/other@example.com"},
	{"{{age}} {{vip}} {{late}} {{price}} {{big}}", "33 true false 1299999.5 1000", "33 true false 1299999.5 1000"},
	{"[{{empty_one}}{{attributes.empty}}{{nothing}}{{odd}}{{nobody}}{{attributes.nobody}}]", "[]", "[]"},
	{"{{quoted}}", `a "b" é <i>`, "a &#34;b&#34; é &lt;i&gt;"},
	{"a {{- first_name -}} \n b", "aAnnb", "aAnnb"},
	{"{{\n  first_name\n}}", "Ann", "Ann"},
	{"<b>{{first_name}}</b>", "<b>Ann</b>", "<b>Ann</b>"},
	{"{% raw %} {{ x }} {% if %} {% endraw %}{{first_name}}", " {{ x }} {% if %} Ann", " {{ x }} {% if %} Ann"},
	{"a{%- raw -%}  {{ x }} {%- endraw -%}  b", "a{{ x }}b", "a{{ x }}b"},
	{"a {%- comment %} {{ %} {% if {% endcomment -%} b", "ab", "ab"},
}

func TestPlaceholdersShowTheContact(t *testing.T) {
	for _, c := range placeholders {
		require.Equal(t, c.text, render(t, c.source, false, ann()), c.source)
		require.Equal(t, c.html, render(t, c.source, true, ann()), c.source)
	}
}

func TestPlainTemplatesGiveWhatLiquidGives(t *testing.T) {
	for _, c := range placeholders {
		liquid := c.source + "{% assign x = 1 %}" // a tag: too much for the fast path
		require.Equal(t, c.text, render(t, liquid, false, ann()), c.source)
		require.Equal(t, c.html, render(t, liquid, true, ann()), c.source)
	}
}

func TestLiquidRenders(t *testing.T) {
	for _, c := range []struct{ source, text, html string }{
		{`{{ first_name | upcase }}`, "ANN", "ANN"},
		{`{{ last_name | downcase }}`, "o'neil & <co>", "o&#39;neil &amp; &lt;co&gt;"},
		{`{{ last_name | raw }}`, "O'Neil & <Co>", "O'Neil & <Co>"},
		{`{{ last_name | escape }}`, "O&#39;Neil &amp; &lt;Co&gt;", "O&#39;Neil &amp; &lt;Co&gt;"},
		{`{{ "&lt;<" | escape_once }}`, "&lt;&lt;", "&lt;&lt;"},
		{`{{ last_name | raw | append: "<" }}`, "O'Neil & <Co><", "O&#39;Neil &amp; &lt;Co&gt;&lt;"},
		{`{% capture c %}<i>{{ last_name }}</i>{% endcapture %}{{ c }}`, "<i>O'Neil & <Co></i>", "<i>O&#39;Neil &amp; &lt;Co&gt;</i>"},
		{`{% capture c %}{{ plan }}{% endcapture %}{% if c == "gold" and c contains "ol" %}{{ c | upcase }}{% endif %}`, "GOLD", "GOLD"},
		{`{% capture c %}{{ nobody }}{% endcapture %}{% if c == "" and c == blank %}empty{% endif %}{{ c }}`, "empty", "empty"},
		{`{% assign a = plan | remove: "gold" %}{% if a != blank %}{{ a }}{% else %}empty{% endif %}`, "empty", "empty"},
		{`{{ nickname | default: "friend" }} {{ first_name | default: "friend" }}`, "friend Ann", "friend Ann"},
		{`{{ word | capitalize }} {{ "ﬁ" | capitalize }}{{ nobody | capitalize }}`, "Élan vital ﬁ", "Élan vital ﬁ"},
		{`{{ word | truncate: 5 }} {{ word | truncate: 6, "…" }} {{ word | truncate }}`, "él... élan … élan VITAL", "él... élan … élan VITAL"},
		{`{{ word | truncatewords: 1 }} {{ word | truncatewords: 1, "" }} {{ word | truncatewords }}`, "élan... élan élan VITAL", "élan... élan élan VITAL"},
		{`{{ age | plus: 1 }} {{ age | times: 2 }} {{ price | append: " EUR" }} {{ nobody | plus: 1 }}`, "34 66 1299999.5 EUR 1", "34 66 1299999.5 EUR 1"},
		{`{{ age | at_least: 40 }} {{ age | at_most: 40 }} {{ 7 | divided_by: 2 }} {{ 2.5 | round }}`, "40 33 3 3", "40 33 3 3"},
		{
			`{{ joined | date: "%d.%m.%Y" }} {{ 0 | date: "%F %H" }} {{ plan | date: "%F" }}[{{ nobody | date: "%F" }}]`,
			"15.03.2026 1970-01-01 00 gold[]", "15.03.2026 1970-01-01 00 gold[]",
		},
		{`{{ "b,a,b" | split: "," | uniq | sort | join: "+" }} {{ "a b" | split: " " | first }}`, "a+b a", "a+b a"},
		{`{{ "a-b" | replace: "-", "<" }} {{ "a b&c" | url_encode }}`, "a<b a+b%26c", "a&lt;b a+b%26c"},
		{`{{ attributes["plan"] }}{{ attributes[nobody] }}{{ attributes }}`, "gold", "gold"},
		{`{% assign n = age | plus: 1 %}{% for i in (33..n) %}{{ i }} {% endfor %}`, "33 34 ", "33 34 "},
		{`{% for x in attributes %}x{% endfor %}{% for x in nobody %}x{% else %}none{% endfor %}`, "none", "none"},
		{`{% for i in (1..9) reversed limit: 3 offset: 1 %}{{ i }}{% endfor %}`, "432", "432"},
		{`{% for i in (1..9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}`, "13", "13"},
		{
			`{% for i in (1..2) %}{% for j in (1..2) %}{{ forloop.parentloop.index }}{{ forloop.index0 }}{% unless forloop.last %},{% endunless %}{% endfor %};{% endfor %}`,
			"10,11;20,21;", "10,11;20,21;",
		},
		{`{% for i in (1..3) %}{% cycle "a", "b" %}{% endfor %}`, "aba", "aba"},
		{`{% case plan %}{% when "silver", "gold" %}metal{% else %}none{% endcase %}`, "metal", "metal"},
		{`{% case plan %}{% when "wood" %}metal{% else %}none{% endcase %}`, "none", "none"},
		{`{% if age >= 18 and vip %}adult{% elsif vip %}vip{% else %}child{% endif %}`, "adult", "adult"},
		{`{% if late %}late{% elsif plan contains "old" %}old{% endif %}`, "old", "old"},
		{"a\n{%- if vip -%}\n b \n{%- endif -%}\nc", "abc", "abc"},
		{`{% assign first_name = "Bo" %}{{ first_name }}`, "Bo", "Bo"},
	} {
		require.Equal(t, c.text, render(t, c.source, false, ann()), c.source)
		require.Equal(t, c.html, render(t, c.source, true, ann()), c.source)
	}
}

func TestMissingNameIsBlankHoweverAsked(t *testing.T) {
	for _, condition := range []string{
		`first_name`, `first_name != blank`, `first_name != ""`, `first_name != nil`, `first_name != empty`,
		`attributes.plan`, `plan != blank`, `attributes.plan != ""`, `attributes["plan"] != ""`,
	} {
		source := "{% if " + condition + " %}there{% else %}missing{% endif %}"
		require.Equal(t, "there", render(t, source, false, ann()), condition)
		require.Equal(t, "missing", render(t, source, false, &content.Values{}), condition)
		require.Equal(t, "missing", render(t, source, false, &content.Values{Attributes: []byte(`{"plan":""}`)}), condition)
	}
}

func TestFiltersTakeMissingValues(t *testing.T) {
	for _, filter := range []string{
		`json`, `size`, `raw`, `append: "x"`, `prepend: nobody`, `split: ","`, `slice: 1`, `slice: 1, 2`,
		`remove: "a"`, `remove_first: "a"`, `replace_first: "a", nobody`, `replace: nobody, "b"`,
		`strip`, `lstrip`, `rstrip`, `strip_html`, `strip_newlines`, `upcase`, `downcase`, `capitalize`,
		`truncate`, `truncate: nobody, nobody`, `truncatewords`, `truncatewords: 3`, `url_encode`, `url_decode`, `escape`, `escape_once`,
		`newline_to_br`, `first`, `last`, `concat: nobody`, `compact`, `reverse`, `sort`, `sort_natural`, `uniq`, `join`,
		`join: nobody`, `abs`, `ceil`, `floor`, `round`, `plus: nobody`, `minus: 1`, `times: nobody`, `divided_by: 2`,
		`modulo: 2`, `at_least: 1`, `at_most: nobody`, `date: "%F"`, `default: nobody`,
	} {
		render(t, "{{ nobody | "+filter+" }}", false, &content.Values{})
		render(t, "{{ nobody | "+filter+" }}", true, &content.Values{})
	}
}

func TestVariablesNameWhatMustBeLoaded(t *testing.T) {
	for source, want := range map[string][]string{
		"Hi":                             nil,
		"{{first_name}}{{ email }}":      {"email", "first_name"},
		"{{ plan }}{{ attributes.age }}": {"attributes"},
		`{% if vip %}{{ phone | slice: 0 }}{%endif%}`:                                 {"attributes", "phone"},
		`{% for i in (1..age) limit: contact_id %}{% endfor %}`:                       {"attributes", "contact_id"},
		`{% assign x = country %}{% assign last_name = "" %}`:                         {"country"},
		`{{ "first_name" | append: 'email' }}{{ true }}{{ blank }}`:                   nil,
		`{% raw %}{{ first_name }}{% endraw %}{% comment %}{{ x }}{% endcomment %}`:   nil,
		`{% case country %}{% when campaign_name %}{{ x[external_id] }}{% endcase %}`: {"attributes", "campaign_name", "country", "external_id"},
	} {
		template, err := content.Compile(source, false)
		require.NoError(t, err, source)
		require.Equal(t, want, template.Variables(), source)
	}
}

func TestSyntaxErrorHasItsPlace(t *testing.T) {
	for _, c := range []struct {
		source       string
		line, column int
		message      string
	}{
		{"Hi {{first_name", 1, 4, "{{ without }}"},
		{"Hi\n{{first_name} you", 2, 1, "{{ without }}"},
		{"é {{ }}", 1, 3, "nothing between {{ and }}"},
		{"{{-}}", 1, 1, "nothing between {{ and }}"},
		{"{{ first name }}", 1, 1, `syntax error in "first name"`},
		{"{{{first_name}}}", 1, 3, `unexpected '{'`},
		{"{{ “x” }}", 1, 4, `unexpected '“'`},
		{"{{ a; }}", 1, 5, `unexpected ';'`},
		{"{{ a | default: \"x }}", 1, 17, "a string without its closing quote"},
		{"{{ 1234567890123456789 }}", 1, 4, "a number of more than 18 characters"},
		{"a\nb {{ x |\n upcas }}", 3, 2, `unknown filter "upcas"`},
		{"{{ x | replace: 'a' }}", 1, 8, "filter replace needs 2 arguments, has 1"},
		{"{{ x | upcase: 1 }}", 1, 8, "filter upcase takes at most 0 arguments, has 1"},
		{"{{ x | safe }}", 1, 8, `unknown filter "safe"`},
		{"{% 3 %}", 1, 1, "a tag must begin with its name"},
		{"{% include 'x' %}", 1, 1, `unknown tag "include"`},
		{"{% render 'x' %}", 1, 1, `unknown tag "render"`},
		{"{% tablerow i in (1..9) %}{% endtablerow %}", 1, 1, `unknown tag "tablerow"`},
		{"a\n  {% if x %}{% if y %}{% endif %}", 2, 3, "if without endif"},
		{"{% endif %}", 1, 1, "endif without if"},
		{"{% if x %}{% endfor %}", 1, 11, "endfor where endif is due"},
		{"{% else %}", 1, 1, "else not inside case or for or if or unless"},
		{"{% if x %}{% else if y %}{% endif %}", 1, 19, "else takes no arguments"},
		{"{% if x %}{% else %}{% elsif y %}{% endif %}", 1, 21, "elsif after else"},
		{"{% if x %}{% elsif y == %}{% endif %}", 1, 11, `syntax error in "elsif y =="`},
		{"{% if %}{% endif %}", 1, 1, `syntax error in "if"`},
		{"{% case x %}{% when %}{% endcase %}", 1, 13, `syntax error in "when"`},
		{"{% for i on x %}{% endfor %}", 1, 1, "for needs a variable, in, and what to go through"},
		{"{% for i in x cols: 2 %}{% endfor %}", 1, 1, "for knows limit, offset and reversed, not cols"},
		{"{% for i in x sorted %}{% endfor %}", 1, 1, `undefined loop modifier "sorted"`},
		{"{% break %}", 1, 1, "break outside for"},
		{"{% assign x %}", 1, 1, "assign needs a variable, = and a value"},
		{"{% assign x.y = 1 %}", 1, 1, "assign needs a variable, = and a value"},
		{"{% capture %}{% endcapture %}", 1, 1, "capture needs the name of one variable"},
		{"{% cycle x %}", 1, 1, `syntax error in "cycle x"`},
		{"{% raw %}{{ x }}", 1, 1, "raw without endraw"},
		{"{% comment x %}{% endcomment %}", 1, 12, "comment takes no arguments"},
		{"ab\xff", 1, 3, "not valid UTF-8"},
		{"{{ " + strings.Repeat("a", 3000) + " }}", 1, 1, "longer than 2048 bytes between {{ and }}"},
	} {
		_, err := content.Compile(c.source, false)
		var syntax *content.SyntaxError
		require.ErrorAs(t, err, &syntax, c.source)
		require.Equal(t, content.SyntaxError{Line: c.line, Column: c.column, Message: c.message}, *syntax, c.source)
	}
}

func TestSourceLimitsAreExact(t *testing.T) {
	for html, limit := range map[bool]int{false: content.MaxTextSource, true: content.MaxHTMLSource} {
		_, err := content.Compile(strings.Repeat("a", limit), html)
		require.NoError(t, err)
		_, err = content.Compile(strings.Repeat("a", limit+1), html)
		require.ErrorContains(t, err, "longer than")
	}
}

func TestRenderErrorLeavesWhatWasThere(t *testing.T) {
	for source, want := range map[string]string{
		"a\n {{ 1 | divided_by: nobody }}":     "line 2, column 2: filter divided_by: invalid divisor: '<nil>'",
		"{{ word | times: 2 | modulo: word }}": `line 1, column 1: filter modulo: can't convert string(élan VITAL) to type float64`,
		"{% for i in (1..plan) %}{% endfor %}": "line 1, column 1: can't convert string(gold) to type int",
		"{{ 'abc' | slice: 2, -1 }}":           "line 1, column 1: filter slice: cannot be applied here",
		"{{ first_name | first }}":             "line 1, column 1: filter first: can't convert string(Ann) to type []interface {}",
	} {
		template, err := content.Compile(source, false)
		require.NoError(t, err, source)
		out, err := template.Render([]byte("kept"), ann())
		require.EqualError(t, err, want, source)
		require.ErrorAs(t, err, new(*content.RenderError))
		require.Equal(t, "kept", string(out))
	}
}

func TestBrokenAttributesAreAnErrorOnlyToThoseWhoReadThem(t *testing.T) {
	for _, attributes := range []string{`{`, `[]`, `{"a":}`, `{"plan":"gold"`, `null`, `{"a":1,}`} {
		v := ann()
		v.Attributes = []byte(attributes)
		require.Equal(t, "Ann", render(t, "{{first_name}}", false, v))
		for _, source := range []string{"{{plan}}", "{{ plan | upcase }}"} {
			template, err := content.Compile(source, false)
			require.NoError(t, err)
			_, err = template.Render(nil, v)
			require.ErrorContains(t, err, "read attributes", attributes)
		}
	}
}

func TestOneTemplateServesManyGoroutines(t *testing.T) {
	for _, source := range []string{
		"{{first_name}} {{plan}}",
		`{% capture x %}{{ first_name }}{% endcapture %}{% for i in (1..1) %}{% cycle x: " " %}{{ x | append: " " | append: plan }}{% endfor %}`,
	} {
		template, err := content.Compile(strings.ReplaceAll(source, `{% cycle x: " " %}`, ""), true)
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					out, err := template.Render(nil, ann())
					if err != nil || string(out) != "Ann gold" {
						t.Errorf("got %q, %v", out, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestPlainTemplateRendersWithoutAllocating(t *testing.T) {
	template, err := content.Compile("Hi {{first_name}} {{last_name}}, {{unsubscribe_url}}", true)
	require.NoError(t, err)
	v, dst := ann(), make([]byte, 0, 256)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst, _ = template.Render(dst[:0], v) }))
}
