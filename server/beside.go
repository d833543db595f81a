package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/campaigns-api/campaigns/gen/spec"
)

// routeBeside adds what is served beside the contract, without a key: the
// contract itself, pages about it, health, unsubscribe links and carriers'
// receipts.
func (s *Server) routeBeside(e *echo.Echo, doc *openapi3.T) error {
	asJSON, err := inJSON(spec.YAML)
	if err != nil {
		return fmt.Errorf("turn openapi.yaml into JSON: %w", err)
	}
	e.GET("/openapi.yaml", document("application/yaml", spec.YAML))
	e.GET("/openapi.json", document(echo.MIMEApplicationJSON, asJSON))
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", s.ready)
	e.GET("/unsubscribe/:token", s.unsubscribePage)
	e.POST("/unsubscribe/:token", s.unsubscribe)
	e.POST("/carriers/:name/receipts", s.receipts)
	return s.routeDocs(e, doc)
}

// inJSON is a YAML document of mappings with text for keys, in the same order:
// paths stand in the order in which they are best read.
func inJSON(document []byte) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := writeNode(jsontext.NewEncoder(&out), root.Content[0]); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeNode(to *jsontext.Encoder, n *yaml.Node) error {
	var begin, end jsontext.Token
	switch n.Kind {
	case yaml.MappingNode:
		begin, end = jsontext.BeginObject, jsontext.EndObject
	case yaml.SequenceNode:
		begin, end = jsontext.BeginArray, jsontext.EndArray
	default:
		var v any
		if err := n.Decode(&v); err != nil {
			return err
		}
		return json.MarshalEncode(to, v)
	}
	if err := to.WriteToken(begin); err != nil {
		return err
	}
	for _, inner := range n.Content { // of a mapping: keys and values in turn
		if err := writeNode(to, inner); err != nil {
			return err
		}
	}
	return to.WriteToken(end)
}

// document serves bytes that never change while the process runs. Clients may
// keep them and ask each time whether they still hold.
func document(contentType string, body []byte) echo.HandlerFunc {
	tag := "W/" + entityTag(body) // the same document, compressed or not
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "no-cache")
		return send(c, contentType, tag, body)
	}
}

// entityTag is a strong one.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// send answers with the body, or with 304 to a client that has it already.
func send(c echo.Context, contentType, tag string, body []byte) error {
	c.Response().Header().Set("ETag", tag)
	if listed(c.Request().Header.Values("If-None-Match"), tag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, contentType, body)
}

// listed says whether If-None-Match names the tag, by weak comparison (RFC 9110,
// section 13.1.2). A comma within a quoted tag splits it into parts that are no
// tag of ours.
func listed(header []string, tag string) bool {
	for one := range strings.SplitSeq(strings.Join(header, ","), ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
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
