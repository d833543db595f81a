package content

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"
	"github.com/osteele/liquid/render"
	"github.com/osteele/liquid/values"
)

// We use the library's packages and not its Engine, because the Engine gives no
// hold on loops, captures, filters and the place of an error.

// sourceName stands where the library wants a path; it makes every error of the
// library carry a line.
const sourceName = "template"

// compileLiquid has the library parse t.tokens. It gets one token on each line,
// so that the line of its errors is the index of a token, from which we know the
// column too; texts go by index, so that the library never scans them.
func (t *Template) compileLiquid() (err error) {
	var b strings.Builder
	for i, token := range t.tokens {
		switch token.kind {
		case textToken:
			fmt.Fprintf(&b, "{%%\n%s %d %%}", textTag, i)
		case objectToken:
			fmt.Fprintf(&b, "{{\n%s }}", token.args)
		case tagToken:
			fmt.Fprintf(&b, "{%%\n%s %s %%}", token.name, token.args)
		}
	}
	defer func() { // the library panics on some sources
		if recover() != nil {
			err = t.source.errorf(0, "cannot be parsed")
		}
	}()
	t.config = newConfig(t.tokens)
	if t.html {
		t.config.SetAutoEscapeReplacer(escaper{})
	}
	root, failure := t.config.Compile(b.String(), parser.SourceLoc{Pathname: sourceName})
	if failure != nil {
		return t.syntaxError(failure)
	}
	t.root = root
	return nil
}

// escaper is the library's hook for the values it shows.
type escaper struct{}

func (escaper) WriteString(w io.Writer, value string) (int, error) {
	return w.Write(appendValue(nil, value, true))
}

// syntaxError says what the library says, in the words of the source.
func (t *Template) syntaxError(failure parser.Error) *SyntaxError {
	token := t.tokens[failure.LineNumber()]
	_, message, _ := strings.Cut(failure.Error(), ": ")
	message = strings.TrimSuffix(message, " in "+sourceName)
	if strings.HasPrefix(message, "syntax error") { // goes on with the text that we made of the source
		message = fmt.Sprintf("syntax error in %q", strings.TrimSpace(token.name+" "+token.args))
	}
	return t.source.errorf(token.at, "%s", shorten(message))
}

func (t *Template) renderLiquid(dst []byte, v *Values) (out []byte, err error) {
	variables, err := t.variables(v)
	if err != nil {
		return dst, &RenderError{Message: err.Error()}
	}
	r := beginRun(dst, t.html)
	defer r.end()
	defer func() { // the library panics on some errors of a writer, and of its own
		if p := recover(); p != nil {
			out, err = dst, panicError(p)
		}
	}()
	variables[runVariable] = r
	config := t.config
	config.Config.Config = r.filters
	if failure := render.Render(t.root, r, variables, config); failure != nil {
		return dst, t.renderError(failure)
	}
	return r.out, nil
}

// variables returns what the library needs to know of v for this template.
func (t *Template) variables(v *Values) (map[string]any, error) {
	variables := make(map[string]any, len(t.reads)+1)
	var attributes map[string]any
	for _, name := range t.reads {
		if f, ok := fieldNames[name]; ok {
			variables[name] = orMissing(v.field(f))
			continue
		}
		if attributes == nil {
			var err error
			if attributes, err = decodeAttributes(v.Attributes); err != nil {
				return nil, err
			}
		}
		if name == attributesName {
			variables[name] = attributesValue{Value: missingValue, attributes: attributes}
		} else {
			variables[name] = orMissing(attributes[name])
		}
	}
	return variables, nil
}

// orMissing makes an empty text missing, be it a contact's or the template's own.
func orMissing(v any) any {
	if v == nil || v == "" {
		return missingValue
	}
	return v
}

// missing is the value of a variable that the contact lacks. It is nil to Liquid
// and also equals "", so that {% if first_name != "" %} does what people expect.
type missing struct{ values.Value }

var missingValue values.Value = missing{values.ValueOf(nil)}

func (missing) Equal(other values.Value) bool {
	v := other.Interface()
	return v == nil || v == ""
}

// attributesValue is the variable attributes: nil as a whole, so that it shows
// nothing and cannot be looped over in random order.
type attributesValue struct {
	values.Value
	attributes map[string]any
}

func (a attributesValue) PropertyValue(key values.Value) values.Value {
	name, _ := key.Interface().(string)
	return values.ValueOf(orMissing(a.attributes[name]))
}

func (a attributesValue) IndexValue(key values.Value) values.Value { return a.PropertyValue(key) }

func (t *Template) renderError(failure render.Error) *RenderError {
	e := &RenderError{Message: failure.Error()}
	if cause := failure.Cause(); cause != nil {
		e.Message = cause.Error()
		if filter, ok := errors.AsType[expressions.FilterError](cause); ok {
			e.Message = fmt.Sprintf("filter %s: %v", filter.FilterName, filter.Err)
		}
	}
	e.Message = shorten(e.Message)
	if i := failure.LineNumber(); i < len(t.tokens) {
		e.Line, e.Column = t.source.position(t.tokens[i].at)
	}
	return e
}

func panicError(p any) *RenderError {
	if limit, ok := p.(limitError); ok {
		return &RenderError{Message: limit.Error()}
	}
	return &RenderError{Message: "cannot be evaluated"}
}

// shorten keeps messages, which may hold a contact's data, at 200 characters.
func shorten(message string) string {
	if runes := []rune(message); len(runes) > 200 {
		return string(runes[:199]) + "…"
	}
	return message
}
