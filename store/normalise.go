package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// The bounds of a contact, in characters where text is meant.
const (
	maxExternalID     = 255
	maxEmail          = 254
	maxName           = 100
	maxTags           = 100
	maxTag            = 64
	maxAttributes     = 100
	maxAttributeKey   = 64
	maxAttributeValue = 1000

	// maxAttributeNumber is where a float64 stops to hold every integer.
	maxAttributeNumber = 1<<53 - 1
)

// normalise brings a contact into the form that is stored and says what is
// wrong with it, every fault at once. Text is trimmed and composed (Unicode
// NFC), blank text is no text; an attribute that is nil is removed. It works in
// place, on Tags and Attributes too, and computes Search. After a fault the
// contact is of no further use.
func normalise(c *Contact) []Fault {
	var fs faults
	fs.text(&c.ExternalID, "/external_id", maxExternalID)
	fs.text(&c.FirstName, "/first_name", maxName)
	fs.text(&c.LastName, "/last_name", maxName)
	fs.phone(&c.Phone)
	fs.email(&c.Email)
	fs.country(&c.Country)
	fs.tags(&c.Tags)
	fs.attributes(&c.Attributes)
	if c.ExternalID == nil && c.Phone == nil && c.Email == nil {
		fs.add(CodeMissingField, "", "needs at least one of external_id, phone and email", "")
	}
	if fs == nil {
		c.Search = searchText(c.FirstName, c.LastName, c.Email, c.Phone, c.ExternalID)
	}
	return fs
}

// searchText joins what is set, in the form that searching looks through.
func searchText(parts ...*string) string {
	var b strings.Builder
	for _, p := range parts {
		if p != nil {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(*p)
		}
	}
	return fold(b.String())
}

// faults gathers what is wrong with one thing.
type faults []Fault

func (fs *faults) add(code, field, message, value string) {
	*fs = append(*fs, Fault{Code: code, Field: field, Message: message, Value: value})
}

// text tidies an optional line of text.
func (fs *faults) text(p **string, field string, limit int) {
	if *p == nil {
		return
	}
	s, wrong := tidy(**p, limit)
	switch {
	case wrong != "":
		fs.add(CodeValidation, field, wrong, "")
	case s == "":
		*p = nil
	case s != **p:
		*p = &s
	}
}

// tidy trims a line of text, composes it and says what is wrong with it.
func tidy(s string, limit int) (tidied, wrong string) {
	if !isPlain(s) {
		if !utf8.ValidString(s) {
			return "", "is not valid UTF-8"
		}
		s = norm.NFC.String(s)
	}
	s = strings.TrimSpace(s)
	if wrong := tooLong(s, limit); wrong != "" {
		return "", wrong
	}
	if !isPlain(s) && strings.ContainsFunc(s, unicode.IsControl) {
		return "", "holds a control character"
	}
	return s, ""
}

// isPlain says whether s is printable ASCII, to which no rule on characters applies.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// tooLong counts characters, and bytes first: those are never fewer.
func tooLong(s string, limit int) (wrong string) {
	if len(s) > limit && utf8.RuneCountInString(s) > limit {
		return fmt.Sprintf("is longer than %d characters", limit)
	}
	return ""
}

func (fs *faults) phone(p **string) {
	if *p == nil {
		return
	}
	given := strings.TrimSpace(**p)
	if given == "" {
		*p = nil
		return
	}
	s, ok := e164(given)
	if !ok {
		*fs = append(*fs, Fault{
			Code: CodeInvalidPhone, Field: "/phone", Message: "is not a possible phone number",
			Value: shown(given), Expected: "a number with + and country code (E.164), such as +447911123456",
		})
		return
	}
	if s != **p {
		*p = &s
	}
}

func (fs *faults) email(p **string) {
	if *p == nil {
		return
	}
	s := strings.ToLower(strings.TrimSpace(**p))
	switch {
	case s == "":
		*p = nil
	case !isMailbox(s):
		*fs = append(*fs, Fault{
			Code: CodeInvalidEmail, Field: "/email", Message: "is not an email address",
			Value: shown(s), Expected: "an address such as ada@example.com",
		})
	case s != **p:
		*p = &s
	}
}

// shown is a value as a fault repeats it: it comes from outside and may be anything.
func shown(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) > 64 {
		s = string([]rune(s)[:63]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// isMailbox says whether s is an address as in RFC 5321, without its quoted
// forms and address literals: a dot-atom of at most 64 bytes, "@", and a domain
// of at least two labels, all ASCII, at most 254 bytes.
func isMailbox(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && len(s) <= maxEmail && len(local) <= 64 && isDotAtom(local) && isDomain(domain)
}

func isDotAtom(s string) bool {
	dot := true // what came before was a dot, or the start
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.' && !dot:
			dot = true
		case alphanumeric(c) || strings.IndexByte("!#$%&'*+/=?^_`{|}~-", c) >= 0:
			dot = false
		default:
			return false
		}
	}
	return !dot
}

