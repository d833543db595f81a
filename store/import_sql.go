package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"gorm.io/gorm"
)

// importSQL are the statements on imports, each once per dialect.
type importSQL struct{ prepare, claim, lease, find, load, insert, update, members string }

// postgresImports look contacts up by the thousand. Two things keep that from
// going through whole tables when PostgreSQL has no statistics of them yet, or
// those of before the import:
//   - prepare leaves nested loops over indexes as the only plans, also of the
//     checks of foreign keys;
//   - find asks for a range in the order of one index, so that no other index
//     that begins with account and mode is as good.
//
// A commit need not wait for the disk: if it is lost, so is the removal of the
// part, which then is applied again.
var postgresImports = importSQL{
	prepare: `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),
  set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('synchronous_commit', 'off', true)`,
	claim: `UPDATE imports SET status = 'running', epoch = epoch + 1, started_at = COALESCE(started_at, @now),
  lease_until = now() + @lease * interval '1 ms'
WHERE id = (` + nextImport + `
  AND (i.lease_until IS NULL OR i.lease_until < now()) ` + inTurn + ` FOR UPDATE SKIP LOCKED)
RETURNING *`,
	lease: `clock_timestamp() + ? * interval '1 ms'`,
	find: `SELECT c.id FROM unnest($3::text[]) given (id) CROSS JOIN LATERAL (SELECT id FROM contacts
  WHERE account_id = $1 AND mode = $2 AND external_id >= given.id AND external_id <= given.id ORDER BY external_id LIMIT 1) c
UNION ALL SELECT c.id FROM unnest($4::text[]) given (id) CROSS JOIN LATERAL (SELECT id FROM contacts
  WHERE account_id = $1 AND mode = $2 AND phone >= given.id AND phone <= given.id ORDER BY phone LIMIT 1) c
UNION ALL SELECT c.id FROM unnest($5::text[]) given (id) CROSS JOIN LATERAL (SELECT id FROM contacts
  WHERE account_id = $1 AND mode = $2 AND email >= given.id AND email <= given.id ORDER BY email LIMIT 1) c`,
	load: `SELECT ` + importedColumns + ` FROM contacts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`,
	insert: `INSERT INTO contacts (account_id, mode, created_at, updated_at, public_id, external_id, phone, email, first_name, last_name, country, tags, attributes, opted_out, search)
SELECT $1, $2, $3, $3, p, x, n, e, f, l, c, t::jsonb, a::jsonb, o, s
FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::smallint[], $14::text[]) r (p, x, n, e, f, l, c, t, a, o, s)
RETURNING id`,
	update: `UPDATE contacts SET updated_at = $1, external_id = x, phone = n, email = e, first_name = f, last_name = l, country = c, tags = t::jsonb, attributes = a::jsonb, opted_out = o, search = s
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::smallint[], $12::text[]) r (i, x, n, e, f, l, c, t, a, o, s)
WHERE id = i`,
	members: `INSERT INTO list_members (list_id, contact_id) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`,
}

// In SQLite, CROSS JOIN keeps the order in which the tables are named.
var sqliteImports = importSQL{
	claim: `UPDATE imports SET status = 'running', epoch = epoch + 1, started_at = COALESCE(started_at, @now),
  lease_until = ` + sqliteNow + ` + @lease * 1000
WHERE id = (` + nextImport + `
  AND (i.lease_until IS NULL OR i.lease_until < ` + sqliteNow + `) ` + inTurn + `)
RETURNING *`,
	lease: sqliteNow + ` + ? * 1000`,
	find: `SELECT c.id FROM json_each(?3) CROSS JOIN contacts c WHERE c.account_id = ?1 AND c.mode = ?2 AND c.external_id = value
UNION ALL SELECT c.id FROM json_each(?4) CROSS JOIN contacts c WHERE c.account_id = ?1 AND c.mode = ?2 AND c.phone = value
UNION ALL SELECT c.id FROM json_each(?5) CROSS JOIN contacts c WHERE c.account_id = ?1 AND c.mode = ?2 AND c.email = value`,
	load: `SELECT ` + importedColumns + ` FROM contacts WHERE id IN (SELECT value FROM json_each(?1))`,
	insert: `INSERT INTO contacts (account_id, mode, created_at, updated_at, public_id, external_id, phone, email, first_name, last_name, country, tags, attributes, opted_out, search)
SELECT ?1, ?2, ?3, ?3, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
FROM json_each(?4)
RETURNING id`,
	update: `UPDATE contacts SET updated_at = ?1, external_id = r ->> 2, phone = r ->> 3, email = r ->> 4, first_name = r ->> 5, last_name = r ->> 6,
  country = r ->> 7, tags = r ->> 8, attributes = r ->> 9, opted_out = r ->> 10, search = r ->> 11
FROM (SELECT value AS r, value ->> 0 AS i FROM json_each(?2)) WHERE id = i`,
	members: `INSERT INTO list_members (list_id, contact_id) SELECT ?1, value FROM json_each(?2) WHERE true ON CONFLICT DO NOTHING`,
}

// nextImport are the imports that may be worked: of each scope the oldest.
// inTurn puts those of the scopes after the last one first.
const (
	nextImport = `SELECT i.id FROM imports i WHERE i.status IN ('pending', 'running')
  AND NOT EXISTS (SELECT 1 FROM imports o WHERE o.account_id = i.account_id AND o.mode = i.mode AND o.id < i.id AND o.status IN ('pending', 'running'))`
	inTurn = `ORDER BY (i.account_id, i.mode) <= (@account, @mode), i.account_id, i.mode LIMIT 1`
)

func (s *Store) importSQL() *importSQL {
	if s.Embedded() {
		return &sqliteImports
	}
	return &postgresImports
}

