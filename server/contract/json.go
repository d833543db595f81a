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
	if !jsontext.Value(data).IsValid() {
		syntaxFault(data, f)
		return data
	}
	w := walker{text: string(data), faults: f}
	if nesting(w.text) > maxDepth {
		f.fault(inBody, "", &ruleDepth, nil)
		return data
	}
	refuseNUL(data, f)
	w.value(s, space(w.text, 0))
	return respell(data, w.edits)
}

// syntaxFault says what is wrong with data that is not one JSON value.
func syntaxFault(data []byte, f *faults) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	_, err := d.ReadValue()
	if err == nil {
		f.fault(inBody, "", syntaxRule("has data after the JSON value, at byte %d", d.InputOffset()), nil)
		return
	}
	syntax, found := errors.AsType[*jsontext.SyntacticError](err)
	if !found { // nothing but white space
		syntax = &jsontext.SyntacticError{Err: io.ErrUnexpectedEOF, ByteOffset: int64(len(data))}
	}
	pointer := clip(string(syntax.JSONPointer))
	if errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
		f.fault(inBody, pointer, &ruleRepeated, nil)
		return
	}
	f.fault(inBody, pointer, syntaxRule("is not valid JSON at byte %d: %v", syntax.ByteOffset, syntax.Err), nil)
}

func syntaxRule(format string, args ...any) *rule {
	return &rule{"syntax", "valid JSON", fmt.Sprintf(format, args...), codeValidation}
}

// refuseNUL looks for the escaped NUL character in names and strings, also
// where the schema leaves them open. It counts as a breach of the schema.
func refuseNUL(data []byte, f *faults) {
	if !bytes.Contains(data, []byte(`\u0000`)) {
		return
	}
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for !f.full() {
		token, err := d.ReadToken()
		if err != nil {
			return // the end: data is valid
		}
		if token.Kind() == '"' && strings.Contains(token.String(), "\x00") {
			f.breach(clip(string(d.StackPointer())), &ruleNUL, nil)
		}
	}
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
