// Package contract holds every request to the OpenAPI document.
//
// The document is compiled once, at start, into one checker per operation,
// which hangs on the operation's route as Echo middleware. A checker looks at
// the key, Accept, the path, the query, the headers and the body; it tells all
// faults at once, in the document's words, and lets nothing else through. What
// the document says and this package cannot hold a request to, Compile refuses.
//
// A JSON body is read once, found to be valid by jsontext (which also refuses
// duplicate names and bad UTF-8), and walked once as text against its schema.
// No value of the body is built; the text is kept for Binder to decode.
//
// Two extensions are understood. x-error-code on a schema names the code of a
// problem with its values, but for a wrong type or a missing one; x-max-body-bytes
// on an operation, or on a media type of its body, sets how large a body may be.
//
// The package is stricter than JSON Schema on purpose. It refuses the NUL
// character (PostgreSQL cannot hold it), bodies nested deeper than 32 levels,
// integers beyond 64 bits, unknown query parameters, bodies where none is
// declared, and mailboxes that mail hosts do not deliver to. A pattern is read
// as Go's regexp reads it, in linear time.
//
// The package knows HTTP and the document. It knows nothing of accounts, of
// what a key may do (Options.Authorize is asked), of rules that span fields,
// nor of how an error is written.
package contract

import (
	"errors"
	"fmt"
	"math"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// Options are what the document does not say.
type Options struct {
	// MaxBody is the most bytes a body may have; it must be above 0. An
	// operation, or one media type of its body, sets its own with the extension
	// x-max-body-bytes. JSON bodies are held in memory.
	MaxBody int64

	// Authorize is asked before anything else of a request is looked at, for
	// operations that have security. It gets the key presented, which is never
	// "", and the scopes the operation names. Its error ends the request and
	// is returned as it is. It must compare keys in constant time.
	Authorize func(c echo.Context, key string, scopes []string) error
}

// Contract is a compiled document. It is immutable.
type Contract struct{ operations map[string]*operation }

// operation is one compiled operation.
type operation struct {
	security security
	produces []string // media types of its answers
	path     []*parameter
	header   []*parameter
	query    []*parameter
	byQuery  map[string]int   // name to place in query
	bodies   map[string]*body // by media type in lower case; nil: no body is declared
	optional bool             // the body may be missing
}

// Compile turns a loaded OpenAPI 3.1 document into one checker per operation.
// It fails on every keyword, format, parameter style, media type and kind of
// security that the checkers would not enforce, on an operation that says
// nothing of its security, and on schemas that take time exponential in a
// body's nesting. It does not look at answers, webhooks and callbacks, and
// leaves it to the document's own validation to find other mistakes.
func Compile(doc *openapi3.T, o Options) (*Contract, error) {
	if o.MaxBody <= 0 {
		return nil, errors.New("compile the contract: Options.MaxBody must be above 0")
	}
	c := &compiler{done: map[use]*schema{}}
	k := &Contract{operations: map[string]*operation{}}
	for path, item := range doc.Paths.Map() {
		for method, source := range item.Operations() {
			id := source.OperationID
			if id == "" || k.operations[id] != nil {
				return nil, fmt.Errorf("compile the contract: %s %s: operationId %q is empty or used twice", method, path, id)
			}
			op, err := c.operation(doc, item, source, o)
			if err != nil {
				return nil, fmt.Errorf("compile the contract: %s: %w", id, err)
			}
			k.operations[id] = op
		}
	}
	if err := c.checkRecursion(); err != nil {
		return nil, fmt.Errorf("compile the contract: %w", err)
	}
	return k, nil
}

func (c *compiler) operation(doc *openapi3.T, item *openapi3.PathItem, src *openapi3.Operation, o Options) (*operation, error) {
	op := &operation{byQuery: map[string]int{}, produces: produces(src)}
	var err error
	if op.security, err = compileSecurity(doc, src, o.Authorize); err != nil {
		return nil, err
	}
	for _, ref := range parametersOf(item, src) {
		p, err := c.parameter(ref)
		if err != nil {
			return nil, fmt.Errorf("%s parameter %s: %w", ref.In, ref.Name, err)
		}
		switch ref.In {
		case inPath:
			op.path = append(op.path, p)
		case inHeader:
			op.header = append(op.header, p)
		default:
			op.byQuery[p.name] = len(op.query)
			op.query = append(op.query, p)
		}
	}
	if len(op.query) > 64 {
		return nil, errors.New("more than 64 query parameters are not enforced")
	}
	limit, err := limitOf(src.Extensions, o.MaxBody)
	if err != nil {
		return nil, err
	}
	if src.RequestBody != nil {
		op.optional = !src.RequestBody.Value.Required
		op.bodies, err = c.bodies(src.RequestBody.Value, limit)
	}
	return op, err
}

// parametersOf are the path's parameters and the operation's own, which
// replace those of the same name and place.
func parametersOf(item *openapi3.PathItem, src *openapi3.Operation) []*openapi3.Parameter {
	var list []*openapi3.Parameter
	for _, ref := range item.Parameters {
		if src.Parameters.GetByInAndName(ref.Value.In, ref.Value.Name) == nil {
			list = append(list, ref.Value)
		}
	}
	for _, ref := range src.Parameters {
		list = append(list, ref.Value)
	}
	return list
}

// limitOf is the extension x-max-body-bytes, or otherwise.
func limitOf(extensions map[string]any, otherwise int64) (int64, error) {
	v, given := extensions["x-max-body-bytes"]
	if !given {
		return otherwise, nil
	}
	n, ok := v.(float64)
	if !ok || n < 1 || n > maxExact || n != math.Trunc(n) {
		return 0, fmt.Errorf("x-max-body-bytes is %v: it must be a whole number above 0", v)
	}
	return int64(n), nil
}

// Middlewares are the checkers by operationId as it stands in the document,
// to be handed to the generated server when it registers its routes. They
// return a *Violation, or Authorize's error as it is. A body that is not JSON
// reaches the handler unread; reading it beyond its limit fails with a
// *Violation of status 413.
func (k *Contract) Middlewares() map[string][]echo.MiddlewareFunc {
	m := make(map[string][]echo.MiddlewareFunc, len(k.operations))
	for id, op := range k.operations {
		m[id] = []echo.MiddlewareFunc{op.middleware}
	}
	return m
}

func (op *operation) middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := op.check(c); err != nil {
			return err
		}
		return next(c)
	}
}

// check looks at the parts of a request in the order in which they may be told:
// nothing of the contract to who has no key.
func (op *operation) check(c echo.Context) error {
	r := c.Request()
	if err := op.security.check(c, r.Header); err != nil {
		return err
	}
	if !acceptable(r.Header["Accept"], op.produces) {
		return notAcceptable(op.produces)
	}
	var f faults
	op.checkPath(c, &f)
	op.checkQuery(r.URL.RawQuery, &f)
	op.checkHeader(r.Header, &f)
	if err := op.checkBody(r, &f); err != nil {
		return err
	}
	return f.err()
}
