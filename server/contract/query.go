package contract

import (
	"net/url"
	"slices"
	"strings"
)

// checkQuery reads the query string itself, since url.Values drops what it
// cannot parse. Every name must be declared, in its exact case; one that is no
// array is given once. A semicolon must be escaped: some still read it as "&".
func (op *operation) checkQuery(raw string, f *faults) {
	var seen uint64
	var lists [][]string // by place in op.query
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, err := unescapePair(pair)
		i, known := op.byQuery[name]
		switch {
		case err != nil:
			f.fault(inQuery, echoed(name), &ruleEscape, nil)
			continue
		case !known:
			f.fault(inQuery, echoed(name), &ruleNoQuery, nil)
			continue
		}
		p := op.query[i]
		if p.list != nil {
			if lists == nil {
				lists = make([][]string, len(op.query))
			}
			lists[i] = append(lists[i], value)
		} else if seen&(1<<i) == 0 {
			p.check(value, f)
		} else {
			f.fault(inQuery, name, &ruleRepeated, nil)
		}
		seen |= 1 << i
	}
	for i, p := range op.query {
		if lists != nil && lists[i] != nil {
			p.checkList(lists[i], f)
		}
		if p.required && seen&(1<<i) == 0 {
			f.fault(inQuery, p.name, &ruleRequired, nil)
		}
	}
}

// checkList looks at the items of a list of allowed length only, so that the
// comparison of each with each stays small.
func (p *parameter) checkList(list []string, f *faults) {
	if broken := firstBroken(p.list.length, len(list)); broken != nil {
		f.fault(inQuery, p.name, broken, nil)
		return
	}
	for i, text := range list {
		p.check(text, f)
		if p.list.unique && slices.Contains(list[:i], text) {
			f.fault(inQuery, p.name, &ruleTwice, p.schema.echo(text))
		}
	}
}

// unescapePair decodes one name=value; on error the name is as it came.
func unescapePair(pair string) (name, value string, err error) {
	name, value, _ = strings.Cut(pair, "=")
	if strings.IndexByte(pair, ';') >= 0 {
		return name, "", url.EscapeError(";")
	}
	plain, err := url.QueryUnescape(name)
	if err != nil {
		return name, "", err
	}
	value, err = url.QueryUnescape(value)
	return plain, value, err
}
