package tests

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/campaigns-api/campaigns/gen/types"
)

// wrongBodies are those of which the body or what is said of it is wrong.
func wrongBodies(t *testing.T, op operation, base attempt) []wrong {
	if op.RequestBody == nil {
		return wrongBecauseOfABody(base)
	}
	media := op.RequestBody.Value.Content["application/json"]
	if media == nil {
		return wrongMedia(base)
	}
	all := wrongMedia(base.saying("{}"))
	done := map[string]bool{} // places in the body, of which the examples share some
	for _, title := range slices.Sorted(maps.Keys(media.Examples)) {
		example := plainJSON(t, media.Examples[title].Value.Value)
		all = append(all, wrongJSON(base, example)...)
		eachPlace(place{"", media.Schema.Value, example}, func(at place) {
			if !done[at.pointer] {
				all = append(all, wrongPlaces(base, example, at)...)
			}
			done[at.pointer] = true
		})
	}
	return all
}

// wrongBecauseOfABody are those of an operation that takes none.
func wrongBecauseOfABody(base attempt) (all []wrong) {
	for _, body := range []string{"{}", " ", "null", "a=1", "\x00"} {
		said := base.saying(body).with("Content-Type", "application/json")
		all = append(all, wrongly("a body where none is taken", said, 400, "VALIDATION_ERROR", "body "))
		said.chunked = true
		all = append(all, wrongly("a chunked body where none is taken", said, 400, "VALIDATION_ERROR", "body "))
	}
	all = append(all, wrong{base.saying("{}").asking("a=1"), "body and query", 400, "VALIDATION_ERROR", []string{"query a", "body "}})
	return all
}

// wrongMedia are those of which the body's headers or size are wrong.
func wrongMedia(base attempt) (all []wrong) {
	own := base.header.Get("Content-Type")
	for _, mediaType := range [][]string{
		nil,
		{""},
		{"text/plain"},
		{"application/xml"},
		{"application/x-www-form-urlencoded"},
		{"multipart/form-data; boundary=a"},
		{own + "x"},
		{"*/*"},
		{own + "; charset=iso-8859-1"},
		{own + "; charset=utf-8; charset=utf-16"},
		{own, own},
	} {
		said := base.with("Content-Type", mediaType...)
		all = append(all, wrongly(fmt.Sprint("Content-Type ", mediaType), said, 415, "UNSUPPORTED_MEDIA_TYPE", "header Content-Type"))
		said.chunked = true
		all = append(all, wrongly(fmt.Sprint("chunked, Content-Type ", mediaType), said, 415, "UNSUPPORTED_MEDIA_TYPE", "header Content-Type"))
	}
	for _, encoding := range []string{"gzip", "br", "identity, gzip"} {
		all = append(all, wrongly("Content-Encoding "+encoding, base.with("Content-Encoding", encoding), 415, "UNSUPPORTED_MEDIA_TYPE", "header Content-Encoding"))
	}
	return append(all, wrongly("no body", base.saying(""), 400, "VALIDATION_ERROR", "body "))
}

