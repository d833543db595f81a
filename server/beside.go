package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/campaigns-api/campaigns/gen/spec"
)

// routeBeside adds what is served beside the contract, without a key: the
// contract itself, the pages of the error codes, health, unsubscribe links and
// carriers' receipts.
func (s *Server) routeBeside(e *echo.Echo) error {
	var doc any
	if err := yaml.Unmarshal(spec.YAML, &doc); err != nil {
		return fmt.Errorf("read openapi.yaml: %w", err)
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("turn openapi.yaml into JSON: %w", err)
	}
	e.GET("/openapi.yaml", document("application/yaml", spec.YAML))
	e.GET("/openapi.json", document(echo.MIMEApplicationJSON, asJSON))
	e.GET("/docs/errors/:code", s.errorPage)
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", s.ready)
	e.GET("/unsubscribe/:token", s.unsubscribePage)
	e.POST("/unsubscribe/:token", s.unsubscribe)
	e.POST("/carriers/:name/receipts", s.receipts)
	return nil
}

// document serves bytes that never change while the process runs.
func document(contentType string, body []byte) echo.HandlerFunc {
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return func(c echo.Context) error {
		c.Response().Header().Set("ETag", etag)
		if c.Request().Header.Get("If-None-Match") == etag {
			return c.NoContent(http.StatusNotModified)
		}
		return c.Blob(http.StatusOK, contentType, body)
	}
}

// ready says whether the database answers within a second.
func (s *Server) ready(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), time.Second)
	defer cancel()
	if err := s.Store.Ping(ctx); err != nil {
		s.Log.WarnContext(ctx, "not ready", "error", err)
		return c.String(http.StatusServiceUnavailable, "the database does not answer\n")
	}
	return c.String(http.StatusOK, "ready\n")
}
