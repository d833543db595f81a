package contract

import (
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// textFormats are the formats of strings that are enforced. A format that
// stands in none of the tables of this file is refused by Compile.
var textFormats = map[string]struct {
	ok       func(string) bool
	expected string
	code     string
}{
	"date-time": {dateTime, "a date and time with offset, such as 2026-03-15T09:00:00Z", codeValidation},
	"date":      {date, "a date, such as 2026-03-15", codeValidation},
	"email":     {email, "a valid email address", codeInvalidEmail},
	"uri":       {uri, "a URI with scheme and host", codeValidation},
	"uuid":      {uuidText, "a UUID", codeValidation},
}

// numberFormats are the formats of numbers that are enforced.
var numberFormats = map[string]struct {
	ok       func(float64) bool
	expected string
}{
	"int32":  {func(v float64) bool { return v >= math.MinInt32 && v <= math.MaxInt32 }, "an integer of 32 bits"},
	"int64":  {anyNumber, "an integer of 64 bits"}, // every integer is held to 64 bits
	"float":  {func(v float64) bool { return math.Abs(v) <= math.MaxFloat32 }, "a number of single precision"},
	"double": {anyNumber, "a number of double precision"}, // and every number to these
}

// mutedFormats say nothing about the value: password makes it a secret, binary
// stands for the bytes of a streamed body.
var mutedFormats = map[string]bool{"password": true, "binary": true}

func anyNumber(float64) bool { return true }

// dateTime holds text to RFC 3339 as Go's JSON decoders take it: an offset
// always, upper-case T and Z, no leap second. The instant lies in the years 1
// to 9999 of UTC, which PostgreSQL and RFC 3339 can both hold.
func dateTime(text string) bool {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return false
	}
	year := t.UTC().Year()
	return year >= 1 && year <= 9999 && strictRFC3339(text)
}

// strictRFC3339 looks for what time.Parse lets pass (https://go.dev/issue/54580):
// an hour of one digit, a comma before the fraction, an offset out of range.
func strictRFC3339(text string) bool {
	if text[len("2006-01-02T1")] == ':' || text[len("2006-01-02T15:04:05")] == ',' {
		return false
	}
	if text[len(text)-1] == 'Z' {
		return true
	}
	hour, minute, _ := strings.Cut(text[len(text)-len("07:00"):], ":")
	return hour < "24" && minute < "60"
}

// date holds text to the full-date of RFC 3339, from year 1 on.
func date(text string) bool {
	t, err := time.Parse(time.DateOnly, text)
	return err == nil && t.Year() >= 1
}

// uuidText holds text to the 36 characters of RFC 9562, of either case.
func uuidText(text string) bool {
	return len(text) == 36 && uuid.Validate(text) == nil
}

// email holds text to the mailboxes that public mail hosts deliver to: a
// dot-atom of RFC 5322 of at most 64 characters, and a host name with a dot.
// Quoted names, comments, address literals and non-ASCII names are refused.
func email(text string) bool {
	local, host, found := strings.Cut(text, "@")
	return found && len(text) <= 254 && len(local) <= 64 && dotAtom(local) && hostName(host)
}

func dotAtom(local string) bool {
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || !only(atom, "!#$%&'*+-/=?^_`{|}~") {
			return false
		}
	}
	return true
}

// hostName holds host to RFC 1123, with two labels at least and a last one
// that is no number.
func hostName(host string) bool {
	if len(host) > 253 || strings.IndexByte(host, '.') < 0 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || !only(label, "-") {
			return false
		}
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Trim(last, "0123456789") != ""
}

// uri holds text to a URI of RFC 3986 that names a scheme and a host, without
// escapes in the host and without an IPv6 zone.
func uri(text string) bool {
	if !only(text, "-._~:/?#[]@!$&'()*+,;=%") {
		return false
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.IndexByte(u.Host, '%') >= 0 {
		return false
	}
	if u.Host[0] != '[' && strings.IndexByte(u.Hostname(), ':') >= 0 { // url.Parse takes a:b:80
		return false
	}
	_, rest, _ := strings.Cut(text, "//")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		return true
	}
	_, err = url.PathUnescape(rest[end:]) // url.Parse lets a bad escape in the query pass
	return err == nil && !strings.ContainsAny(rest[end:], "[]") && strings.Count(rest, "#") <= 1
}

// only says whether text has nothing but ASCII letters, digits and the given others.
func only(text, others string) bool {
	for i := range len(text) {
		c := text[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}
