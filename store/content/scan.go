package content

import (
	"regexp"
	"slices"
	"strings"
)

// maxConstruct bounds the bytes of one {{ … }} or {% … %}: an expression is
// evaluated in one go, with no chance to look at the clock in the middle of it.
const maxConstruct = 2 << 10

type tokenKind uint8

const (
	textToken   tokenKind = iota // args is the text
	objectToken                  // {{ args }}
	tagToken                     // {% name args %}
)

// token is a text or a construct. In the args of a construct, line breaks are
// spaces, and args[i] stands at argsAt+i of the source.
type token struct {
	kind   tokenKind
	at     int // of the text or the opening brace in the source
	name   string
	args   string
	argsAt int
}

// scanner cuts a source into tokens. It settles here, for good, what needs no
// evaluation: whitespace control ({{- and -}}), raw and comment.
type scanner struct {
	source source
	at     int
	tokens []token
	trim   bool // the construct before at ended in a dash
}

func scan(src source) ([]token, error) {
	s := &scanner{source: src}
	for s.at < len(src) {
		open := s.nextOpen()
		s.text(s.at, open)
		s.at = open
		if open < len(src) {
			if err := s.construct(); err != nil {
				return nil, err
			}
		}
	}
	isEmpty := func(t token) bool { return t.kind == textToken && t.args == "" }
	return slices.DeleteFunc(s.tokens, isEmpty), nil
}

// nextOpen returns where the next construct begins, or the end.
func (s *scanner) nextOpen() int {
	for i := s.at; ; i++ {
		brace := strings.IndexByte(string(s.source[i:]), '{')
		if brace < 0 {
			return len(s.source)
		}
		i += brace
		if rest := s.source[i+1:]; rest != "" && (rest[0] == '{' || rest[0] == '%') {
			return i
		}
	}
}

// text emits source[from:to]. The construct that may follow still has to trim
// its end.
func (s *scanner) text(from, to int) {
	text := string(s.source[from:to])
	if s.trim {
		text = strings.TrimLeft(text, whitespace)
		s.trim = false
	}
	s.tokens = append(s.tokens, token{kind: textToken, at: from, args: text})
}

const whitespace = " \t\r\n\v\f"

// trimBefore takes the whitespace off the end of the text just emitted.
func (s *scanner) trimBefore() {
	last := &s.tokens[len(s.tokens)-1]
	last.args = strings.TrimRight(last.args, whitespace)
}

var spaces = strings.NewReplacer("\n", " ", "\r", " ", "\t", " ", "\v", " ", "\f", " ")

// construct emits the {{ … }} or {% … %} at s.at.
func (s *scanner) construct() error {
	t := token{kind: objectToken, at: s.at, argsAt: s.at + 2}
	opening, closing := "{{", "}}"
	if s.source[s.at+1] == '%' {
		t.kind, opening, closing = tagToken, "{%", "%}"
	}
	inner, _, found := strings.Cut(string(s.source[t.argsAt:]), closing)
	if !found {
		return s.source.errorf(t.at, "%s without %s", opening, closing)
	}
	if len(inner) > maxConstruct {
		return s.source.errorf(t.at, "longer than %d bytes between %s and %s", maxConstruct, opening, closing)
	}
	s.at = t.argsAt + len(inner) + len(closing)
	if strings.HasPrefix(inner, "-") {
		s.trimBefore()
		inner, t.argsAt = inner[1:], t.argsAt+1
	}
	inner, s.trim = strings.CutSuffix(inner, "-")
	t.setArgs(inner)

	if t.kind == objectToken {
		if t.args == "" {
			return s.source.errorf(t.at, "nothing between %s and %s", opening, closing)
		}
		s.tokens = append(s.tokens, t)
		return nil
	}
	return s.tag(t)
}

// setArgs takes over s, which begins at argsAt, without the space around it.
func (t *token) setArgs(s string) {
	s = spaces.Replace(s)
	trimmed := strings.TrimLeft(s, " ")
	t.argsAt += len(s) - len(trimmed)
	t.args = strings.TrimRight(trimmed, " ")
}

var tagName = regexp.MustCompile(`^[a-z]+`)

// tag emits a tag whose name still stands in its args.
func (s *scanner) tag(t token) error {
	t.name = tagName.FindString(t.args)
	if t.name == "" {
		return s.source.errorf(t.at, "a tag must begin with its name")
	}
	t.argsAt += len(t.name)
	t.setArgs(t.args[len(t.name):])

	switch t.name {
	case "raw", "comment":
		return s.verbatim(t)
	default:
		s.tokens = append(s.tokens, t)
		return nil
	}
}

var verbatimEnd = map[string]*regexp.Regexp{
	"raw":     regexp.MustCompile(`\{%(-?)\s*endraw\s*(-?)%\}`),
	"comment": regexp.MustCompile(`\{%(-?)\s*endcomment\s*(-?)%\}`),
}

// verbatim emits what stands in a raw block, untouched, and nothing of a comment.
func (s *scanner) verbatim(t token) error {
	if t.args != "" {
		return s.source.errorf(t.argsAt, "%s takes no arguments", t.name)
	}
	match := verbatimEnd[t.name].FindStringSubmatchIndex(string(s.source[s.at:]))
	if match == nil {
		return s.source.errorf(t.at, "%s without end%s", t.name, t.name)
	}
	if t.name == "comment" {
		s.text(s.at, s.at) // so that a dash trims this, and not what stands before the comment
	} else {
		s.text(s.at, s.at+match[0])
	}
	if match[2] < match[3] {
		s.trimBefore()
	}
	s.trim = match[4] < match[5]
	s.at += match[1]
	return nil
}
