package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"github.com/campaigns-api/campaigns/store"
)

// The keys in use are remembered, so that a request costs no question to the
// database; a revoked one works no longer than keyMemory.
const (
	keyMemory      = 2 * time.Second
	rememberedKeys = 10_000
)

// keyMemo remembers keys by the hash of the secret. As in the database, nobody
// can choose how much of a hash matches, so a look-up's time tells nothing.
type keyMemo = lru.Cache[[sha256.Size]byte, rememberedKey]

type rememberedKey struct {
	store.Key
	until time.Time
}

func newKeyMemo(size int) *keyMemo {
	m, err := lru.New[[sha256.Size]byte, rememberedKey](size)
	if err != nil { // of a size below 1
		panic(err)
	}
	return m
}

// authorize finds the key's account and mode, counts the call and checks that
// the key has all scopes the operation names. The validator calls it before
// anything else of a request.
func (s *Server) authorize(c echo.Context, key string, scopes []string) error {
	ctx := c.Request().Context()
	if !s.Development && subtle.ConstantTimeCompare([]byte(key), []byte(DemoKey)) == 1 {
		return &store.Error{Code: store.CodeInvalidKey, Message: "The demo key works in development mode only."}
	}
	k, err := s.authenticate(ctx, key)
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	callOf(ctx).scope = k.Scope()
	c.Response().Header().Set("Cache-Control", "no-store")
	if k.Mode == store.Test {
		c.Response().Header().Set("X-Orbit-Env", "sandbox")
	}
	if s.limits != nil {
		if err := s.limits.take(c, k.ID); err != nil {
			return err
		}
	}
	if !k.Allows(scopes...) {
		return &store.Error{Code: codeForbidden, Message: "The key lacks a scope that this operation needs: " + strings.Join(scopes, ", ") + "."}
	}
	return nil
}

// authenticate finds a key by the secret, in the memory first. Only keys that
// work are remembered: what somebody guesses takes no room from them.
func (s *Server) authenticate(ctx context.Context, secret string) (store.Key, error) {
	hash, at := sha256.Sum256([]byte(secret)), time.Now()
	if k, ok := s.keys.Get(hash); ok && at.Before(k.until) && k.Usable() {
		return k.Key, nil
	}
	k, err := s.Store.Authenticate(ctx, secret)
	if err != nil {
		return store.Key{}, err
	}
	s.keys.Add(hash, rememberedKey{k, at.Add(keyMemory)}) // counted from before it was read
	s.Store.NoteKeyUse(k)
	return k, nil
}
