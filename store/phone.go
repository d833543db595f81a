package store

import (
	"regexp/syntax"
	"strings"
	"sync"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// e164 writes a phone number that starts with "+" in E.164 form, as Google's
// libphonenumber does: spaces and punctuation go, so does a national prefix as
// in +44 (0)20. The number must be possible: a calling code that exists, a
// length that its plan has. Whether it is in use is not asked.
//
// The library takes 11 µs, too long for an import, so what already is E.164 is
// recognised without it (see plan), with the same answer.
func e164(s string) (string, bool) {
	if isE164(s) {
		return s, true
	}
	if len(s) > 64 || !strings.HasPrefix(s, "+") || strings.ContainsFunc(s, unicode.IsLetter) {
		return "", false
	}
	for range 3 { // until it stays as it is, or a contact saved again would change
		n, err := phonenumbers.Parse(s, "")
		if err != nil || n.GetExtension() != "" || !phonenumbers.IsPossibleNumber(n) {
			return "", false
		}
		before := s
		s = phonenumbers.Format(n, phonenumbers.E164)
		if !e164Length(s) {
			return "", false
		}
		if s == before {
			return s, true
		}
	}
	return "", false
}

// e164Length says whether the number has 7 to 15 digits: fewer reach nobody,
// more do not fit E.164.
func e164Length(s string) bool { return len(s) >= 8 && len(s) <= 16 }

// isE164 is true only for numbers that the library would leave as they are.
func isE164(s string) bool {
	if !e164Length(s) || s[0] != '+' || s[1] == '0' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	code := 0
	for i := 1; i <= 3; i++ {
		code = code*10 + int(s[i]-'0')
		if p := plans()[code]; p.lengths != 0 {
			national := s[i+1:]
			return p.lengths>>len(national)&1 == 1 && p.prefixes>>(national[0]-'0')&1 == 0
		}
	}
	return false
}

// plan is a calling code's numbering plan, as far as isE164 needs it.
type plan struct {
	lengths  uint32 // bit n: a national number may have n digits
	prefixes uint16 // bit d: the library may cut or rewrite a national number that starts with digit d
}

// plans are taken from the library's own tables, by calling code.
var plans = sync.OnceValue(func() *[1000]plan {
	var ps [1000]plan
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		panic(err) // it is compiled in, and the library itself has read it already
	}
	for _, m := range all.GetMetadata() {
		code := int(m.GetCountryCode())
		if m.GetId() != phonenumbers.GetRegionCodeForCountryCode(code) {
			continue // shares the code with the country whose plan counts
		}
		general := m.GetGeneralDesc()
		for _, n := range append(general.GetPossibleLength(), general.GetPossibleLengthLocalOnly()...) {
			if n > 0 {
				ps[code].lengths |= 1 << n
			}
		}
		if prefix := m.GetNationalPrefixForParsing(); prefix != "" {
			ps[code].prefixes = firstDigits(prefix)
		}
	}
	return &ps
})

// firstDigits gives the digits that a match of the pattern may start with, one
// bit each; all of them if it may be empty.
func firstDigits(pattern string) uint16 {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 1<<10 - 1
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 1<<10 - 1
	}
	return digitsFrom(prog, uint32(prog.Start), map[uint32]bool{})
}

func digitsFrom(prog *syntax.Prog, at uint32, seen map[uint32]bool) (digits uint16) {
	if seen[at] {
		return 0
	}
	seen[at] = true
	switch in := &prog.Inst[at]; in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return digitsFrom(prog, in.Out, seen) | digitsFrom(prog, in.Arg, seen)
	case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
		return digitsFrom(prog, in.Out, seen)
	case syntax.InstMatch:
		return 1<<10 - 1
	case syntax.InstFail:
		return 0
	default:
		for d := range 10 {
			if in.MatchRune(rune('0' + d)) {
				digits |= 1 << d
			}
		}
		return digits
	}
}
