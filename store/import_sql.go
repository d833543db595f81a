package store

import (
	"encoding/json"
	"fmt"
	"slices"

	"gorm.io/gorm"
)

// importSQL are the statements on imports, each once per dialect.
type importSQL struct{ prepare, claim, lease, find, load, insert, update, move, members string }

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
	update:  postgresUpdate,
	move:    postgresUpdate,
	members: `INSERT INTO list_members (list_id, contact_id) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`,
}

const postgresUpdate = `UPDATE contacts SET updated_at = $1, external_id = x, phone = n, email = e, first_name = f, last_name = l, country = c, tags = t::jsonb, attributes = a::jsonb, opted_out = o, search = s
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::smallint[], $12::text[]) r (i, x, n, e, f, l, c, t, a, o, s)
WHERE id = i RETURNING id`

// In SQLite, CROSS JOIN keeps the order in which the tables are named. insert and
// update are of one contact each: a statement of many would keep a journal of its
// own besides the transaction's, in case it fails halfway.
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
VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)`,
	// An index is written for each column that is set, whether or not it changes.
	update: `UPDATE contacts SET updated_at = ?1, first_name = ?6, last_name = ?7, country = ?8, tags = ?9, attributes = ?10, opted_out = ?11, search = ?12
WHERE id = ?2`,
	move: `UPDATE contacts SET updated_at = ?1, external_id = ?3, phone = ?4, email = ?5, first_name = ?6, last_name = ?7, country = ?8, tags = ?9, attributes = ?10, opted_out = ?11, search = ?12
WHERE id = ?2`,
	members: `INSERT INTO list_members (list_id, contact_id) SELECT ?1, value FROM json_each(?2) WHERE true ON CONFLICT DO NOTHING`,
}

// openImports are those that the index imports_open holds, literally as there.
const openImports = "status IN ('receiving', 'pending', 'running')"

// nextImport are the imports that may be worked: of each scope the oldest.
// inTurn puts those of the scopes after the last one first.
const (
	nextImport = `SELECT i.id FROM imports i WHERE i.` + openImports + ` AND i.status IN ('pending', 'running')
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
		b = append(appendString(b, t), ',')
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
