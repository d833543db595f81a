package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/labstack/echo/v4"

	"github.com/campaigns-api/campaigns/store"
)

// The keys in use are remembered by their hash, so that a request costs no
// question to the database; a revoked one works no longer than keyMemory.
const (
	keyMemory      = 2 * time.Second
	rememberedKeys = 10_000
)

type keyMemo = expirable.LRU[[sha256.Size]byte, store.Key]

func newKeyMemo() *keyMemo {
	return expirable.NewLRU[[sha256.Size]byte, store.Key](rememberedKeys, nil, keyMemory)
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
// exist are remembered: what somebody guesses takes no room from them.
func (s *Server) authenticate(ctx context.Context, secret string) (store.Key, error) {
	hash := sha256.Sum256([]byte(secret))
	if k, ok := s.keys.Get(hash); ok && k.Usable() {
		return k, nil
	}
	k, err := s.Store.Authenticate(ctx, secret)
	if err != nil {
		return store.Key{}, err
	}
	s.keys.Add(hash, k)
	if err := s.Store.NoteKeyUse(ctx, k); err != nil {
		s.Log.WarnContext(ctx, "last use of a key not kept", "request_id", callOf(ctx).requestID, "error", err)
	}
	return k, nil
}
