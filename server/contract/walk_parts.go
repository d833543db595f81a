package contract

// parts applies the schemas that s is composed of to the value at i.
func (w *walker) parts(s *schema, k kind, i int) {
	for _, part := range s.allOf {
		w.value(part, i)
	}
	if s.anyOf != nil {
		w.choose(s.anyOf, &ruleAnyOf, k, i)
	}
	if s.oneOf != nil {
		w.choose(s.oneOf, &ruleOneOf, k, i)
	}
	if s.tag != nil {
		w.tagged(s, k, i)
	}
}

// choose applies the only alternative that takes the value's kind, so that its
// faults are told in its own words; where several do, it tries them.
func (w *walker) choose(alternatives []*schema, r *rule, k kind, i int) {
	var candidate *schema
	candidates := 0
	for _, a := range alternatives {
		if a.types == 0 || a.types&k != 0 {
			candidate = a
			candidates++
		}
	}
	if candidates == 1 {
		w.value(candidate, i)
		return
	}
	fitting := 0
	for _, a := range alternatives {
		if w.fits(a, i) {
			fitting++
		}
	}
	if fitting == 0 || fitting > 1 && r == &ruleOneOf {
		w.breach(r, nil)
	}
}

// fits tries a schema on the value at i without reporting.
func (w *walker) fits(s *schema, i int) bool {
	broken, edits := w.broken, len(w.edits)
	w.trials++
	w.value(s, i)
	w.trials--
	if w.broken == broken {
		return true
	}
	w.broken, w.edits = broken, w.edits[:edits]
	return false
}

// tagged applies the branch that the value's tag names.
func (w *walker) tagged(s *schema, k kind, i int) {
	t := s.tag
	if k != kindObject {
		w.breach(&ruleObject, w.echo(s, i, skip(w.text, i)))
		return
	}
	at, end := w.find(t.name, i)
	if at == 0 {
		w.breachIn(t.name, &ruleMissing, nil)
		return
	}
	if w.text[at] == '"' {
		if branch := t.branches[unquote(w.text[at:end])]; branch != nil {
			w.value(branch, i)
			return
		}
	}
	w.breachIn(t.name, &t.rule, w.echo(s, at, end))
}

// find is where the value of the named member of the object at i lies, or 0.
func (w *walker) find(name string, i int) (start, end int) {
	for i = space(w.text, i+1); w.text[i] != '}'; {
		found, at := nameAt(w.text, i)
		end := skip(w.text, at)
		if found == name {
			return at, end
		}
		i = next(w.text, end)
	}
	return 0, 0
}
