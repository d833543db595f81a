package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"
)

// How lists of values reach the hot statements: arrays on PostgreSQL, one JSON
// document on SQLite (measured faster there than VALUES or prepared rows).

func (s *Store) idsArg(ids []int64) any {
	if !s.Embedded() {
		return ids
	}
	return string(appendIDs(make([]byte, 0, 8*len(ids)+2), ids))
}

func (s *Store) idsScan(to *[]int64) any {
	if !s.Embedded() {
		return pgIDs{to}
	}
	return &jsonIDs{to}
}

// pgTypes are for one scan at a time: what they have met they remember in maps.
var pgTypes = sync.Pool{New: func() any { return pgtype.NewMap() }}

// pgIDs reads an array.
type pgIDs struct{ to *[]int64 }

// Scan is for database/sql.
func (p pgIDs) Scan(from any) error {
	m := pgTypes.Get().(*pgtype.Map)
	defer pgTypes.Put(m)
	return m.SQLScanner(p.to).Scan(from)
}

// jsonIDs reads what appendIDs wrote.
type jsonIDs struct{ to *[]int64 }

func (j *jsonIDs) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("ids: want text, got %T", v)
	}
	if len(text) < 2 || text[0] != '[' {
		return errors.New("ids: not a JSON array")
	}
	out := make([]int64, 0, chunkSize)
	var n int64
	digits := false
	for i := 1; i < len(text); i++ {
		if c := text[i]; c >= '0' && c <= '9' {
			n, digits = n*10+int64(c-'0'), true
		} else if digits {
			out, n, digits = append(out, n), 0, false
		}
	}
	*j.to = out
	return nil
}

func appendIDs(b []byte, ids []int64) []byte {
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return append(b, ']')
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func scanIDs(ctx context.Context, q querier, query string, args ...any) (ids []int64, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
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

// harmless is what both databases can keep of a carrier's text, which may hold
// anything: valid UTF-8 without NUL.
func harmless(s string) string {
	if keepable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// ints is a list of integers as an argument to GORM, which would spread a slice
// over as many placeholders: see Store.among.
type ints []int64

// Value is the literal of an array.
func (v ints) Value() (driver.Value, error) {
	b := appendIDs(make([]byte, 0, 8*len(v)+2), v)
	b[0], b[len(b)-1] = '{', '}'
	return string(b), nil
}

// among is a condition: the column is one of the values, however many.
func (s *Store) among(column string, values []int64) (string, any) {
	if s.Embedded() {
		return column + " IN (SELECT value FROM json_each(?))", s.idsArg(values)
	}
	return column + " = ANY(CAST(? AS bigint[]))", ints(values)
}

// outcomeColumns are outcomes turned on their side, for unnest.
type outcomeColumns struct {
	contacts           []int64
	statuses           []int16
	refs, codes, texts []string

	again                  []int64
	againCodes, againTexts []string
	waits                  []int64 // milliseconds
}

func columnsOf(os []Outcome) outcomeColumns {
	n := len(os)
	c := outcomeColumns{
		contacts: make([]int64, 0, n), statuses: make([]int16, 0, n),
		refs: make([]string, 0, n), codes: make([]string, 0, n), texts: make([]string, 0, n),
	}
	for i := range os {
		o := &os[i]
		if o.Status == 0 {
			c.again = append(c.again, o.Contact)
			c.againCodes = append(c.againCodes, o.Code)
			c.againTexts = append(c.againTexts, o.Text)
			c.waits = append(c.waits, o.RetryAfter.Milliseconds())
			continue
		}
		c.contacts = append(c.contacts, o.Contact)
		c.statuses = append(c.statuses, int16(o.Status))
		c.refs = append(c.refs, o.Ref)
		c.codes = append(c.codes, o.Code)
		c.texts = append(c.texts, o.Text)
	}
	return c
}

// jsonOutcomes writes settled outcomes as [contact, status, ref, code, text]
// and the others as [contact, code, text, wait].
func jsonOutcomes(os []Outcome) (settled, again string) {
	a, b := append(make([]byte, 0, 48*len(os)), '['), []byte{'['}
	for i := range os {
		o := &os[i]
		if o.Status == 0 {
			b = strconv.AppendInt(append(b, '['), o.Contact, 10)
			b = appendString(append(b, ','), o.Code)
			b = appendString(append(b, ','), o.Text)
			b = append(strconv.AppendInt(append(b, ','), o.RetryAfter.Milliseconds(), 10), "],"...)
			continue
		}
		a = strconv.AppendInt(append(a, '['), o.Contact, 10)
		a = strconv.AppendInt(append(a, ','), int64(o.Status), 10)
		a = appendString(append(a, ','), o.Ref)
		a = appendString(append(a, ','), o.Code)
		a = append(appendString(append(a, ','), o.Text), "],"...)
	}
	return string(closeArray(a)), string(closeArray(b))
}

func closeArray(b []byte) []byte {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, ']')
}

// appendString quotes a carrier's text, which may hold anything.
func appendString(b []byte, s string) []byte {
	if s == "" {
		return append(b, '"', '"')
	}
	q, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return append(b, q...)
}
