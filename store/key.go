package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Key lets a caller act for an account in one mode. Only a hash of it is kept.
type Key struct {
	ID        int64
	PublicID  string // key_…
	AccountID int64
	Mode      Mode
	Name      string
	Hash      string
	Hint      string   // enough to tell keys apart, not to use one
	Scopes    []string `gorm:"serializer:json"`
	CreatedAt time.Time
	ExpiresAt *time.Time
	RevokedAt *time.Time

	LastUsedAt *time.Time // nil: never; kept to keyUseEvery
}

// TableName is where GORM finds keys.
func (Key) TableName() string { return "api_keys" }

// Scope is what the key gives access to.
func (k *Key) Scope() Scope { return Scope{Account: k.AccountID, Mode: k.Mode} }

// Allows says whether the key may do all that scopes name.
func (k *Key) Allows(scopes ...string) bool {
	for _, s := range scopes {
		if !slices.Contains(k.Scopes, s) {
			return false
		}
	}
	return true
}

// Usable says whether the key, as it was read, is neither expired nor revoked.
func (k *Key) Usable() bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now().Before(*k.ExpiresAt))
}

// The scopes a key may be narrowed to, as the contract names them.
var (
	AllScopes = []string{
		"campaigns:read", "campaigns:write", "campaigns:send",
		"audience:read", "audience:write", "templates:read", "templates:write",
	}
	// ReadScopes are those of a key that changes nothing.
	ReadScopes   = []string{"campaigns:read", "audience:read", "templates:read"}
	publicScopes = []string{"campaigns:read"} // a public key reads campaigns and statistics, no contacts
)

// keyUseEvery is how often the use of a key is kept.
const keyUseEvery = time.Minute

// KeyOptions say what kind of key to make.
type KeyOptions struct {
	Account   int64
	Mode      Mode
	Public    bool     // dv_…_pk_…: reads campaigns and statistics only
	Name      string   // for people
	Scopes    []string // nil: all that the kind allows
	ExpiresAt *time.Time
	// Secret is the key itself; "" makes a random one. Only development mode,
	// whose key is known to everybody, names one.
	Secret string
}

// CreateKey makes a key and returns it in the clear, the only time it can be seen.
func (s *Store) CreateKey(ctx context.Context, o KeyOptions) (secret string, k Key, err error) {
	scopes, err := keyScopes(o)
	if err != nil {
		return "", Key{}, err
	}
	secret = o.Secret
	if secret == "" {
		kind := map[bool]string{false: "sk", true: "pk"}[o.Public]
		secret = fmt.Sprintf("dv_%s_%s_%s", o.Mode, kind, strings.ToLower(rand.Text()))
	}
	k = Key{
		PublicID: newID("key"), AccountID: o.Account, Mode: o.Mode, Name: o.Name, Hash: hashKey(secret),
		Hint: hintOf(secret), Scopes: scopes, CreatedAt: now(), ExpiresAt: o.ExpiresAt,
	}
	if err := s.db.WithContext(ctx).Create(&k).Error; err != nil {
		return "", Key{}, fmt.Errorf("create key: %w", err)
	}
	return secret, k, nil
}

func keyScopes(o KeyOptions) ([]string, error) {
	allowed := AllScopes
	if o.Public {
		allowed = publicScopes
	}
	if o.Scopes == nil {
		return allowed, nil
	}
	for _, sc := range o.Scopes {
		if !slices.Contains(allowed, sc) {
			return nil, &Error{Code: CodeValidation, Message: fmt.Sprintf("A key of this kind has no scope %q; it may have: %s.", sc, strings.Join(allowed, ", "))}
		}
	}
	return o.Scopes, nil
}

// hashKey needs no salt and no slowness: a key is 128 random bits. Finding it by
// its hash is what makes the comparison independent of how much matches.
func hashKey(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

func hintOf(secret string) string {
	if len(secret) < 20 {
		return secret[:min(len(secret), 11)] + "…"
	}
	return secret[:11] + "…" + secret[len(secret)-4:]
}

// Authenticate finds the key by its secret; an unknown, expired or revoked one
// is CodeInvalidKey.
func (s *Store) Authenticate(ctx context.Context, secret string) (k Key, err error) {
	err = s.read(ctx).Where("hash = ?", hashKey(secret)).Take(&k).Error
	if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && !k.Usable() {
		return Key{}, &Error{Code: CodeInvalidKey, Message: "The API key is unknown, expired or revoked."}
	}
	if err != nil {
		return Key{}, fmt.Errorf("find key: %w", err)
	}
	return k, nil
}

// NoteKeyUse notes that a key, which has just been read, is used, unless that was
// kept within the last minute. It waits for nothing: see KeepKeyUses.
func (s *Store) NoteKeyUse(k Key) {
	if at := now(); k.LastUsedAt == nil || at.Sub(*k.LastUsedAt) >= keyUseEvery {
		s.keyUses.Store(k.ID, at)
	}
}

// KeepKeyUses keeps what has been noted since it was last called. What it could
// not keep stays noted.
func (s *Store) KeepKeyUses(ctx context.Context) (err error) {
	s.keyUses.Range(func(id, at any) bool {
		err = s.db.WithContext(ctx).Model(&Key{}).Where("id = ? AND (last_used_at IS NULL OR last_used_at < ?)", id, at).Update("last_used_at", at).Error
		if err != nil {
			err = fmt.Errorf("keep the use of a key: %w", err)
			return false
		}
		s.keyUses.CompareAndDelete(id, at)
		return true
	})
	return err
}

// Keys lists an account's keys of both modes, oldest first, revoked ones too.
func (s *Store) Keys(ctx context.Context, account int64) (ks []Key, err error) {
	if err := s.read(ctx).Where("account_id = ?", account).Order("id").Find(&ks).Error; err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return ks, nil
}

// RevokeKey ends a key for good. Revoking a revoked one changes nothing.
func (s *Store) RevokeKey(ctx context.Context, id string) (k Key, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		if err := s.locked(tx).Where("public_id = ?", id).Take(&k).Error; err != nil {
			return missing(err, "key", id)
		}
		if k.RevokedAt == nil {
			at := now()
			k.RevokedAt = &at
		}
		return tx.Model(&Key{}).Where("id = ?", k.ID).Update("revoked_at", k.RevokedAt).Error
	})
	return k, err
}
