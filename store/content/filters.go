package content

import (
	"errors"
	"fmt"
	"html"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/osteele/liquid/filters"
	"github.com/osteele/liquid/values"
	"github.com/osteele/tuesday"
)

// filterSpec is a filter and how many arguments it takes after its input.
type filterSpec struct {
	min, max int
	ours     filterFunc // nil: the library's filter of that name
}

// filterFunc takes the input and the arguments.
type filterFunc func(r *run, in any, args []any) (any, error)

// filterTable is every filter of the language. Ours are those that the library
// lacks, that break non-ASCII text, or whose result can be far larger than what
// they are given.
var filterTable = map[string]filterSpec{
	"default": {1, 1, nil}, "json": {0, 0, nil}, "size": {0, 0, nil}, "raw": {0, 0, rawFilter},

	"append": {1, 1, nil}, "prepend": {1, 1, nil}, "split": {1, 1, nil}, "slice": {1, 2, nil},
	"remove": {1, 1, nil}, "remove_first": {1, 1, nil}, "replace_first": {2, 2, nil}, "replace": {2, 2, replaceFilter},
	"strip": {0, 0, nil}, "lstrip": {0, 0, nil}, "rstrip": {0, 0, nil},
	"strip_html": {0, 0, nil}, "strip_newlines": {0, 0, nil},
	"upcase": {0, 0, nil}, "downcase": {0, 0, nil}, "capitalize": {0, 0, capitalizeFilter},
	"truncate": {0, 2, truncateFilter}, "truncatewords": {0, 2, truncateWordsFilter},
	"url_encode": {0, 0, nil}, "url_decode": {0, 0, nil},
	"escape": {0, 0, escapeFilter}, "escape_once": {0, 0, escapeOnceFilter}, "newline_to_br": {0, 0, newlineFilter},

	"first": {0, 0, nil}, "last": {0, 0, nil}, "concat": {1, 1, nil}, "compact": {0, 0, nil},
	"reverse": {0, 0, nil}, "sort": {0, 0, nil}, "sort_natural": {0, 0, nil},
	"uniq": {0, 0, uniqFilter}, "join": {0, 1, joinFilter},

	"abs": {0, 0, nil}, "ceil": {0, 0, nil}, "floor": {0, 0, nil}, "round": {0, 1, nil},
	"plus": {1, 1, nil}, "minus": {1, 1, nil}, "times": {1, 1, nil}, "divided_by": {1, 1, nil}, "modulo": {1, 1, nil},
	"at_least": {1, 1, atLeastFilter}, "at_most": {1, 1, atMostFilter},

	"date": {1, 1, dateFilter},
}

// libraryFilters are the functions that the library registers, by name.
var libraryFilters = func() filterDictionary {
	d := filterDictionary{}
	filters.AddStandardFilters(d)
	return d
}()

type filterDictionary map[string]reflect.Value

func (d filterDictionary) AddFilter(name string, fn any) { d[name] = reflect.ValueOf(fn) }

// filter returns the filter as the library calls it: bound to r, within its
// limits, and without panics.
func (r *run) filter(name string) func(args ...any) (any, error) {
	spec, library := filterTable[name], libraryFilters[name]
	return func(args ...any) (result any, err error) {
		defer func() {
			if p := recover(); p != nil {
				result, err = nil, filterPanic(p)
			}
		}()
		if err := r.step(); err != nil {
			return nil, err
		}
		for i := range args {
			if args[i], err = argument(args[i]); err != nil {
				return nil, err
			}
		}
		if spec.ours != nil {
			result, err = spec.ours(r, args[0], args[1:])
		} else {
			result, err = callLibrary(library, args)
		}
		if err != nil {
			return nil, err
		}
		return bounded(result)
	}
}

// filterPanic makes an error of the library's way to say that a value is of the
// wrong type. Other panics are faults in the library; their text helps nobody
// who writes templates.
func filterPanic(p any) error {
	if err, ok := p.(values.TypeError); ok {
		return err
	}
	return errors.New("cannot be applied here")
}

// argument returns a value as filters take it: ranges as arrays, and without
// the mark that it needs no escaping.
func argument(value any) (any, error) {
	switch v := value.(type) {
	case values.SafeValue:
		return v.Value, nil
	case values.Range:
		if n := v.Len(); n > maxElements {
			return nil, errElements
		} else if n <= 0 {
			return []any{}, nil
		}
		return v.AsArray(), nil
	default:
		return value, nil
	}
}

func callLibrary(fn reflect.Value, args []any) (any, error) {
	for i, arg := range args {
		if fn.Type().In(i).Kind() == reflect.String {
			args[i] = text(arg)
		}
	}
	return values.Call(fn, args)
}

// bounded refuses results beyond the limits and makes integers int, the only
// integer that loops and ranges take.
func bounded(result any) (any, error) {
	switch v := result.(type) {
	case int64:
		return int(v), nil
	case []byte:
		result = string(v)
	}
	if v := reflect.ValueOf(result); v.Kind() == reflect.Slice && v.Len() > maxElements {
		return nil, errElements
	}
	if size(result) > MaxOutput {
		return nil, errOutput
	}
	return result, nil
}

// size is about the bytes that a value takes.
func size(value any) int {
	switch v := value.(type) {
	case string:
		return len(v)
	case values.SafeValue:
		return size(v.Value)
	case []string:
		total := 0
		for _, s := range v {
			total += len(s)
		}
		return total
	case []any:
		total := 0
		for _, item := range v {
			total += size(item)
		}
		return total
	default:
		return 8
	}
}

