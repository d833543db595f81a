package server

import (
	"crypto/subtle"
	"fmt"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/campaigns-api/campaigns/store"
)

// authorize finds the key's account and mode and checks that it has all scopes
// the operation names. The validator calls it before anything else of a request.
func (s *Server) authorize(c echo.Context, key string, scopes []string) error {
	ctx := c.Request().Context()
	if !s.Development && subtle.ConstantTimeCompare([]byte(key), []byte(DemoKey)) == 1 {
		return &store.Error{Code: store.CodeInvalidKey, Message: "The demo key works in development mode only."}
	}
	k, err := s.store.Authenticate(ctx, key)
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	callOf(ctx).scope = k.Scope()
	if k.Mode == store.Test {
		c.Response().Header().Set("X-Orbit-Env", "sandbox")
	}
	if !k.Allows(scopes...) {
		return &store.Error{Code: codeForbidden, Message: "The key lacks a scope that this operation needs: " + strings.Join(scopes, ", ") + "."}
	}
	return nil
}
