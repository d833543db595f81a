package delivery

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// textOfHTML is the text/plain alternative of an HTML mail: its words, with
// links in angle brackets behind theirs, dashes before list items and blocks on
// lines of their own.
//
// It stands on the HTML tokenizer itself: of the libraries for this,
// jaytaylor/html2text is no longer kept up, and k3a/html2text knows no <div>,
// <tr> or <br /> and costs three times as much (70 µs for a page of 1 KB).
func textOfHTML(body string) string {
	t := htmlText{}
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken: // the end: such a reader has no other error
			t.out.WriteByte('\n')
			return t.out.String()
		case html.TextToken:
			if !t.hidden {
				t.text(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, hasAttributes := z.TagName()
			t.open(atom.Lookup(name), z, hasAttributes)
		case html.EndTagToken:
			name, _ := z.TagName()
			t.close(atom.Lookup(name))
		}
	}
}

// htmlText is a text in the making. Breaks and spaces are owed until a word
// follows, so that neither pile up.
type htmlText struct {
	out    strings.Builder
	breaks int    // line breaks owed
	space  bool   // a space is owed
	bullet bool   // a dash is owed
	hidden bool   // inside an element whose content is not for reading
	link   string // where the open <a> leads
	linkAt int    // where its words begin
}

func (t *htmlText) open(tag atom.Atom, z *html.Tokenizer, hasAttributes bool) {
	switch tag {
	case atom.Script, atom.Style, atom.Title:
		t.hidden = true // up to its end tag, which the tokenizer makes sure of
	case atom.Br:
		t.breaks = min(t.breaks+1, 2)
	case atom.Li:
		t.owe(tag)
		t.bullet = true
	case atom.Td, atom.Th:
		t.space = true
	case atom.Img:
		t.text(htmlAttribute(z, hasAttributes, "alt"))
	case atom.A:
		t.link, t.linkAt = htmlAttribute(z, hasAttributes, "href"), t.out.Len()
	default:
		t.owe(tag)
	}
}

func (t *htmlText) close(tag atom.Atom) {
	switch tag {
	case atom.Script, atom.Style, atom.Title:
		t.hidden = false
	case atom.A:
		words := strings.TrimSpace(t.out.String()[t.linkAt:])
		if isReadableLink(t.link) && words != t.link {
			t.space = true
			t.word("<" + t.link + ">")
		}
		t.link = ""
	default:
		t.owe(tag)
	}
}

// owe is what a block asks for at both its ends: a line of its own, or a
// paragraph.
func (t *htmlText) owe(tag atom.Atom) {
	switch tag {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table,
		atom.Ul, atom.Ol, atom.Blockquote, atom.Pre, atom.Hr:
		t.breaks = 2
	case atom.Div, atom.Tr, atom.Li, atom.Section, atom.Article, atom.Header, atom.Footer,
		atom.Center, atom.Address, atom.Dt, atom.Dd:
		t.breaks = max(t.breaks, 1)
	}
}

func (t *htmlText) text(s string) {
	if first, _ := utf8.DecodeRuneInString(s); unicode.IsSpace(first) {
		t.space = true
	}
	for word := range strings.FieldsSeq(s) {
		t.word(word)
		t.space = true
	}
	if last, _ := utf8.DecodeLastRuneInString(s); s != "" && !unicode.IsSpace(last) {
		t.space = false
	}
}

func (t *htmlText) word(word string) {
	switch {
	case t.out.Len() == 0: // nothing to part it from
	case t.breaks > 0:
		t.out.WriteString("\n\n"[:t.breaks])
	case t.space:
		t.out.WriteByte(' ')
	}
	if t.bullet {
		t.out.WriteString("- ")
	}
	t.breaks, t.space, t.bullet = 0, false, false
	t.out.WriteString(word)
}

func htmlAttribute(z *html.Tokenizer, more bool, name string) string {
	for more {
		var key, value []byte
		if key, value, more = z.TagAttr(); string(key) == name {
			return string(value)
		}
	}
	return ""
}

func isReadableLink(link string) bool {
	return strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://") ||
		strings.HasPrefix(link, "mailto:")
}