// findImported reads and locks the contacts that rows may belong to.
func (s *Store) findImported(tx *gorm.DB, sc Scope, rows []importRow) ([]Contact, error) {
	args := []any{sc.Account, sc.Mode}
	for _, t := range contactTexts[:3] {
		var given []string
		for i := range rows {
			if id := *t.of(&rows[i].contact); id != nil && rows[i].faults == nil {
				given = append(given, *id)
			}
		}
		args = append(args, s.textsArg(given))
	}
	ids, err := queryIDs(tx, s.importSQL().find, args...)
	if err != nil {
		return nil, fmt.Errorf("find contacts: %w", err)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	contacts, err := s.loadImported(tx, slices.Compact(ids))
	if err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	return contacts, nil
}

// textsArg is idsArg for text.
func (s *Store) textsArg(texts []string) any {
	if !s.Embedded() {
		return texts
	}
	b := []byte{'['}
	for _, t := range texts {
		b = append(appendText(b, &t), ',')
	}
	return string(closeArray(b))
}

// queryIDs runs a statement that returns ids.
func queryIDs(tx *gorm.DB, query string, args ...any) (ids []int64, err error) {
	rows, err := sqlTx(tx).QueryContext(tx.Statement.Context, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// importedColumns are what loadImported reads of a contact: all that rows may change.
const importedColumns = `id, public_id, external_id, phone, email, first_name, last_name, country, tags, attributes, opted_out`

func (s *Store) loadImported(tx *gorm.DB, ids []int64) ([]Contact, error) {
	rows, err := sqlTx(tx).QueryContext(tx.Statement.Context, s.importSQL().load, s.idsArg(ids))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	contacts := make([]Contact, 0, len(ids))
	var tags, attributes []byte
	for rows.Next() {
		var c Contact
		if err := rows.Scan(&c.ID, &c.PublicID, &c.ExternalID, &c.Phone, &c.Email, &c.FirstName, &c.LastName, &c.Country, &tags, &attributes, &c.OptedOut); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(tags, &c.Tags); err != nil {
			return nil, fmt.Errorf("tags: %w", err)
		}
		if err := json.Unmarshal(attributes, &c.Attributes); err != nil {
			return nil, fmt.Errorf("attributes: %w", err)
		}
		contacts = append(contacts, c)
	}
	return contacts, rows.Err()
}

// saveImported writes what a batch changed and made, and gives the ids of all
// contacts that its rows belong to. Updates come first: they may set free an
// identifier that a new contact has.
func (s *Store) saveImported(tx *gorm.DB, b *importBatch) (ids []int64, err error) {
	var made, changed []*Contact
	for _, c := range b.touched {
		switch {
		case c.ID == 0:
			made = append(made, &c.Contact)
			continue
		case c.changed:
			changed = append(changed, &c.Contact)
		}
		ids = append(ids, c.ID)
	}
	if len(changed) > 0 {
		rows, err := s.contactsArgs(changed, false)
		if err != nil {
			return nil, err
		}
		if _, err := sqlTx(tx).ExecContext(tx.Statement.Context, s.importSQL().update, append([]any{b.at}, rows...)...); err != nil {
			return nil, fmt.Errorf("update contacts: %w", err)
		}
	}
	if len(made) > 0 {
		rows, err := s.contactsArgs(made, true)
		if err != nil {
			return nil, err
		}
		args := append([]any{b.scope.Account, b.scope.Mode, b.at}, rows...)
		fresh, err := queryIDs(tx, s.importSQL().insert, args...)
		if err != nil {
			return nil, fmt.Errorf("insert contacts: %w", err)
		}
		ids = append(ids, fresh...)
	}
	return ids, nil
}

// contactsArgs are contacts as arguments of insert (with public ids) or update
// (with ids): one array a column on PostgreSQL, one document on SQLite.
func (s *Store) contactsArgs(cs []*Contact, fresh bool) ([]any, error) {
	if s.Embedded() {
		doc, err := contactsJSON(cs)
		return []any{doc}, err
	}
	n := len(cs)
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
		if tags[i], attributes[i], err = tagsAndAttributes(c); err != nil {
			return nil, err
		}
	}
	args := []any{ids}
	if fresh {
		args[0] = publicIDs
	}
	for _, t := range texts {
		args = append(args, t)
	}
	return append(args, tags, attributes, optedOut, search), nil
}

// tagsAndAttributes are the two as they are stored.
func tagsAndAttributes(c *Contact) (tags, attributes string, err error) {
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

// contactsJSON writes each contact as [id, public id, texts…, tags, attributes,
// opted out, search]; tags and attributes are documents of their own, as text.
func contactsJSON(cs []*Contact) (string, error) {
	const perContact = 400 // bytes, about
	b := append(make([]byte, 0, perContact*len(cs)), '[')
	for _, c := range cs {
		tags, attributes, err := tagsAndAttributes(c)
		if err != nil {
			return "", err
		}
		b = append(strconv.AppendInt(append(b, '['), c.ID, 10), ',')
		b = append(appendText(b, &c.PublicID), ',')
		for _, t := range contactTexts {
			b = append(appendText(b, *t.of(c)), ',')
		}
		b = append(appendText(b, &tags), ',')
		b = append(appendText(b, &attributes), ',')
		b = append(strconv.AppendInt(b, int64(c.OptedOut), 10), ',')
		b = append(appendText(b, &c.Search), ']', ',')
	}
	return string(closeArray(b)), nil
}

// appendText quotes text that is known to be valid UTF-8.
func appendText(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	quoted, err := jsontext.AppendQuote(b, *s)
	if err != nil {
		panic(err) // only for invalid UTF-8
	}
	return quoted
}
