package store

import (
	"maps"
	"slices"
	"time"
)

// importBatch applies rows to contacts in memory, strictly in their order, and
// so knows what is left to write: each contact once, as the last row left it.
type importBatch struct {
	scope Scope
	at    time.Time

	known   [3]map[string]*importedContact // by contactTexts[:3]: external_id, phone, email
	touched []*importedContact             // in the order of the rows

	done importResult
}

// importedContact is a contact that rows of the batch belong to.
type importedContact struct {
	Contact
	changed bool // since it was read; a new contact has no ID yet
	moved   bool // changed, its identifiers too
	touched bool // a row belongs to it
}

// importResult is what became of rows.
type importResult struct {
	created, updated, failed int64
	faults                   []ImportError
}

// add takes in what became of further rows.
func (r *importResult) add(more importResult) {
	r.created += more.created
	r.updated += more.updated
	r.failed += more.failed
	r.faults = append(r.faults, more.faults...)
}

// fail refuses a row.
func (r *importResult) fail(line int64, fs ...Fault) {
	r.failed++
	for i, f := range fs {
		e := ImportError{Line: line, N: i, Code: f.Code, Message: f.Message}
		if f.Field != "" {
			e.Field = &f.Field
		}
		if f.Expected != "" {
			e.Message += ", want " + f.Expected
		}
		r.faults = append(r.faults, e)
	}
}

// newImportBatch starts from the contacts that the rows may belong to.
func newImportBatch(sc Scope, contacts []Contact) *importBatch {
	b := &importBatch{scope: sc, at: now()}
	for i := range b.known {
		b.known[i] = make(map[string]*importedContact, len(contacts))
	}
	for i := range contacts {
		b.index(&importedContact{Contact: contacts[i]})
	}
	return b
}

// index makes a contact findable by its identifiers.
func (b *importBatch) index(c *importedContact) {
	for i, known := range b.known {
		if id := *contactTexts[i].of(&c.Contact); id != nil {
			known[*id] = c
		}
	}
}

// unindex undoes index.
func (b *importBatch) unindex(c *importedContact) {
	for i, known := range b.known {
		if id := *contactTexts[i].of(&c.Contact); id != nil {
			delete(known, *id)
		}
	}
}

// apply takes in one row.
func (b *importBatch) apply(r *importRow) {
	if r.faults != nil {
		b.done.fail(r.line, r.faults...)
		return
	}
	c, clash := b.find(r)
	switch {
	case clash != nil:
		b.done.fail(r.line, clash...)
	case c == nil:
		c = &importedContact{Contact: r.contact}
		c.PublicID, c.AccountID, c.Mode = newID("con"), b.scope.Account, b.scope.Mode
		c.CreatedAt, c.UpdatedAt = b.at, b.at
		b.index(c)
		b.touch(c)
		b.done.created++
	default:
		if fs := b.update(c, r); fs != nil {
			b.done.fail(r.line, fs...)
			return
		}
		b.touch(c)
		b.done.updated++
	}
}

func (b *importBatch) touch(c *importedContact) {
	if !c.touched {
		c.touched = true
		b.touched = append(b.touched, c)
	}
}

// find gives the contact that a row belongs to: by external_id, else phone, else
// email. It is a fault of the row if one of them is another contact's.
func (b *importBatch) find(r *importRow) (found *importedContact, clash faults) {
	by := ""
	for i, known := range b.known {
		t := contactTexts[i]
		id := *t.of(&r.contact)
		if id == nil || known[*id] == nil {
			continue
		}
		switch c := known[*id]; {
		case found == nil:
			found, by = c, t.name
		case found != c:
			clash.add(CodeValidation, "/"+t.name, "is that of contact "+c.PublicID+", but "+by+" is that of contact "+found.PublicID, "")
		}
	}
	return found, clash
}

// update changes a contact as a row says, or not at all.
func (b *importBatch) update(c *importedContact, r *importRow) []Fault {
	merged, changed := r.merge(c.Contact)
	if !changed {
		return nil
	}
	if fs := normalise(&merged); fs != nil {
		return fs
	}
	merged.UpdatedAt = b.at
	was := c.Contact
	b.unindex(c)
	c.Contact, c.changed = merged, true
	b.index(c)
	c.moved = c.moved || !same(was.ExternalID, c.ExternalID) || !same(was.Phone, c.Phone) || !same(was.Email, c.Email)
	return nil
}

// same says whether two optional texts are equal.
func same(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// merge gives c as it is after the row: what the row gives overwrites, tags and
// opt-outs are added, attributes are merged. c itself stays as it is.
func (r *importRow) merge(c Contact) (merged Contact, changed bool) {
	for i, t := range contactTexts {
		is, given := t.of(&c), *t.of(&r.contact)
		switch {
		case given != nil && (*is == nil || **is != *given):
			*is, changed = given, true
		case given == nil && r.cleared>>i&1 == 1 && *is != nil:
			*is, changed = nil, true
		}
	}
	if optedOut := c.OptedOut | r.contact.OptedOut; optedOut != c.OptedOut {
		c.OptedOut, changed = optedOut, true
	}
	if slices.ContainsFunc(r.contact.Tags, func(tag string) bool { return !slices.Contains(c.Tags, tag) }) {
		c.Tags, changed = slices.Concat(c.Tags, r.contact.Tags), true
	}
	attributes := r.mergeAttributes(c.Attributes)
	if attributes != nil {
		c.Attributes, changed = attributes, true
	}
	return c, changed
}

// mergeAttributes returns nil if the row changes none of them.
func (r *importRow) mergeAttributes(was map[string]any) (merged map[string]any) {
	change := func() map[string]any {
		if merged == nil {
			merged = make(map[string]any, len(was)+len(r.contact.Attributes))
			maps.Copy(merged, was)
		}
		return merged
	}
	for key, value := range r.contact.Attributes {
		if old, ok := was[key]; !ok || old != value {
			change()[key] = value
		}
	}
	for _, key := range r.removed {
		if _, ok := was[key]; ok {
			delete(change(), key)
		}
	}
	return merged
}
