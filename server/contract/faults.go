package contract

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what a Violation says, whatever a caller sends.
const (
	maxProblems  = 20  // problems listed; further ones are counted in silence
	maxMet       = 200 // problems worded, equal ones included
	maxEchoRunes = 100 // characters of a value or an undeclared name sent back
	maxFieldSize = 500 // bytes of a JSON pointer
)

// faults collects the problems of one request.
type faults struct {
	list    []Problem
	count   int  // of those that differ, whether they are listed or not
	met     int  // of all
	outside bool // one of them lies outside the body's schema
}

// full says that no further problem is listed, so that none need be worded: a
// body of a hundred thousand faults must not cost much more than a good one.
func (f *faults) full() bool { return len(f.list) == maxProblems || f.met >= maxMet }

// breach records a breach of the body's schema.
func (f *faults) breach(pointer string, r *rule, value any) {
	f.add(Problem{inBody, pointer, r.keyword, r.message, value, r.expected, r.code})
}

// fault records a fault outside the body's schema.
func (f *faults) fault(in, field string, r *rule, value any) {
	f.outside = true
	f.add(Problem{in, field, r.keyword, r.message, value, r.expected, r.code})
}

// add leaves out what is listed already: two parts of an allOf may find the
// same fault.
func (f *faults) add(p Problem) {
	f.met++
	if slices.Contains(f.list, p) {
		return
	}
	f.count++
	if !f.full() {
		f.list = append(f.list, p)
	}
}

// err is the whole as a *Violation, or nil if nothing was found.
func (f *faults) err() error {
	if f.count == 0 {
		return nil
	}
	v := &Violation{Status: http.StatusUnprocessableEntity, Code: f.list[0].Code, Problems: f.list}
	if f.outside {
		v.Status = http.StatusBadRequest
	}
	if f.count > 1 {
		v.Code = codeValidation
	}
	return v
}

// echoed cuts a value to what may be sent back.
func echoed(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxEchoRunes {
			return strings.ToValidUTF8(text[:i], "\uFFFD")
		}
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// clip cuts a pointer to maxFieldSize, between characters.
func clip(pointer string) string {
	if len(pointer) <= maxFieldSize {
		return pointer
	}
	end := maxFieldSize
	for end > 0 && !utf8.RuneStart(pointer[end]) {
		end--
	}
	return pointer[:end]
}
