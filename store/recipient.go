package store

import (
	"context"
	"database/sql"
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

const (
	postgresRecipients = `SELECT id, public_id, external_id, phone, email, first_name, last_name, country, opted_out, CASE WHEN $2 THEN attributes END FROM contacts WHERE id = ANY($1) ORDER BY id`
	sqliteRecipients   = `SELECT id, public_id, external_id, phone, email, first_name, last_name, country, opted_out, CASE WHEN ?2 THEN attributes END FROM contacts WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id`
)

// Recipients reads contacts by key, ascending; those deleted meanwhile are left
// out. The ids come from a chunk, so they are of its campaign's account. buf's
// memory is used again.
func (s *Store) Recipients(ctx context.Context, ids []int64, attributes bool, buf []Recipient) ([]Recipient, error) {
	query := postgresRecipients
	if s.Embedded() {
		query = sqliteRecipients
	}
	rows, err := s.sqlRO.QueryContext(ctx, query, s.idsArg(ids), attributes)
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	defer func() { _ = rows.Close() }()
	buf = buf[:0]
	for rows.Next() {
		var r Recipient
		var external, phone, email, first, last, country sql.NullString
		if err := rows.Scan(&r.ID, &r.PublicID, &external, &phone, &email, &first, &last, &country, &r.OptedOut, &r.Attributes); err != nil {
			return nil, fmt.Errorf("read a recipient: %w", err)
		}
		r.ExternalID, r.Phone, r.Email = external.String, phone.String, email.String
		r.FirstName, r.LastName, r.Country = first.String, last.String, country.String
		buf = append(buf, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	return buf, nil
}
