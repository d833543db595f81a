package contract

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
)

// parameter is a compiled path, query or header parameter.
type parameter struct {
	in       string
	name     string
	header   string // of a header: its name in canonical form
	required bool
	list     *schema // of an array: its own schema; schema is that of the items
	schema   *schema // of type string, integer, number or boolean
}

// parameter takes the default styles alone, which every client writes alike:
// simple in path and header, form in the query with one name=value per item.
func (c *compiler) parameter(src *openapi3.Parameter) (*parameter, error) {
	style := map[string]string{inPath: "simple", inHeader: "simple", inQuery: "form"}[src.In]
	switch {
	case style == "":
		return nil, fmt.Errorf("parameters in %q are not enforced", src.In)
	case src.Style != "" && src.Style != style:
		return nil, fmt.Errorf("style %q is not enforced", src.Style)
	case src.AllowReserved || src.AllowEmptyValue || src.Content != nil:
		return nil, errors.New("allowReserved, allowEmptyValue and content are not enforced")
	case src.In == inHeader && slices.Contains([]string{"accept", "content-type", "authorization"}, strings.ToLower(src.Name)):
		return nil, errors.New("OpenAPI ignores a header parameter of this name")
	}
	s, err := c.compile(src.Schema, false)
	if err != nil {
		return nil, err
	}
	p := &parameter{in: src.In, name: src.Name, header: http.CanonicalHeaderKey(src.Name), required: src.Required, schema: s}
	if s.types == kindArray && src.In == inQuery {
		if src.Explode != nil && !*src.Explode || src.Schema.Value.MaxItems == nil || s.items == nil || s.composed() {
			return nil, errors.New("an array with explode: false, or without items and maxItems, is not enforced")
		}
		p.list, p.schema = s, s.items
	}
	switch p.schema.types {
	case kindString, kindNumber, kindBoolean:
		if !p.schema.composed() {
			return p, nil
		}
	}
	return nil, errors.New("a parameter must be of one plain type: string, integer, number or boolean, or in the query an array of these")
}

// check holds the parameter's decoded text to its schema.
func (p *parameter) check(text string, f *faults) {
	if broken := p.schema.brokenByParameter(text); broken != nil {
		f.fault(p.in, p.name, broken, p.schema.echo(text))
	}
}

// brokenByParameter is the rule that a parameter's text breaks, or nil.
func (s *schema) brokenByParameter(text string) *rule {
	switch {
	case !utf8.ValidString(text):
		return &rule{ruleUTF8.keyword, "", ruleUTF8.message, s.code}
	case strings.IndexByte(text, 0) >= 0:
		return &rule{ruleNUL.keyword, "", ruleNUL.message, s.code}
	case s.types == kindString:
		return s.brokenByText(text)
	case s.types == kindBoolean && text != "true" && text != "false":
		return &s.typeRule
	case s.types == kindBoolean:
		return s.brokenByLiteral(text)
	}
	if s.integer && !plainInteger(text) || !s.integer && !jsonNumber(text) {
		return &s.typeRule
	}
	_, broken := s.brokenByNumber(text)
	return broken
}

// jsonNumber says whether text is a number as JSON writes it, and nothing else.
func jsonNumber(text string) bool {
	number := jsontext.Value(text)
	return number.IsValid() && number.Kind() == '0' && strings.TrimSpace(text) == text
}

// checkPath checks the values that Echo's router cut from the path. The router
// leaves them escaped where the path was escaped in an unusual way.
func (op *operation) checkPath(c echo.Context, f *faults) {
	escaped := c.Request().URL.RawPath != ""
	for _, p := range op.path {
		text := c.Param(p.name)
		if escaped {
			plain, err := url.PathUnescape(text)
			if err != nil {
				f.fault(inPath, p.name, &ruleEscape, nil)
				continue
			}
			text = plain
		}
		p.check(text, f)
	}
}

// checkHeader checks the declared headers; others are none of the contract's
// business.
func (op *operation) checkHeader(h http.Header, f *faults) {
	for _, p := range op.header {
		switch given := h[p.header]; {
		case len(given) > 1:
			f.fault(inHeader, p.name, &ruleRepeated, nil)
		case len(given) == 1:
			p.check(given[0], f)
		case p.required:
			f.fault(inHeader, p.name, &ruleRequired, nil)
		}
	}
}
