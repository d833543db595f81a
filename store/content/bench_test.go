package content_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store/content"
)

var benchmarks = []struct {
	name, source string
	html         bool
}{
	{"plain", "Hi {{first_name}}, enjoy 20% off this spring!", false},
	{"plain html", "<p>Hi {{first_name}} {{last_name}}</p><a href=\"{{unsubscribe_url}}\">no more</a>", true},
	{"plain attributes", "Hi {{first_name}}, your {{plan}} plan costs {{price}}", false},
	{"liquid", `Hi {{ first_name | default: "friend" }}, enjoy 20% off!`, false},
	{"liquid html", `{% if first_name != blank %}Hi {{ first_name | capitalize }}{% endif %}: {% for i in (1..3) %}{{ i }}, {{ plan }}{% endfor %}`, true},
}

func BenchmarkRender(b *testing.B) {
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			template, err := content.Compile(c.source, c.html)
			require.NoError(b, err)
			v, dst := ann(), make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				if dst, err = template.Render(dst[:0], v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := content.Compile(c.source, c.html); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
