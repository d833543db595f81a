package content

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// check refuses what the library would take and stumble over later, recipient
// by recipient: unknown tags and filters, wrong numbers of arguments, blocks
// that do not match. It returns the identifiers that the tokens read, sorted.
func check(src source, tokens []token) ([]string, error) {
	c := &checker{source: src, reads: map[string]bool{}}
	for _, t := range tokens {
		var err error
		switch t.kind {
		case objectToken:
			err = c.expression(t.args, t.argsAt)
		case tagToken:
			err = c.tag(t)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(c.open) > 0 {
		last := c.open[len(c.open)-1]
		return nil, src.errorf(last.at, "%s without end%s", last.name, last.name)
	}
	reads := make([]string, 0, len(c.reads))
	for name := range c.reads {
		reads = append(reads, name)
	}
	slices.Sort(reads)
	return reads, nil
}

type checker struct {
	source source
	reads  map[string]bool
	open   []token // blocks begun and not ended, outermost first
}

var (
	assignTarget  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]* *=`)
	captureTarget = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	loopVariable  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]* +in `)
)

func (c *checker) tag(t token) error {
	switch t.name {
	case "if", "unless", "case":
		c.open = append(c.open, t)
		return c.expression(t.args, t.argsAt)
	case "elsif", "when", "cycle":
		return c.expression(t.args, t.argsAt)
	case "for":
		c.open = append(c.open, t)
		return c.target(t, loopVariable, "for needs a variable, in, and what to go through")
	case "assign":
		return c.target(t, assignTarget, "assign needs a variable, = and a value")
	case "capture":
		c.open = append(c.open, t)
		return c.target(t, captureTarget, "capture needs the name of one variable")
	case "else", "break", "continue", "endif", "endunless", "endcase", "endfor", "endcapture":
		return c.bare(t)
	default:
		return c.source.errorf(t.at, "unknown tag %q", t.name)
	}
}

// target checks a tag that binds a variable; the rest of its args is an expression.
func (c *checker) target(t token, target *regexp.Regexp, needs string) error {
	found := target.FindString(t.args)
	if found == "" {
		return c.source.errorf(t.at, "%s", needs)
	}
	return c.expression(t.args[len(found):], t.argsAt+len(found))
}

// bare checks a tag without args, and that it stands where it may.
func (c *checker) bare(t token) error {
	if t.args != "" {
		return c.source.errorf(t.argsAt, "%s takes no arguments", t.name)
	}
	switch t.name {
	case "break", "continue":
		if !slices.ContainsFunc(c.open, func(o token) bool { return o.name == "for" }) {
			return c.source.errorf(t.at, "%s outside for", t.name)
		}
	case "else": // the library knows where it may stand
	default:
		last := len(c.open) - 1
		if last < 0 {
			return c.source.errorf(t.at, "%s without %s", t.name, t.name[len("end"):])
		}
		if want := "end" + c.open[last].name; t.name != want {
			return c.source.errorf(t.at, "%s where %s is due", t.name, want)
		}
		c.open = c.open[:last]
	}
	return nil
}

// reservedWords are identifiers that name no variable. blank and empty are nil,
// which is what a missing value equals.
var reservedWords = map[string]bool{
	"true": true, "false": true, "nil": true, "blank": true, "empty": true,
	"and": true, "or": true, "contains": true, "in": true, "reversed": true, "forloop": true,
}

var lexeme = regexp.MustCompile(`^(?:` +
	` +|"[^"]*"|'[^']*'` + // space, strings
	`|-?[0-9]+(?:\.[0-9]+)?` + // numbers
	`|(?:\. *)?[A-Za-z_][A-Za-z0-9_-]*\??:?` + // names, properties, filters, keywords
	`|\.\.|[=!<>]=|[()\[\]|,<>=])`) // the rest

// maxDigits is what surely fits an int.
const maxDigits = 18

// expression checks the words of an expression that begins at the given place;
// its grammar is the library's matter.
func (c *checker) expression(s string, at int) error {
	var filter filterUse
	for piped := false; s != ""; {
		word := lexeme.FindString(s)
		if word == "" {
			return c.unexpected(s, at)
		}
		switch first := word[0]; {
		case first == ' ' || first == '"' || first == '\'' || first == '.':
		case first == '|' || first == ')':
			if err := c.filterArguments(filter); err != nil {
				return err
			}
			filter = filterUse{}
		case first == ',':
			filter.arguments++
		case first >= '0' && first <= '9' || first == '-':
			if len(word) > maxDigits {
				return c.source.errorf(at, "a number of more than %d characters", maxDigits)
			}
		case isLetter(first) && piped:
			filter = filterUse{name: strings.TrimSuffix(word, ":"), at: at}
			filter.arguments = len(word) - len(filter.name)
		case isLetter(first) && !strings.HasSuffix(word, ":") && !reservedWords[word]:
			c.reads[word] = true
		}
		if word[0] != ' ' {
			piped = word == "|"
		}
		s, at = s[len(word):], at+len(word)
	}
	return c.filterArguments(filter)
}

func isLetter(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_'
}

func (c *checker) unexpected(s string, at int) error {
	if s[0] == '"' || s[0] == '\'' {
		return c.source.errorf(at, "a string without its closing quote")
	}
	r, _ := utf8.DecodeRuneInString(s)
	return c.source.errorf(at, "unexpected %q", r)
}

// filterUse is a filter as an expression applies it; the zero value is none.
type filterUse struct {
	name      string
	at        int
	arguments int
}

func (c *checker) filterArguments(use filterUse) error {
	if use.name == "" {
		return nil
	}
	f, ok := filterTable[use.name]
	switch {
	case !ok:
		return c.source.errorf(use.at, "unknown filter %q", use.name)
	case use.arguments < f.min:
		return c.source.errorf(use.at, "filter %s needs %d arguments, has %d", use.name, f.min, use.arguments)
	case use.arguments > f.max:
		return c.source.errorf(use.at, "filter %s takes at most %d arguments, has %d", use.name, f.max, use.arguments)
	}
	return nil
}
