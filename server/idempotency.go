package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// once is middleware for operations that change something: with an
// Idempotency-Key, a call has its effect at most once, and a repeat gets the
// answer of the first. The handler works on a store that takes part in the
// transaction which keeps the answer.
func (s *Server) once(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			return next(c)
		}
		body, err := io.ReadAll(r.Body) // in memory already, and checked; the handler gets it all the same
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
		k := callOf(r.Context())
		request := store.Request{Method: r.Method, Path: r.URL.Path, Key: key, Fingerprint: sha256.Sum256(body)}
		kept, replayed, err := s.Store.Once(r.Context(), k.scope, request, func(tx *store.Store) ([]byte, store.Ending) {
			k.store = tx
			defer func() { k.store = nil }()
			return s.record(c, next)
		})
		if err != nil {
			return err
		}
		if replayed {
			c.Response().Header().Set("Idempotent-Replayed", "true")
		}
		return s.give(c, kept)
	}
}

// answer is what a handler answered, to be given once more.
type answer struct {
	Status int                  `json:"status"`
	Header http.Header          `json:"header,omitempty"`
	Body   []byte               `json:"body,omitempty"`
	Error  *types.ErrorEnvelope `json:"error,omitempty"` // in place of Header and Body
}

// record runs the handler and keeps its answer from the client for now.
func (s *Server) record(c echo.Context, next echo.HandlerFunc) ([]byte, store.Ending) {
	into := &recorder{header: http.Header{}, status: http.StatusOK}
	err := answeringInto(c, into, next)
	a := answer{Status: into.status, Header: into.header, Body: into.body.Bytes()}
	ending := store.Done
	if err != nil {
		e := s.envelope(err, c)
		a = answer{Status: e.Error.Status, Error: &e}
		ending = store.Failed
		if slices.Contains([]int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity}, a.Status) {
			ending = store.Refused
		}
	}
	text, err := json.Marshal(a)
	if err != nil { // of strings and numbers: cannot fail
		panic(err)
	}
	return text, ending
}

// answeringInto runs the handler with another place for its answer. What a panic
// is answered with goes to the client again.
func answeringInto(c echo.Context, w http.ResponseWriter, next echo.HandlerFunc) error {
	outward := c.Response()
	defer c.SetResponse(outward)
	c.SetResponse(echo.NewResponse(w, c.Echo()))
	return next(c)
}

// give sends a recorded answer. An error comes in the form that this request asks for.
func (s *Server) give(c echo.Context, kept []byte) error {
	var a answer
	if err := json.Unmarshal(kept, &a); err != nil {
		return fmt.Errorf("read a kept answer: %w", err)
	}
	if a.Error != nil {
		return s.writeError(c, *a.Error)
	}
	maps.Copy(c.Response().Header(), a.Header)
	c.Response().WriteHeader(a.Status)
	_, err := c.Response().Write(a.Body)
	return err
}

// recorder is an http.ResponseWriter into memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// store is the way to the database for this call.
func (s *Server) store(ctx context.Context) *store.Store {
	if tx := callOf(ctx).store; tx != nil {
		return tx
	}
	return s.Store
}
