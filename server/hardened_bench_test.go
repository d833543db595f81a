package server_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
)

// hardened is kin-openapi's validator as one would set it up with care: the
// operation is known from the route, formats are checked, and before it the
// query, the body's size and its JSON are, which it does not look at.
func hardened(doc *openapi3.T) *echo.Echo {
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, SkipSettingDefaults: true,
		RejectWhenRequestBodyNotSpecified: true,
		SchemaValidationOptions: []openapi3.SchemaValidationOption{
			openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
				"email": openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForEmail),
				"uuid":  openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC4122),
				"uri":   openapi3.NewCallbackValidator(func(text string) error { _, err := url.ParseRequestURI(text); return err }),
			}),
			openapi3.DisableSchemaErrorDetails(),
		},
	}
	checks := map[string][]echo.MiddlewareFunc{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			route := &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
			checks[op.OperationID] = []echo.MiddlewareFunc{checkedByKin(route, options)}
		}
	}
	e := echo.New()
	apiserver.RegisterHandlersWithOptions(e, apiserver.NewStrictHandler(fromMemory{}, nil), apiserver.RegisterHandlersOptions{OperationMiddlewares: checks})
	return e
}

func checkedByKin(route *routers.Route, options *openapi3filter.Options) echo.MiddlewareFunc {
	known := map[string]bool{}
	for _, p := range route.Operation.Parameters {
		known[p.Value.Name] = p.Value.In == "query"
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			query, err := url.ParseQuery(r.URL.RawQuery)
			if err != nil {
				return c.NoContent(http.StatusBadRequest)
			}
			for name, values := range query {
				if !known[name] || len(values) > 1 {
					return c.NoContent(http.StatusBadRequest)
				}
			}
			if r.ContentLength != 0 {
				data, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, 1<<20))
				if err != nil || !jsontext.Value(data).IsValid() {
					return c.NoContent(http.StatusBadRequest)
				}
				r.Body = io.NopCloser(bytes.NewReader(data))
			}
			params := map[string]string{}
			for _, name := range c.ParamNames() {
				params[name] = c.Param(name)
			}
			if err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
				Request: r, PathParams: params, QueryParams: query, Route: route, Options: options,
			}); err != nil {
				return c.String(http.StatusUnprocessableEntity, err.Error())
			}
			return next(c)
		}
	}
}
