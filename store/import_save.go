package store

import (
	"encoding/json"
	"fmt"

	"gorm.io/gorm"
)

// saveImported writes what a batch changed and made, and gives the ids of all
// contacts that its rows belong to. Updates come first: they may set free an
// identifier that a new contact has.
func (s *Store) saveImported(tx *gorm.DB, b *importBatch) (ids []int64, err error) {
	var made, changed, moved []*Contact
	for _, c := range b.touched {
		switch {
		case c.ID == 0:
			made = append(made, &c.Contact)
			continue
		case c.moved:
			moved = append(moved, &c.Contact)
		case c.changed:
			changed = append(changed, &c.Contact)
		}
		ids = append(ids, c.ID)
	}
	write := writeTogether
	if s.Embedded() {
		write = writeSingly
	}
	if _, err := write(tx, s.importSQL().update, []any{b.at}, changed); err != nil {
		return nil, fmt.Errorf("update contacts: %w", err)
	}
	if _, err := write(tx, s.importSQL().move, []any{b.at}, moved); err != nil {
		return nil, fmt.Errorf("update contacts and their identifiers: %w", err)
	}
	fresh, err := write(tx, s.importSQL().insert, []any{b.scope.Account, b.scope.Mode, b.at}, made)
	if err != nil {
		return nil, fmt.Errorf("insert contacts: %w", err)
	}
	return append(ids, fresh...), nil
}

// writeTogether runs a statement once, with an array for each column after what
// is common to all contacts.
func writeTogether(tx *gorm.DB, statement string, common []any, cs []*Contact) ([]int64, error) {
	n := len(cs)
	if n == 0 {
		return nil, nil
	}
	ids, publicIDs := make([]int64, n), make([]string, n)
	var texts [len(contactTexts)][]*string
	for i := range texts {
		texts[i] = make([]*string, n)
	}
	tags, attributes, optedOut, search := make([]string, n), make([]string, n), make([]int16, n), make([]string, n)
	for i, c := range cs {
		ids[i], publicIDs[i], optedOut[i], search[i] = c.ID, c.PublicID, int16(c.OptedOut), c.Search
		for j, t := range contactTexts {
			texts[j][i] = *t.of(c)
		}
		var err error
		if tags[i], attributes[i], err = documents(c); err != nil {
			return nil, err
		}
	}
	args := append(common, any(ids))
	if ids[0] == 0 {
		args[len(args)-1] = publicIDs
	}
	for _, t := range texts {
		args = append(args, t)
	}
	return queryIDs(tx, statement, append(args, tags, attributes, optedOut, search)...)
}

// writeSingly prepares a statement and runs it for each contact.
func writeSingly(tx *gorm.DB, statement string, common []any, cs []*Contact) (ids []int64, err error) {
	if len(cs) == 0 {
		return nil, nil
	}
	st, err := sqlTx(tx).PrepareContext(tx.Statement.Context, statement)
	if err != nil {
		return nil, err
	}
	defer func() { _ = st.Close() }()
	for _, c := range cs {
		args := append(make([]any, 0, 16), common...)
		if c.ID == 0 {
			args = append(args, c.PublicID)
		} else {
			args = append(args, c.ID)
		}
		for _, t := range contactTexts {
			args = append(args, *t.of(c))
		}
		tags, attributes, err := documents(c)
		if err != nil {
			return nil, err
		}
		r, err := st.ExecContext(tx.Statement.Context, append(args, tags, attributes, c.OptedOut, c.Search)...)
		if err != nil {
			return nil, err
		}
		id, err := r.LastInsertId()
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// documents are tags and attributes as they are stored.
func documents(c *Contact) (tags, attributes string, err error) {
	tags, attributes = "[]", "{}"
	if len(c.Tags) > 0 {
		b, err := json.Marshal(c.Tags)
		if err != nil {
			return "", "", fmt.Errorf("tags: %w", err)
		}
		tags = string(b)
	}
	if len(c.Attributes) > 0 {
		b, err := json.Marshal(c.Attributes)
		if err != nil {
			return "", "", fmt.Errorf("attributes: %w", err)
		}
		attributes = string(b)
	}
	return tags, attributes, nil
}
