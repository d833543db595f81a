package contract

import (
	"strconv"
	"strings"
)

// maxDepth is how deep objects and arrays may lie in each other in a body.
const maxDepth = 32

// walker checks one body against its schema. Its methods take the place in
// text where a value begins and return the place after it.
type walker struct {
	text   string // valid JSON, at most maxDepth deep
	faults *faults
	edits  []edit

	path  [maxDepth]step // from the top to the value in hand; kept for pointers
	depth int

	broken int // breaches met so far
	trials int // above 0: branches are being tried, nothing is reported
}

// step is a member name, or the index of an item.
type step struct {
	name  string
	index int // -1 for a member
}

// edit respells a number that Go's decoders refuse for an integer.
type edit struct {
	start, end int
	spelling   string
}

func (w *walker) value(s *schema, i int) int {
	k := kindAt(w.text, i)
	if s.types != 0 && s.types&k == 0 {
		end := skip(w.text, i)
		w.breach(&s.typeRule, w.echo(s, i, end))
		return end
	}
	end := w.plain(s, k, i)
	if s.composed() {
		w.parts(s, k, i)
	}
	return end
}

// plain applies the keywords that look at the value alone.
func (w *walker) plain(s *schema, k kind, i int) int {
	if k&(kindObject|kindArray) != 0 && s.values != nil { // which are scalars
		w.breach(&s.values.rule, nil)
	}
	switch k {
	case kindObject:
		return w.object(s, i)
	case kindArray:
		return w.array(s, i)
	}
	end := skip(w.text, i)
	raw := w.text[i:end]
	var broken *rule
	switch k {
	case kindString:
		broken = s.brokenByText(unquote(raw))
	case kindNumber:
		var spelling string
		if spelling, broken = s.brokenByNumber(raw); spelling != "" {
			w.edits = append(w.edits, edit{i, end, spelling})
		}
	default:
		broken = s.brokenByLiteral(raw)
	}
	if broken != nil {
		w.breach(broken, w.echo(s, i, end))
	}
	return end
}

func (w *walker) object(s *schema, i int) int {
	w.path[w.depth].index = -1
	w.depth++
	var seen uint64
	count := 0
	for i = space(w.text, i+1); w.text[i] != '}'; i = next(w.text, i) {
		name, at := nameAt(w.text, i)
		w.path[w.depth-1].name = name
		m := s.members[name]
		seen |= m.bit
		count++
		i = w.member(s, m, name, at)
	}
	w.depth--
	if broken := firstBroken(s.size, count); broken != nil {
		w.breach(broken, nil)
	}
	for bit, name := range s.needs {
		if seen&(1<<bit) == 0 {
			w.breachIn(name, &ruleMissing, nil)
		}
	}
	return i + 1
}

func (w *walker) member(s *schema, m member, name string, i int) int {
	if s.names != nil {
		if broken := s.names.brokenByText(name); broken != nil {
			w.breach(&rule{"propertyNames", broken.expected, "is no allowed name: it " + broken.message, broken.code}, nil)
		}
	}
	switch {
	case m.readOnly:
		w.breach(&ruleReadOnly, nil)
	case m.schema != nil:
		return w.value(m.schema, i)
	case s.closed:
		w.breach(&ruleUnknown, nil)
	case s.others != nil:
		return w.value(s.others, i)
	}
	return skip(w.text, i)
}

func (w *walker) array(s *schema, i int) int {
	start, count := i, 0
	w.depth++
	for i = space(w.text, i+1); w.text[i] != ']'; i = next(w.text, i) {
		w.path[w.depth-1] = step{index: count}
		count++
		if s.items == nil {
			i = skip(w.text, i)
		} else {
			i = w.value(s.items, i)
		}
	}
	if s.unique {
		w.unique(s.items, start)
	}
	w.depth--
	if broken := firstBroken(s.length, count); broken != nil {
		w.breach(broken, nil)
	}
	return i + 1
}

// unique looks for strings that are twice in the array at i, in whose items
// the walker is.
func (w *walker) unique(items *schema, i int) {
	seen := make(map[string]bool, 8)
	for n, i := 0, space(w.text, i+1); w.text[i] != ']'; n++ {
		end := skip(w.text, i)
		if w.text[i] == '"' {
			item := unquote(w.text[i:end])
			if seen[item] {
				w.path[w.depth-1] = step{index: n}
				w.breach(&ruleTwice, w.echo(items, i, end))
			}
			seen[item] = true
		}
		i = next(w.text, end)
	}
}

// breach reports that the value in hand breaks r.
func (w *walker) breach(r *rule, value any) {
	w.broken++
	switch {
	case w.trials > 0:
	case w.faults.full():
		w.faults.count++
	default:
		w.faults.breach(w.pointer(), r, value)
	}
}

// breachIn reports a breach by the named member of the object in hand.
func (w *walker) breachIn(name string, r *rule, value any) {
	w.path[w.depth] = step{name: name, index: -1}
	w.depth++
	w.breach(r, value)
	w.depth--
}

// echo is what a problem tells of the value that lies from start to end: nil
// for a secret, an object or an array.
func (w *walker) echo(s *schema, start, end int) any {
	if w.trials > 0 || w.faults.full() {
		return nil
	}
	switch kindAt(w.text, start) {
	case kindObject, kindArray:
		return nil
	case kindString:
		return s.echo(unquote(w.text[start:end]))
	}
	return s.echo(w.text[start:end])
}

// pointer is where the value in hand lies, as a JSON pointer of RFC 6901, cut
// to maxFieldSize.
func (w *walker) pointer() string {
	var b strings.Builder
	for _, s := range w.path[:w.depth] {
		b.WriteByte('/')
		if s.index >= 0 {
			b.WriteString(strconv.Itoa(s.index))
		} else {
			b.WriteString(pointerEscapes.Replace(clip(s.name)))
		}
		if b.Len() > maxFieldSize {
			break
		}
	}
	return clip(b.String())
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")
