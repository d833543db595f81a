package contract

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions of this file find their way in JSON text that is known to be
// valid; on other text they may panic.

// kind is a set of the kinds of JSON values.
type kind uint8

const (
	kindNull kind = 1 << iota
	kindBoolean
	kindNumber
	kindString
	kindArray
	kindObject
)

// kindAt is the kind of the value that begins at i.
func kindAt(text string, i int) kind {
	switch text[i] {
	case 'n':
		return kindNull
	case 't', 'f':
		return kindBoolean
	case '"':
		return kindString
	case '[':
		return kindArray
	case '{':
		return kindObject
	default:
		return kindNumber
	}
}

// space is the first place from i on that is not white space, or the end.
func space(text string, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return i
}

// next goes from the end of a member or element to the start of the next one,
// or to the closing bracket.
func next(text string, i int) int {
	i = space(text, i)
	if text[i] == ',' {
		i = space(text, i+1)
	}
	return i
}

// nameAt reads the member name at i; value is where the member's value begins.
func nameAt(text string, i int) (name string, value int) {
	end := stringEnd(text, i)
	colon := space(text, end)
	return unquote(text[i:end]), space(text, colon+1)
}

// skip is the place after the value that begins at i.
func skip(text string, i int) int {
	for depth := 0; ; {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\n', '\t', '\r':
			i++
		default:
			i = literalEnd(text, i)
		}
		if depth == 0 {
			return i
		}
	}
}

// stringEnd is the place after the string that begins at i.
func stringEnd(text string, i int) int {
	for i++; ; i++ {
		i += strings.IndexByte(text[i:], '"')
		escapes := 0
		for text[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// literalEnd is the place after the number, true, false or null that begins at i.
func literalEnd(text string, i int) int {
	for i < len(text) {
		switch text[i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}

// unquote is the text that a JSON string stands for.
func unquote(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	plain, _ := jsontext.AppendUnquote(nil, raw) // of what is no Unicode it makes U+FFFD
	return string(plain)
}

// nesting is how deep objects and arrays lie in each other: 0 for a scalar.
func nesting(text string) int {
	depth, deepest := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i) - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}
