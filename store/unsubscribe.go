package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// Unsubscriber makes the tokens of unsubscribe links. A token names a contact
// and a channel and cannot be made without the installation's secret; it never
// expires, as people unsubscribe from old mails too.
type Unsubscriber struct{ secret []byte }

// Unsubscriber reads the secret once, for making many tokens.
func (s *Store) Unsubscriber(ctx context.Context) (Unsubscriber, error) {
	secret, err := s.Secret(ctx)
	return Unsubscriber{secret}, err
}

const unsubscribeMAC = 16 // bytes

// Token is URL-safe and the same each time.
func (u Unsubscriber) Token(contact int64, c Channel) string {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(nil, uint64(contact)), uint16(c.bit()))
	return base64.RawURLEncoding.EncodeToString(append(b, u.mac(b)...))
}

func (u Unsubscriber) mac(b []byte) []byte {
	m := hmac.New(sha256.New, u.secret)
	m.Write([]byte("unsubscribe\x00"))
	m.Write(b)
	return m.Sum(nil)[:unsubscribeMAC]
}

// open refuses a token with line breaks in it, which the decoder would skip.
func (u Unsubscriber) open(token string) (contact int64, channels ChannelSet, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != 10+unsubscribeMAC || strings.ContainsAny(token, "\r\n") || !hmac.Equal(b[10:], u.mac(b[:10])) {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(b)), ChannelSet(binary.BigEndian.Uint16(b[8:])), true
}

// Unsubscribe opts the token's contact out of the token's channel; done twice,
// or for a contact that is gone, it changes nothing. The channel comes back. A
// token we did not make is CodeNotFound.
func (s *Store) Unsubscribe(ctx context.Context, token string) (Channel, error) {
	u, err := s.Unsubscriber(ctx)
	if err != nil {
		return "", err
	}
	contact, channels, ok := u.open(token)
	if !ok {
		return "", &Error{Code: CodeNotFound, Message: "The link is not one of ours."}
	}
	err = s.db.WithContext(ctx).Model(&Contact{}).Where("id = ?", contact).
		UpdateColumns(map[string]any{"opted_out": gorm.Expr("opted_out | ?", channels), "updated_at": now()}).Error
	if err != nil {
		return "", fmt.Errorf("unsubscribe: %w", err)
	}
	return channels.List()[0], nil
}

// UnsubscribeChannel says which channel a token is for, without using it.
func (s *Store) UnsubscribeChannel(ctx context.Context, token string) (Channel, error) {
	u, err := s.Unsubscriber(ctx)
	if err != nil {
		return "", err
	}
	_, channels, ok := u.open(token)
	if !ok {
		return "", &Error{Code: CodeNotFound, Message: "The link is not one of ours."}
	}
	return channels.List()[0], nil
}