func isDomain(s string) bool {
	labels := 0
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !alphanumeric(label[i]) && label[i] != '-' {
				return false
			}
		}
		labels++
	}
	return labels >= 2
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func (fs *faults) country(p **string) {
	if *p == nil {
		return
	}
	s := strings.ToUpper(strings.TrimSpace(**p))
	switch {
	case s == "":
		*p = nil
	case !countries()[s]:
		*fs = append(*fs, Fault{
			Code: CodeValidation, Field: "/country", Message: "is not a country",
			Value: shown(**p), Expected: "an ISO 3166-1 alpha-2 code, such as GB",
		})
	case s != **p:
		*p = &s
	}
}

// countries holds the codes of ISO 3166-1 alpha-2, and XK, which the world uses
// for Kosovo. The library knows more: former countries and reserved codes.
var countries = sync.OnceValue(func() map[string]bool {
	const unassigned = "AC AN CP CQ CS DG EA EZ FQ IC NT PC SU TA UN YU"
	cs := map[string]bool{}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			r, err := language.ParseRegion(code)
			if err == nil && r.IsCountry() && r.Canonicalize().String() == code && !strings.Contains(unassigned, code) {
				cs[code] = true
			}
		}
	}
	return cs
})

func (fs *faults) tags(p *[]string) {
	tags := *p
	kept := tags[:0]
	for i, tag := range tags {
		tag, wrong := tidy(tag, maxTag)
		if wrong != "" {
			fs.add(CodeValidation, fmt.Sprintf("/tags/%d", i), wrong, "")
		} else if strings.Contains(tag, "|") {
			fs.add(CodeValidation, fmt.Sprintf("/tags/%d", i), `must not hold "|", which separates tags in files`, "")
		} else if tag != "" {
			kept = append(kept, tag)
		}
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)
	if len(kept) > maxTags {
		fs.add(CodeValidation, "/tags", fmt.Sprintf("has more than %d tags", maxTags), "")
	}
	if kept == nil {
		kept = []string{}
	}
	*p = kept
}

func (fs *faults) attributes(p *map[string]any) {
	if *p == nil {
		*p = map[string]any{}
	}
	attributes, before := *p, len(*fs)
	for key, value := range attributes {
		if value == nil {
			delete(attributes, key)
			continue
		}
		field := func() string { return "/attributes/" + pointerToken(key) }
		if !isAttributeKey(key) {
			fs.add(CodeValidation, field(), "is not a valid name: a small letter, then up to 63 small letters, digits and underscores", "")
		}
		tidied, wrong := attribute(value)
		if wrong != "" {
			fs.add(CodeValidation, field(), wrong, "")
		} else if tidied != value {
			attributes[key] = tidied
		}
	}
	if len(attributes) > maxAttributes {
		fs.add(CodeValidation, "/attributes", fmt.Sprintf("has more than %d attributes", maxAttributes), "")
	}
	slices.SortStableFunc((*fs)[before:], func(a, b Fault) int { return cmp.Compare(a.Field, b.Field) })
}

// isAttributeKey says whether key is ^[a-z][a-z0-9_]{0,63}$.
func isAttributeKey(key string) bool {
	if key == "" || len(key) > maxAttributeKey || key[0] < 'a' || key[0] > 'z' {
		return false
	}
	for i := range len(key) {
		if c := key[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func attribute(value any) (tidied any, wrong string) {
	switch v := value.(type) {
	case bool:
		return value, ""
	case float64:
		if !(math.Abs(v) <= maxAttributeNumber) { // also refuses NaN
			return nil, "is not between -9007199254740991 and 9007199254740991"
		}
		return value, ""
	case string:
		if isPlain(v) {
			return value, tooLong(v, maxAttributeValue)
		}
		if !utf8.ValidString(v) {
			return nil, "is not valid UTF-8"
		}
		if strings.IndexByte(v, 0) >= 0 {
			return nil, "holds a NUL character"
		}
		v = norm.NFC.String(v)
		return v, tooLong(v, maxAttributeValue)
	}
	return nil, "is neither text, a number, true nor false"
}

// pointerToken escapes one step of a JSON pointer (RFC 6901).
func pointerToken(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(shown(s))
}
