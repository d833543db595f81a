// Package content turns a body or a subject with placeholders into what one
// contact gets to read. It knows the Liquid language, what a contact offers to
// it, and how much of the machine one template may use. It refuses to know
// where contacts and templates are kept, which campaign they belong to and how
// a message travels: no database, no HTTP, no carrier.
//
// The language is Liquid: {{ first_name }}, {{ attributes.plan | upcase }} and
// the tags assign, break, capture, case, comment, continue, cycle, for, if, raw
// and unless. A template comes from a stranger, so whatever a template could use
// to hold a core or fill the memory is either refused by [Compile] or bounded
// by [Template.Render]; the tags include, render and tablerow do not exist.
package content

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/osteele/liquid/render"
)

// The limits of one template.
const (
	MaxTextSource = 64 << 10               // bytes of source, not HTML
	MaxHTMLSource = 100 << 10              // bytes of source, HTML
	MaxOutput     = 256 << 10              // bytes that one render may give
	MaxIterations = 10_000                 // passes through loop bodies in one render, all loops together
	MaxRenderTime = 100 * time.Millisecond // of one render; checked between steps, so a step may overrun it
)

// Template is a compiled body or subject. It never changes and serves many
// goroutines at once.
type Template struct {
	source source
	html   bool
	reads  []string // the identifiers that the source reads

	plain  *plainTemplate // set when the source holds nothing but text and plain placeholders
	tokens []token        // else, the tokens of the source, and what the library made of them
	root   render.Node
	config render.Config
}

// Compile parses a body or subject, once for all its recipients. With html,
// every value is escaped for HTML on its way out unless its last filter is raw;
// the source itself is taken as it is. The error is always a *SyntaxError.
func Compile(text string, html bool) (*Template, error) {
	src, limit := source(text), MaxTextSource
	if html {
		limit = MaxHTMLSource
	}
	if len(text) > limit {
		return nil, src.errorf(0, "longer than %d bytes", limit)
	}
	if at := invalidUTF8(text); at >= 0 {
		return nil, src.errorf(at, "not valid UTF-8")
	}
	tokens, err := scan(src)
	if err != nil {
		return nil, err
	}
	t := &Template{source: src, html: html}
	if t.reads, err = check(src, tokens); err != nil {
		return nil, err
	}
	if t.plain = compilePlain(tokens); t.plain != nil {
		return t, nil
	}
	t.tokens = tokens
	if err := t.compileLiquid(); err != nil {
		return nil, err
	}
	return t, nil
}

// Variables names what Values must hold for this template, sorted: the names
// of contact fields, and "attributes" if any attribute may be read. It may
// name more than a render really reads, never less.
func (t *Template) Variables() []string {
	var names []string
	for _, name := range t.reads {
		if _, ok := fieldNames[name]; !ok {
			name = attributesName
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Render appends to dst what the contact gets to read, and returns it. A
// variable that v lacks renders empty. The error is always a *RenderError, and
// then dst comes back as it was.
func (t *Template) Render(dst []byte, v *Values) ([]byte, error) {
	if t.plain != nil {
		return t.plain.render(dst, v, t.html)
	}
	return t.renderLiquid(dst, v)
}

// SyntaxError says where a source cannot be a template, and why.
type SyntaxError struct {
	Line, Column int // from 1; a column is one Unicode code point
	Message      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// RenderError says why a template gave nothing for one contact. The same
// template may well do for the next one. Message may repeat up to 200
// characters of the contact's data.
type RenderError struct {
	Line, Column int // as in SyntaxError; 0 when the fault lies in no single place
	Message      string
}

func (e *RenderError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// source is the text of a template; it knows lines and columns.
type source string

func (s source) position(at int) (line, column int) {
	line, start := 1, 0
	for i := range at {
		if s[i] == '\n' {
			line, start = line+1, i+1
		}
	}
	return line, utf8.RuneCountInString(string(s[start:at])) + 1
}

func (s source) errorf(at int, format string, args ...any) *SyntaxError {
	line, column := s.position(at)
	return &SyntaxError{Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// invalidUTF8 returns where text first is not UTF-8, or -1.
func invalidUTF8(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}
