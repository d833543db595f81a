package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonRow reads one object, as in a request that creates a contact, except that
// null clears a field or removes an attribute.
type jsonRow struct {
	d   *jsontext.Decoder
	row *importRow
}

// readNDJSON reads one line. Members that are unknown, repeated or of another
// type are faults, all of them at once; what is not JSON is one.
func readNDJSON() reader {
	input := bytes.NewReader(nil)
	r := jsonRow{d: jsontext.NewDecoder(input)}
	return func(row *importRow, b []byte) (int, bool) {
		n := lineLength(b, true)
		line := bytes.TrimSpace(b[:n])
		switch {
		case len(line) == 0:
			return n, true
		case n > maxRecord:
			row.faults.add(CodeValidation, "", fmt.Sprintf("is longer than %d bytes", maxRecord), "")
			return n, false
		}
		input.Reset(line)
		r.d.Reset(input)
		r.row = row
		if err := r.object("", r.member); err != nil {
			row.faults = faults{jsonFault(err)}
		} else if _, err := r.d.ReadToken(); !errors.Is(err, io.EOF) {
			row.faults = faults{{Code: CodeValidation, Message: "holds more than one JSON value"}}
		}
		return n, false
	}
}

// jsonFault says what is wrong with the JSON itself.
func jsonFault(err error) Fault {
	f := Fault{Code: CodeValidation, Message: "is not valid JSON"}
	var wrong *jsontext.SyntacticError
	switch {
	case !errors.As(err, &wrong):
	case errors.Is(err, jsontext.ErrDuplicateName):
		f.Field, f.Message = field(wrong.JSONPointer), "is there twice"
	case errors.Is(err, io.ErrUnexpectedEOF):
		f.Message += ": it ends too early"
	default:
		f.Message += ": " + shown(strings.TrimPrefix(wrong.Err.Error(), "jsontext: ")) + fmt.Sprintf(" at byte %d", wrong.ByteOffset+1)
	}
	return f
}

// field is a pointer as a fault repeats it.
func field(p jsontext.Pointer) string {
	var b strings.Builder
	for step := range p.Tokens() {
		b.WriteString("/" + pointerToken(step))
	}
	return b.String()
}

// object reads an object, each value by member. Something else is a fault.
func (r *jsonRow) object(field string, member func(name string) error) error {
	if ok, err := r.begins('{', field, "is not an object"); !ok {
		return err
	}
	for r.d.PeekKind() != '}' {
		name, err := r.d.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := r.d.ReadToken()
	return err
}

// begins enters an object or array; anything else it reports and skips.
func (r *jsonRow) begins(kind jsontext.Kind, field, wrong string) (bool, error) {
	if r.d.PeekKind() != kind {
		return false, r.refuse(field, wrong)
	}
	_, err := r.d.ReadToken()
	return err == nil, err
}

func (r *jsonRow) refuse(field, wrong string) error {
	if err := r.d.SkipValue(); err != nil {
		return err
	}
	if len(r.row.faults) < maxRowFaults { // a long array could hold many
		r.row.faults.add(CodeValidation, field, wrong, "")
	}
	return nil
}

func (r *jsonRow) member(name string) error {
	switch name {
	case "attributes":
		return r.object("/attributes", r.attribute)
	case "tags":
		return r.strings("/tags", func(_ int, s string) { r.row.contact.Tags = append(r.row.contact.Tags, s) })
	case "opted_out":
		return r.strings("/opted_out", r.row.optOut)
	}
	i := slices.IndexFunc(contactTexts[:], func(t contactText) bool { return t.name == name })
	if i < 0 {
		return r.refuse("/"+pointerToken(name), "is not a known field")
	}
	switch r.d.PeekKind() {
	case 'n':
		r.row.cleared |= 1 << i
		return r.d.SkipValue()
	case '"':
		token, err := r.d.ReadToken()
		text := token.String()
		*contactTexts[i].of(&r.row.contact) = &text
		return err
	}
	return r.refuse("/"+name, "is not a string")
}

func (r *jsonRow) attribute(key string) error {
	switch r.d.PeekKind() {
	case '"':
		token, err := r.d.ReadToken()
		r.row.setAttribute(key, token.String())
		return err
	case 't', 'f':
		token, err := r.d.ReadToken()
		r.row.setAttribute(key, token.Kind() == 't')
		return err
	case 'n':
		r.row.removed = append(r.row.removed, key)
		return r.d.SkipValue()
	case '0':
		token, err := r.d.ReadToken()
		if err != nil {
			return err
		}
		number, tooLarge := token.Float()
		if tooLarge == nil {
			r.row.setAttribute(key, number)
		} else {
			r.row.faults.add(CodeValidation, "/attributes/"+pointerToken(key), "is too large a number", "")
		}
		return nil
	}
	return r.refuse("/attributes/"+pointerToken(key), "is neither text, a number, true, false nor null")
}

// strings reads an array of strings.
func (r *jsonRow) strings(field string, each func(i int, s string)) error {
	if ok, err := r.begins('[', field, "is not an array"); !ok {
		return err
	}
	for i := 0; r.d.PeekKind() != ']'; i++ {
		if r.d.PeekKind() != '"' {
			if err := r.refuse(fmt.Sprintf("%s/%d", field, i), "is not a string"); err != nil {
				return err
			}
			continue
		}
		token, err := r.d.ReadToken()
		if err != nil {
			return err
		}
		each(i, token.String())
	}
	_, err := r.d.ReadToken()
	return err
}
