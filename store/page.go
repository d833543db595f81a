package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"gorm.io/gorm"
)

// Page asks for a part of a list: at most Limit (1 to 100; 0 means 20) after
// Cursor ("" means from the start).
type Page struct {
	Cursor string
	Limit  int
}

// DefaultLimit is the size of a page when the caller names none.
const DefaultLimit = 20

func (p Page) limit() int {
	if p.Limit == 0 {
		return DefaultLimit
	}
	return p.Limit
}

// order is how a list is walked.
type order bool

const (
	newestFirst order = true
	oldestFirst order = false
)

// scopeKey is the key by which all that one account has is walked: the last column
// of the indexes named _scope. By the key itself PostgreSQL would rather take the
// primary key and leave out what is of others, which looks cheap to it where the
// account has a good part of all rows: but what is of others may come in one
// piece, first.
const scopeKey = "(id + 0)"

// pageOf cuts one page out of q by keyset: rows come and go, yet a row that is
// there throughout comes exactly once. kind names the list in its cursors, key
// is the integer column that orders it, of reads that column from a row. next is
// "" on the last page.
func pageOf[T any](ctx context.Context, s *Store, q *gorm.DB, sc Scope, kind string, p Page, o order, key string, of func(*T) int64) (rows []T, next string, err error) {
	if p.Cursor != "" {
		at, err := s.openCursor(ctx, sc, kind, p.Cursor)
		if err != nil {
			return nil, "", err
		}
		q = q.Where(key+map[order]string{newestFirst: " < ?", oldestFirst: " > ?"}[o], at)
	}
	q = q.Order(key + map[order]string{newestFirst: " DESC", oldestFirst: ""}[o]).Limit(p.limit() + 1)
	if err := q.Find(&rows).Error; err != nil {
		return nil, "", err
	}
	if len(rows) > p.limit() {
		rows = rows[:p.limit()]
		next, err = s.sealCursor(ctx, sc, kind, of(&rows[len(rows)-1]))
	}
	return rows, next, err
}

const cursorMAC = 8 // bytes: enough to refuse what is altered or from elsewhere

// sealCursor makes a cursor that only this list of this scope takes back.
func (s *Store) sealCursor(ctx context.Context, sc Scope, kind string, at int64) (string, error) {
	mac, err := s.cursorMAC(ctx, sc, kind, at)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(at)), mac...)), nil
}

func (s *Store) openCursor(ctx context.Context, sc Scope, kind, cursor string) (int64, error) {
	bad := &Error{Code: CodeInvalidCursor, Message: "The cursor is not one that this list gave out."}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != 8+cursorMAC || strings.ContainsAny(cursor, "\r\n") { // which the decoder skips
		return 0, bad
	}
	at := int64(binary.BigEndian.Uint64(b))
	mac, err := s.cursorMAC(ctx, sc, kind, at)
	if err != nil {
		return 0, err
	}
	if !hmac.Equal(b[8:], mac) {
		return 0, bad
	}
	return at, nil
}

func (s *Store) cursorMAC(ctx context.Context, sc Scope, kind string, at int64) ([]byte, error) {
	secret, err := s.Secret(ctx)
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, secret)
	b := binary.BigEndian.AppendUint64([]byte("cursor\x00"+kind+"\x00"), uint64(sc.Account))
	b = binary.BigEndian.AppendUint64(append(b, byte(sc.Mode)), uint64(at))
	m.Write(b)
	return m.Sum(nil)[:cursorMAC], nil
}

// fold makes text comparable without case, for all of Unicode, on both
// databases (SQLite's own lower() knows ASCII only).
func fold(s string) string {
	if isPlain(s) {
		return strings.ToLower(s) // the same, ten times as fast
	}
	folded := strings.Map(func(r rune) rune {
		switch {
		case r == 'ı':
			return 'i' // as its capital does
		case r >= 'Ꭰ' && r <= 'Ᏽ':
			return unicode.ToLower(r) // of Cherokee, the library exchanges the cases
		}
		return r
	}, cases.Fold().String(norm.NFC.String(s)))
	return strings.ReplaceAll(folded, dottedI, "i") // which İ became: in Turkish its small letter is i
}

const dottedI = "i\u0307"

// searching narrows q to rows whose search column holds the text, plainly: "%"
// and "_" mean themselves. Empty text narrows nothing.
func searching(q *gorm.DB, text string) *gorm.DB {
	if text == "" {
		return q
	}
	return q.Where(`search LIKE ? ESCAPE '\'`, "%"+likeLiteral(fold(text))+"%")
}

func likeLiteral(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