// wrongJSON are those of which the body as a whole is wrong.
func wrongJSON(base attempt, example any) (all []wrong) {
	text := asJSON(example)
	bad := func(why, body, at string) {
		all = append(all, wrongly(why, base.saying(body), 400, "VALIDATION_ERROR", "body "+at))
	}
	bad("data after the JSON", text+"x", "")
	bad("a second value", text+"{}", "")
	bad("cut off", text[:len(text)-1], "")
	bad("a comma at the end", text[:len(text)-1]+",}", "")
	bad("only white space", " \n", "")
	bad("byte order mark", "\xef\xbb\xbf"+text, "")
	bad("a comment", "/**/"+text, "")
	bad("too deep", `{"deep":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+"}", "")
	bad("deeper than any parser goes", strings.Repeat("[", 20_000), strings.Repeat("/0", 250))
	for name, value := range example.(map[string]any) {
		bad("a name twice", text[:len(text)-1]+","+asJSON(name)+":"+asJSON(value)+"}", "/"+name)
		bad("a name twice, once in escapes", text[:len(text)-1]+`,"`+fmt.Sprintf(`\u%04x`, name[0])+name[1:]+`":`+asJSON(value)+"}", "/"+name)
	}
	for _, body := range []string{"null", "[]", "1", `"{}"`, "true"} {
		all = append(all, wrongly("no object", base.saying(body), 422, "VALIDATION_ERROR", "body "))
	}
	large := base.saying(text + strings.Repeat(" ", 1<<20))
	all = append(all, wrongly("too large", large.asking("a=1"), 413, "PAYLOAD_TOO_LARGE", "body "))
	large.chunked = true
	all = append(all, wrongly("too large, its length not announced", large, 413, "PAYLOAD_TOO_LARGE", "body "))
	several := base.saying(text[:len(text)-1] + `,"nobody_knows":1,"nobody_knows":2} x`).asking("%zz")
	return append(all, wrong{
		several, "faults everywhere", 400, "VALIDATION_ERROR",
		[]string{"query %zz", "body /nobody_knows", "body ", "body /nobody_knows"},
	})
}

// place is a value in an example, with what the document says of it.
type place struct {
	pointer string
	schema  *openapi3.Schema
	value   any
}

// eachPlace calls f with the value and all that it is made of.
func eachPlace(at place, f func(place)) {
	for _, alternative := range at.schema.AnyOf { // a schema or null
		if !alternative.Value.Type.Is("null") {
			at.schema = alternative.Value
		}
	}
	f(at)
	switch v := at.value.(type) {
	case map[string]any:
		for name, value := range v {
			inside := at.schema.Properties[name]
			if inside == nil {
				inside = at.schema.AdditionalProperties.Schema
			}
			eachPlace(place{at.pointer + "/" + name, inside.Value, value}, f)
		}
	case []any:
		for i, value := range v {
			eachPlace(place{at.pointer + "/" + strconv.Itoa(i), at.schema.Items.Value, value}, f)
		}
	}
}

// wrongPlaces are those of which one value in the body is wrong.
func wrongPlaces(base attempt, example any, at place) (all []wrong) {
	put := func(why string, code types.ErrorCode, pointer string, value any) {
		all = append(all, wrongly(why, base.saying(asJSON(replaced(example, at.pointer, value))), 422, code, "body "+pointer))
	}
	s := at.schema
	if !s.Type.Is("array") {
		put("an array", "VALIDATION_ERROR", at.pointer, []any{})
	}
	switch v := at.value.(type) {
	case map[string]any:
		if s.AdditionalProperties.Schema == nil {
			put("an unknown field", "VALIDATION_ERROR", at.pointer+"/nobody_knows", plus(v, "nobody_knows", nil))
		}
		for _, name := range s.Required {
			put("a field missing", "MISSING_REQUIRED_FIELD", at.pointer+"/"+name, without(v, name))
		}
		for name := range s.Properties {
			put("a name in the wrong case", "VALIDATION_ERROR", at.pointer+"/"+strings.ToUpper(name), plus(v, strings.ToUpper(name), nil))
		}
	case []any:
		put("an object", "VALIDATION_ERROR", at.pointer, map[string]any{})
		if s.UniqueItems && len(v) < int(*s.MaxItems) {
			put("an item twice", "VALIDATION_ERROR", at.pointer+"/"+strconv.Itoa(len(v)), append(slices.Clone(v), v[0]))
		}
	case string:
		all = append(all, wrongTextsAt(base, example, at, v)...)
	case json.Number:
		if s.Type.Is("integer") {
			put("a fraction", "VALIDATION_ERROR", at.pointer, json.Number(v.String()+".5"))
			put("out of range", codeOf(s), at.pointer, json.Number("1e30"))
			put("an integer as a string", "VALIDATION_ERROR", at.pointer, v.String())
		}
		put("no number at all", codeOf(s), at.pointer, json.Number("1e999"))
	}
	return all
}

// wrongTextsAt are those of which a string in the body is wrong.
func wrongTextsAt(base attempt, example any, at place, v string) (all []wrong) {
	put := func(why string, code types.ErrorCode, text string) {
		all = append(all, wrongly(why, base.saying(asJSON(replaced(example, at.pointer, text))), 422, code, "body "+at.pointer))
	}
	s := at.schema
	if s.MaxLength != nil {
		put("too long", codeOf(s), strings.Repeat("é", int(*s.MaxLength)+1))
	}
	if s.MinLength > 0 {
		put("empty", codeOf(s), "")
	}
	if len(s.Enum) > 0 {
		put("enum in the wrong case", codeOf(s), strings.ToUpper(v))
	}
	if s.Format == "date-time" {
		for _, text := range []string{"", "tomorrow", "2026-02-30T09:00:00Z", "2026-03-15T09:00:00", "2026-03-15 09:00:00Z", "2026-03-15T09:00:00+0100"} {
			put("no time: "+text, codeOf(s), text)
		}
	}
	if s.Format == "email" {
		put("no mailbox", "INVALID_EMAIL", "nobody")
	}
	const mark = "MARK"
	body := asJSON(replaced(example, at.pointer, v+mark))
	bad := func(why, in string, status int) {
		all = append(all, wrongly(why, base.saying(strings.Replace(body, mark, in, 1)), status, "VALIDATION_ERROR", "body "+at.pointer))
	}
	bad("NUL", `\u0000`, 422)
	bad("raw NUL", "\x00", 400)
	bad("raw line feed", "\n", 400)
	bad("bad UTF-8", "\xff", 400)
	bad("a lone surrogate", `\ud800`, 400)
	return all
}

// replaced is a copy of the value with what is at the pointer replaced.
func replaced(v any, pointer string, by any) any {
	if pointer == "" {
		return by
	}
	step, rest, more := strings.Cut(pointer[1:], "/")
	if more {
		rest = "/" + rest
	}
	switch v := v.(type) {
	case map[string]any:
		return plus(v, step, replaced(v[step], rest, by))
	case []any:
		i, _ := strconv.Atoi(step)
		v = slices.Clone(v)
		v[i] = replaced(v[i], rest, by)
		return v
	}
	panic("the pointer leads nowhere: " + pointer)
}

func plus(object map[string]any, name string, value any) map[string]any {
	object = maps.Clone(object)
	object[name] = value
	return object
}

func without(object map[string]any, name string) map[string]any {
	object = maps.Clone(object)
	delete(object, name)
	return object
}

// asText is a file as it is, and of all else the JSON.
func asText(v any) string {
	if file, isText := v.(string); isText {
		return file
	}
	return asJSON(v)
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of what came from JSON
	}
	return string(text)
}