// text is a value as text, as {{ value }} would show it; "" for nil.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// list is a value as an array; nil is empty.
func list(value any) ([]any, error) {
	if value == nil {
		return nil, nil
	}
	converted, err := values.Convert(value, reflect.TypeFor[[]any]())
	if err != nil {
		return nil, err
	}
	return converted.([]any), nil
}

// integer is args[i] as an integer, or missing if there is no such argument.
func integer(args []any, i, missing int) (int, error) {
	if len(args) <= i || args[i] == nil {
		return missing, nil
	}
	n, err := values.Convert(args[i], reflect.TypeFor[int]())
	if err != nil {
		return 0, err
	}
	return n.(int), nil
}

// safe marks a result that is HTML already, if HTML is what the run gives.
func (r *run) safe(s string) any {
	if r.html {
		return values.SafeValue{Value: s}
	}
	return s
}

func rawFilter(r *run, in any, _ []any) (any, error) {
	if r.html {
		return values.SafeValue{Value: in}, nil
	}
	return in, nil
}

func escapeFilter(r *run, in any, _ []any) (any, error) {
	return r.safe(html.EscapeString(text(in))), nil
}

func escapeOnceFilter(r *run, in any, _ []any) (any, error) {
	return r.safe(html.EscapeString(html.UnescapeString(text(in)))), nil
}

func newlineFilter(r *run, in any, _ []any) (any, error) {
	s := text(in)
	if r.html {
		s = html.EscapeString(s)
	}
	return r.safe(strings.ReplaceAll(s, "\n", "<br />\n")), nil
}

func replaceFilter(_ *run, in any, args []any) (any, error) {
	s, from, to := text(in), text(args[0]), text(args[1])
	if len(s)+strings.Count(s, from)*(len(to)-len(from)) > MaxOutput {
		return nil, errOutput
	}
	return strings.ReplaceAll(s, from, to), nil
}

// capitalizeFilter makes the first letter a capital and all others small.
func capitalizeFilter(_ *run, in any, _ []any) (any, error) {
	s := text(in)
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s, nil
	}
	return string(unicode.ToTitle(first)) + strings.ToLower(s[n:]), nil
}

// truncateFilter cuts to so many characters, an ellipsis included.
func truncateFilter(_ *run, in any, args []any) (any, error) {
	n, err := integer(args, 0, 50)
	if err != nil {
		return nil, err
	}
	runes, ellipsis := []rune(text(in)), ellipsis(args)
	if len(runes) <= n {
		return string(runes), nil
	}
	return string(runes[:max(0, n-utf8.RuneCountInString(ellipsis))]) + ellipsis, nil
}

func truncateWordsFilter(_ *run, in any, args []any) (any, error) {
	n, err := integer(args, 0, 15)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(text(in))
	if len(words) <= n {
		return text(in), nil
	}
	return strings.Join(words[:max(1, n)], " ") + ellipsis(args), nil
}

func ellipsis(args []any) string {
	if len(args) < 2 {
		return "..."
	}
	return text(args[1])
}

func uniqFilter(_ *run, in any, _ []any) (any, error) {
	items, err := list(in)
	if err != nil {
		return nil, err
	}
	seen, unique := map[any]bool{}, []any{}
	for _, item := range items {
		if !seen[item] {
			seen[item] = true
			unique = append(unique, item)
		}
	}
	return unique, nil
}

func joinFilter(_ *run, in any, args []any) (any, error) {
	items, err := list(in)
	if err != nil {
		return nil, err
	}
	separator := " "
	if len(args) > 0 {
		separator = text(args[0])
	}
	if size(items)+len(items)*len(separator) > MaxOutput {
		return nil, errOutput
	}
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = text(item)
	}
	return strings.Join(parts, separator), nil
}

func atLeastFilter(_ *run, in any, args []any) (any, error) {
	if in == nil || values.Less(in, args[0]) {
		return args[0], nil
	}
	return in, nil
}

func atMostFilter(_ *run, in any, args []any) (any, error) {
	if values.Less(args[0], in) {
		return args[0], nil
	}
	return in, nil
}

// A directive of a date format may ask for any width; two digits will do.
const maxDateFormat = 100

var wideDirective = regexp.MustCompile(`%[-_^#0:]*[0-9]{3}`)

// dateFilter formats like strftime a date that is text, the word now, or seconds
// since 1970. Text that is no date stays as it is.
func dateFilter(_ *run, in any, args []any) (any, error) {
	format := text(args[0])
	if len(format) > maxDateFormat {
		return nil, fmt.Errorf("a format of more than %d bytes", maxDateFormat)
	}
	if wideDirective.MatchString(format) {
		return nil, errors.New("a width of more than two digits")
	}
	if at, ok := parseDate(in); ok {
		return tuesday.Strftime(format, at)
	}
	return in, nil
}

func parseDate(value any) (time.Time, bool) {
	switch v := value.(type) {
	case int:
		return time.Unix(int64(v), 0).UTC(), true
	case float64:
		return time.Unix(int64(v), 0).UTC(), true
	case string:
		at, err := values.ParseDate(v)
		if v == "now" {
			at = at.UTC() // not where this process happens to run
		}
		return at, err == nil
	default:
		return time.Time{}, false
	}
}
