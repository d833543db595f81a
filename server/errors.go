package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/server/contract"
	"github.com/campaigns-api/campaigns/store"
)

// Codes that only HTTP has.
const (
	codeForbidden        = "INSUFFICIENT_PERMISSIONS"
	codePrecondition     = "PRECONDITION_FAILED"
	codeRateLimit        = "RATE_LIMIT_EXCEEDED"
	codeMethodNotAllowed = "METHOD_NOT_ALLOWED"
	codeInternal         = "INTERNAL_ERROR"
	codeUnavailable      = "UNAVAILABLE"
)

// statusOf is the one table from the store's codes to HTTP.
var statusOf = map[string]int{
	store.CodeValidation:      http.StatusUnprocessableEntity,
	store.CodeMissingField:    http.StatusUnprocessableEntity,
	store.CodeInvalidPhone:    http.StatusUnprocessableEntity,
	store.CodeInvalidEmail:    http.StatusUnprocessableEntity,
	store.CodeInvalidTemplate: http.StatusUnprocessableEntity,
	store.CodeNotReady:        http.StatusUnprocessableEntity,
	store.CodeInvalidCursor:   http.StatusBadRequest,
	store.CodeInvalidKey:      http.StatusUnauthorized,
	codeForbidden:             http.StatusForbidden,
	store.CodeNotFound:        http.StatusNotFound,
	store.CodeInvalidState:    http.StatusConflict,
	store.CodePayloadTooLarge: http.StatusRequestEntityTooLarge,
	store.CodeInProgress:      http.StatusConflict,
	store.CodeMismatch:        http.StatusUnprocessableEntity,
	codePrecondition:          http.StatusPreconditionFailed,
	codeRateLimit:             http.StatusTooManyRequests,
}

// maxFaults is the contract's limit for the errors of one answer.
const maxFaults = 20

// fail is the only code that writes an error answer.
func (s *Server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if err := s.writeError(c, s.envelope(err, c)); err != nil {
		ctx := c.Request().Context()
		s.Log.WarnContext(ctx, "write an error answer", "request_id", callOf(ctx).requestID, "error", err)
	}
}

// envelope is the answer to a request that failed.
func (s *Server) envelope(err error, c echo.Context) types.ErrorEnvelope {
	ctx := c.Request().Context()
	e := s.describe(ctx, err, c)
	e.Meta = types.ErrorMeta{
		RequestID: callOf(ctx).requestID, Timestamp: timestamp(),
		DocsURL: s.PublicURL + "/docs/errors/" + string(e.Error.Code),
	}
	return e
}

// retrySoon is after how many seconds what is not possible now may be tried again.
const retrySoon = "1"

// writeError sends an error in the form that the request prefers.
func (s *Server) writeError(c echo.Context, e types.ErrorEnvelope) error {
	h := c.Response().Header()
	switch {
	case e.Error.Status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case e.Error.Status == http.StatusServiceUnavailable, e.Error.Code == store.CodeInProgress:
		h.Set("Retry-After", retrySoon)
	}
	if contract.PrefersProblem(c.Request().Header[echo.HeaderAccept]) {
		text, err := json.Marshal(problem(e))
		if err != nil {
			return err
		}
		return c.Blob(e.Error.Status, problemJSON, text)
	}
	return c.JSON(e.Error.Status, e)
}

const problemJSON = "application/problem+json"

// problem is the error as RFC 9457 has it.
func problem(e types.ErrorEnvelope) types.Problem {
	return types.Problem{
		Type: e.Meta.DocsURL, Title: title(e.Error.Code), Status: e.Error.Status, Detail: e.Error.Message,
		Code: e.Error.Code, Details: e.Error.Details, Errors: e.Error.Errors, RequestID: e.Meta.RequestID, Timestamp: e.Meta.Timestamp,
	}
}

// title makes "Invalid cursor" of INVALID_CURSOR.
func title(code types.ErrorCode) string {
	return string(code[:1]) + strings.ToLower(strings.ReplaceAll(string(code[1:]), "_", " "))
}

