package delivery

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextOfHTML(t *testing.T) {
	for html, want := range map[string]string{
		"":                                     "\n",
		"plain & simple":                       "plain & simple\n",
		`<p style="x">one</p><p>two</p>`:       "one\n\ntwo\n",
		"a<br>b<br />c<br><br>d":               "a\nb\nc\n\nd\n",
		"<b>Hi</b>, <i>Ada</i>!":               "Hi, Ada!\n",
		"a  \n\t b&nbsp;c &lt;d&gt; &amp;amp;": "a b c <d> &amp;\n",
		"<ul>\n<li>one</li>\n<li>two</li></ul>end":                                         "- one\n- two\n\nend\n",
		"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>":                  "a b\nc\n",
		`<a href="https://x.example/?a=1&amp;b=2">the shop</a>, see`:                       "the shop <https://x.example/?a=1&b=2>, see\n",
		`<a href="https://x.example">https://x.example</a>`:                                "https://x.example\n",
		`<a href="javascript:alert(1)">no</a> <a name="x">anchor</a>`:                      "no anchor\n",
		`<a href="https://x.example"><img src="x" alt="Logo"></a>`:                         "Logo <https://x.example>\n",
		"<head><title>T</title><style>p{}</style></head><script>if (a<b) x()</script>word": "word\n",
		"<!-- <p>gone</p> > -->here":                                                       "here\n",
		"unclosed <a href='https://x.example'>link <b":                                     "unclosed link\n",
		"<script>never closed":                                                             "\n",
		"<div>a</div><div>b</div><h1>c</h1>":                                               "a\nb\n\nc\n",
		"Привет&#33; 🎉":                                                                    "Привет! 🎉\n",
	} {
		require.Equal(t, want, textOfHTML(html), "%s", html)
	}
}
