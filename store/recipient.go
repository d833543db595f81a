package store

import (
	"context"
	"errors"
	"fmt"
)

// Recipient is a contact as the engine needs it to render and address.
type Recipient struct {
	ID         int64
	PublicID   string
	ExternalID string
	Phone      string
	Email      string
	FirstName  string
	LastName   string
	Country    string
	Attributes []byte // JSON object; nil unless asked for
	OptedOut   ChannelSet
}

// Address is where the recipient is reached over the channel, "" if nowhere.
func (r *Recipient) Address(c Channel) string {
	if c == Email {
		return r.Email
	}
	return r.Phone
}

const recipientColumns = `id, public_id, COALESCE(external_id, ''), COALESCE(phone, ''), COALESCE(email, ''), COALESCE(first_name, ''), COALESCE(last_name, ''), COALESCE(country, ''), opted_out`

const (
	postgresRecipients = `SELECT ` + recipientColumns + `, CASE WHEN $2 THEN attributes END FROM contacts WHERE id = ANY($1) ORDER BY id`
	sqliteRecipients   = `SELECT ` + recipientColumns + `, CASE WHEN ?2 THEN attributes END FROM contacts WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id`
)

// Recipients reads contacts by key, ascending; those deleted meanwhile are left
// out. The ids come from a chunk, so they are of its campaign's account. buf's
// memory is used again.
func (s *Store) Recipients(ctx context.Context, ids []int64, attributes bool, buf []Recipient) (rs []Recipient, err error) {
	if s.Embedded() {
		rs, err = s.recipientsSQLite(ctx, ids, attributes, buf)
	} else {
		rs, err = s.recipientsPostgres(ctx, ids, attributes, buf)
	}
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	return rs, nil
}

func (s *Store) recipientsSQLite(ctx context.Context, ids []int64, attributes bool, buf []Recipient) ([]Recipient, error) {
	rows, err := s.sqlRO.QueryContext(ctx, sqliteRecipients, s.idsArg(ids), attributes)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	rs, err := scanRecipients(rows, buf)
	return rs, errors.Join(err, rows.Err())
}

// recipientsPostgres takes the pool itself: the way through database/sql makes
// two more copies of each text.
func (s *Store) recipientsPostgres(ctx context.Context, ids []int64, attributes bool, buf []Recipient) ([]Recipient, error) {
	rows, err := s.pool.Query(ctx, postgresRecipients, ids, attributes)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	rs, err := scanRecipients(rows, buf)
	return rs, errors.Join(err, rows.Err())
}

// rows are those of either driver.
type rows interface {
	Next() bool
	Scan(to ...any) error
}

func scanRecipients(rows rows, buf []Recipient) ([]Recipient, error) {
	var r Recipient
	to := []any{&r.ID, &r.PublicID, &r.ExternalID, &r.Phone, &r.Email, &r.FirstName, &r.LastName, &r.Country, &r.OptedOut, &r.Attributes}
	buf = buf[:0]
	for rows.Next() {
		r.Attributes = nil
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		buf = append(buf, r)
	}
	return buf, nil
}
