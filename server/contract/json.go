package contract

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// checkJSON checks a body and returns it as it is to be decoded: with integers
// written as 20.0 or 2e1 spelled 20, since Go's decoders refuse the others.
func checkJSON(data []byte, s *schema, f *faults) []byte {
	text := string(data)
	valid := jsontext.Value(data).IsValid()
	if !valid {
		f.outside = true // also if there is no room left to list why
	}
	if !valid || strings.Contains(text, `\u0000`) {
		var whole bool
		if text, whole = checkTokens(data, f); !whole {
			return data
		}
	}
	w := walker{text: text, faults: f}
	if nesting(w.text) > maxDepth {
		f.fault(inBody, "", &ruleDepth, nil)
		return data
	}
	w.value(s, space(w.text, 0))
	if !valid {
		return data // the edits' places are those of w.text
	}
	return respell(data, w.edits)
}

// checkTokens tells what is wrong with data beside its schema, token by token:
// names that are there twice, texts that are not valid UTF-8 or hold the NUL
// character (also where the schema leaves them open; this counts as a breach of
// it), data after the value. If there is a whole value nevertheless, it is
// returned as text, so that the faults in its schema can be told as well.
func checkTokens(data []byte, f *faults) (text string, whole bool) {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var open []map[string]bool // the names met in each object that is open; of an array nil
	for d.InputOffset() == 0 || len(open) > 0 {
		if f.full() {
			return "", false
		}
		in, members := d.StackIndex(d.StackDepth())
		if d.PeekKind() == '"' {
			raw, err := d.ReadValue()
			if err != nil {
				return "", syntaxFault(err, data, f)
			}
			name := f.checkText(raw, d)
			if in == '{' && members%2 == 0 {
				if open[len(open)-1][name] {
					f.fault(inBody, clip(string(d.StackPointer())), &ruleRepeated, nil)
				}
				open[len(open)-1][name] = true
			}
			continue
		}
		token, err := d.ReadToken()
		if err != nil {
			return "", syntaxFault(err, data, f)
		}
		switch token.Kind() {
		case '{':
			open = append(open, map[string]bool{})
		case '[':
			open = append(open, nil)
		case '}', ']':
			open = open[:len(open)-1]
		}
	}
	end := d.InputOffset()
	if after := bytes.TrimLeft(data[end:], " \t\r\n"); len(after) > 0 {
		f.fault(inBody, "", syntaxRule("has data after the JSON value, at byte %d", int64(len(data)-len(after))), nil)
	}
	return strings.ToValidUTF8(string(data[:end]), "\uFFFD"), true
}

// checkText tells what is wrong with the name or string that d has just read,
// and returns what it stands for.
func (f *faults) checkText(raw jsontext.Value, d *jsontext.Decoder) string {
	if !raw.IsValid() {
		f.fault(inBody, clip(string(d.StackPointer())), &ruleUTF8, nil)
	}
	text := unquote(string(raw))
	if strings.IndexByte(text, 0) >= 0 {
		f.breach(clip(string(d.StackPointer())), &ruleNUL, nil)
	}
	return text
}

// syntaxFault says why data is no JSON value; it returns false.
func syntaxFault(err error, data []byte, f *faults) (whole bool) {
	syntax, found := errors.AsType[*jsontext.SyntacticError](err)
	if !found { // nothing but white space
		syntax = &jsontext.SyntacticError{Err: io.ErrUnexpectedEOF, ByteOffset: int64(len(data))}
	}
	f.fault(inBody, clip(string(syntax.JSONPointer)), syntaxRule("is not valid JSON at byte %d: %v", syntax.ByteOffset, syntax.Err), nil)
	return false
}

func syntaxRule(format string, args ...any) *rule {
	return &rule{"syntax", "valid JSON", fmt.Sprintf(format, args...), codeValidation}
}

// respell puts the edits' spellings in. Parts of an allOf may have found the
// same edit; none overlap otherwise.
func respell(data []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return data
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	out := make([]byte, 0, len(data))
	done := 0
	for _, e := range edits {
		if e.start >= done {
			out = append(append(out, data[done:e.start]...), e.spelling...)
			done = e.end
		}
	}
	return append(out, data[done:]...)
}