// describe says what went wrong in the contract's words. Whatever the caller did
// not cause is logged whole and answered in one fixed sentence.
func (s *Server) describe(ctx context.Context, err error, c echo.Context) types.ErrorEnvelope {
	var violation *contract.Violation
	var ours *store.Error
	var routing *echo.HTTPError
	switch {
	case errors.As(err, &violation):
		return ofViolation(violation)
	case errors.As(err, &ours) && statusOf[ours.Code] != 0:
		return ofStore(ours)
	case errors.As(err, &routing) && routing.Code == http.StatusNotFound:
		return plainError(http.StatusNotFound, store.CodeNotFound, "There is no such path.")
	case errors.As(err, &routing) && routing.Code == http.StatusMethodNotAllowed:
		return plainError(http.StatusMethodNotAllowed, codeMethodNotAllowed, "The path does not take "+c.Request().Method+".")
	case errors.Is(err, errBrokenOff):
		return plainError(http.StatusBadRequest, store.CodeValidation, "The body broke off; nothing of it was kept.")
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return plainError(http.StatusServiceUnavailable, codeUnavailable, "The request ended before its answer.")
	case store.Away(err):
		s.Log.ErrorContext(ctx, "the database is away", "request_id", callOf(ctx).requestID, "route", c.Path(), "error", err)
		return plainError(http.StatusServiceUnavailable, codeUnavailable, "The service is not available at the moment.")
	}
	s.Log.ErrorContext(ctx, "request failed", "request_id", callOf(ctx).requestID, "route", c.Path(), "error", err)
	return plainError(http.StatusInternalServerError, codeInternal, "Something went wrong on our side. Try again; if it stays, tell us the request id.")
}

func plainError(status int, code, message string) types.ErrorEnvelope {
	return types.ErrorEnvelope{Error: types.Error{Code: types.ErrorCode(code), Status: status, Message: message}}
}

func ofViolation(v *contract.Violation) types.ErrorEnvelope {
	e := plainError(v.Status, v.Code, violationSentence(v))
	for _, p := range v.Problems {
		where, field := types.FaultLocation(p.In), p.Field
		f := types.Fault{Code: p.Code, Message: p.Message, Location: &where, Field: &field}
		if text, ok := p.Value.(string); ok {
			f.Value = &text
		}
		if p.Expected != "" {
			expected := p.Expected
			f.Expected = &expected
		}
		e.Error.Errors = append(e.Error.Errors, f)
	}
	return withDetails(e)
}

func violationSentence(v *contract.Violation) string {
	switch {
	case len(v.Problems) == 1:
		p := v.Problems[0]
		return strings.TrimSpace(strings.TrimPrefix(p.Field, "/")+" "+p.Message) + "."
	case len(v.Problems) > 1:
		return "The request has several faults; errors lists them."
	}
	return map[int]string{
		http.StatusUnauthorized:  "An API key is needed, as X-API-Key or as a bearer token.",
		http.StatusNotAcceptable: "None of the media types that exist is acceptable to the request.",
	}[v.Status]
}

func ofStore(err *store.Error) types.ErrorEnvelope {
	e := plainError(statusOf[err.Code], err.Code, err.Message)
	body := types.FaultLocation("body")
	for _, f := range err.Faults[:min(len(err.Faults), maxFaults)] {
		out := types.Fault{Code: f.Code, Message: f.Message}
		if err.Code != store.CodeNotReady {
			field := f.Field
			out.Location, out.Field = &body, &field
		}
		if f.Value != "" {
			v := f.Value
			out.Value = &v
		}
		if f.Expected != "" {
			x := f.Expected
			out.Expected = &x
		}
		e.Error.Errors = append(e.Error.Errors, out)
	}
	e = withDetails(e)
	if err.Code == store.CodeInvalidState {
		status := types.CampaignStatus(err.Status)
		allowed := actions(err.Allowed)
		e.Error.Details = &types.ErrorDetails{Status: &status, AllowedActions: &allowed}
	}
	return e
}

// withDetails repeats the first fault where clients look first.
func withDetails(e types.ErrorEnvelope) types.ErrorEnvelope {
	if len(e.Error.Errors) > 0 && e.Error.Errors[0].Location != nil {
		f := e.Error.Errors[0]
		e.Error.Details = &types.ErrorDetails{Location: f.Location, Field: f.Field, Value: f.Value, Expected: f.Expected}
	}
	return e
}
