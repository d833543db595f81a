// Package tests looks at the whole from outside: at openapi.yaml, at which
// package knows which, and at the running program through its generated client.
// It knows nothing that a user of the API could not know.
package tests

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/spec"
)

// The house rules of openapi.yaml. Each test is one of them.

var loaded = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromData(spec.YAML)
})

// document is openapi.yaml, loaded once for all tests, which only read it.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := loaded()
	require.NoError(t, err)
	return doc
}

// operation is one method of one path.
type operation struct {
	method, path string
	*openapi3.Operation
}

// operations are those of the document, by operationId.
func operations(t *testing.T) map[string]operation {
	t.Helper()
	all := map[string]operation{}
	for path, item := range document(t).Paths.Map() {
		for method, op := range item.Operations() {
			require.NotContains(t, all, op.OperationID, "operationId")
			all[op.OperationID] = operation{method, path, op}
		}
	}
	return all
}

// parameter finds one by its name; nil if there is none.
func (o operation) parameter(name string) *openapi3.Parameter {
	for _, p := range o.Parameters {
		if p.Value.Name == name {
			return p.Value
		}
	}
	return nil
}

// eachSchema calls f once with every schema that is written out in the document
// (not merely referred to) and its JSON pointer.
func eachSchema(t *testing.T, f func(at string, s *openapi3.Schema)) {
	t.Helper()
	const components = "/components/schemas/"
	for name, ref := range document(t).Components.Schemas {
		eachWithin(components+name, ref, f)
	}
	// The library's walk gives a component the pointer it first meets it by;
	// outside the components it meets only what is written there.
	require.NoError(t, document(t).WalkSchemas(func(at string, ref *openapi3.SchemaRef) error {
		if ref.Ref == "" && !strings.HasPrefix(at, components) {
			f(at, ref.Value)
		}
		return nil
	}))
}

// eachWithin calls f with a schema and those written out inside it.
func eachWithin(at string, ref *openapi3.SchemaRef, f func(at string, s *openapi3.Schema)) {
	if ref == nil || ref.Ref != "" {
		return
	}
	s := ref.Value
	f(at, s)
	for name, p := range s.Properties {
		eachWithin(at+"/properties/"+name, p, f)
	}
	eachWithin(at+"/items", s.Items, f)
	eachWithin(at+"/propertyNames", s.PropertyNames, f)
	eachWithin(at+"/additionalProperties", s.AdditionalProperties.Schema, f)
	for keyword, refs := range map[string]openapi3.SchemaRefs{"allOf": s.AllOf, "anyOf": s.AnyOf, "oneOf": s.OneOf} {
		for i, part := range refs {
			eachWithin(fmt.Sprintf("%s/%s/%d", at, keyword, i), part, f)
		}
	}
}

// namedSchema matches the pointer of a component, and of nothing inside it.
var namedSchema = regexp.MustCompile(`^/components/schemas/[^/]+$`)

func TestDocumentIsValidOpenAPI31(t *testing.T) {
	doc := document(t)
	require.Equal(t, "3.1.1", doc.OpenAPI)
	require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaPatternValidation()))
}

func TestEmbeddedCopyIsTheFile(t *testing.T) {
	file, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	require.True(t, bytes.Equal(file, spec.YAML), "run make generate")
}

func TestFileIsWrittenInBlockStyleWithoutAnchors(t *testing.T) {
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal(spec.YAML, &root))
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		require.Empty(t, n.Anchor, "line %d: some tools do not read anchors", n.Line)
		if len(n.Content) > 0 {
			require.Zero(t, n.Style&yaml.FlowStyle, "line %d: flow style", n.Line)
		}
		for _, c := range n.Content {
			look(c)
		}
	}
	look(&root)
}

func TestOperationsAreDescribed(t *testing.T) {
	known := map[string]bool{}
	for _, tag := range document(t).Tags {
		require.NotEmpty(t, tag.Description, tag.Name)
		known[tag.Name] = true
	}
	for id, op := range operations(t) {
		require.Regexp(t, `^[a-z]+([A-Z][a-z]+)+$`, id, "a verb and a noun")
		require.NotEmpty(t, op.Summary, id)
		require.NotEmpty(t, op.Description, id)
		require.Len(t, op.Tags, 1, id)
		require.True(t, known[op.Tags[0]], "%s: tag %s", id, op.Tags[0])
		for _, p := range op.Parameters {
			require.NotEmpty(t, p.Value.Description, "%s: %s", id, p.Value.Name)
		}
	}
}

func TestOperationsNameTheirScopesForBothKindsOfKey(t *testing.T) {
	scopes := []string{
		"campaigns:read", "campaigns:write", "campaigns:send",
		"audience:read", "audience:write", "templates:read", "templates:write",
	}
	for id, op := range operations(t) {
		require.NotNil(t, op.Security, id)
		require.Len(t, *op.Security, 2, id)
		byHeader, byBearer := (*op.Security)[0]["apiKey"], (*op.Security)[1]["bearer"]
		require.NotEmpty(t, byHeader, id)
		require.Equal(t, byHeader, byBearer, id)
		require.Subset(t, scopes, byHeader, id)
		reads := slices.ContainsFunc(byHeader, func(s string) bool { return strings.HasSuffix(s, ":read") })
		require.Equal(t, op.method == http.MethodGet, reads, "%s: only a GET makes do with reading", id)
	}
}

func TestOperationsDeclareTheErrorsTheyGive(t *testing.T) {
	for id, op := range operations(t) {
		expected := []string{"400", "401", "403", "406", "429", "500", "503"}
		if strings.Contains(op.path, "{") {
			expected = append(expected, "404")
		}
		if op.RequestBody != nil {
			expected = append(expected, "413", "415", "422")
		}
		success := 0
		for status, r := range op.Responses.Map() {
			for _, header := range []string{"X-Request-Id", "X-Orbit-Env", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
				require.Contains(t, r.Value.Headers, header, "%s %s", id, status)
			}
			if strings.HasPrefix(status, "2") {
				success++
				continue
			}
			require.Equal(t, "#/components/schemas/ErrorEnvelope", r.Value.Content["application/json"].Schema.Ref, "%s %s", id, status)
			require.Equal(t, "#/components/schemas/Problem", r.Value.Content["application/problem+json"].Schema.Ref, "%s %s", id, status)
		}
		require.Equal(t, 1, success, "%s: one way to succeed", id)
		for _, status := range expected {
			require.NotNil(t, op.Responses.Value(status), "%s %s", id, status)
		}
	}
}

func TestCallsThatChangeSomethingMayBeRepeated(t *testing.T) {
	for id, op := range operations(t) {
		require.Equal(t, op.method == http.MethodPost, op.parameter("Idempotency-Key") != nil, id)
		if op.method != http.MethodPost {
			continue
		}
		require.NotNil(t, op.Responses.Value("409"), id)
		for status, r := range op.Responses.Map() {
			if strings.HasPrefix(status, "2") {
				require.Contains(t, r.Value.Headers, "Idempotent-Replayed", id)
			}
		}
	}
}

func TestChangesOfACampaignTakeItsETag(t *testing.T) {
	for id, op := range operations(t) {
		one := strings.HasPrefix(op.path, "/v1/campaigns/{id}")
		changes := one && op.method != http.MethodGet
		require.Equal(t, changes, op.parameter("If-Match") != nil, id)
		require.Equal(t, changes, op.Responses.Value("412") != nil, id)
		if ok := op.Responses.Value("200"); one && ok != nil && op.path != "/v1/campaigns/{id}/messages" {
			require.Contains(t, ok.Value.Headers, "ETag", id)
		}
	}
}

func TestOperationsSayHowOftenTheyMayBeCalled(t *testing.T) {
	for id, op := range operations(t) {
		limit, ok := op.Extensions["x-rate-limit"].(map[string]any)
		require.True(t, ok, id)
		require.Len(t, limit, 2, id)
		require.GreaterOrEqual(t, limit["requests"], 1.0, id)
		require.GreaterOrEqual(t, limit["seconds"], 1.0, id)
	}
}

func TestAnswersAreEnvelopes(t *testing.T) {
	for id, op := range operations(t) {
		for status, r := range op.Responses.Map() {
			if status == "204" {
				require.Empty(t, r.Value.Content, id)
				continue
			}
			schema := r.Value.Content["application/json"].Schema
			require.NotEmpty(t, schema.Ref, "%s %s: the Go client wants a name", id, status)
			require.Contains(t, schema.Value.Required, "meta", "%s %s", id, status)
			if strings.HasPrefix(status, "2") {
				require.Contains(t, schema.Value.Required, "data", id)
			}
		}
	}
}

func TestListingsArePaged(t *testing.T) {
	for id, op := range operations(t) {
		ok := op.Responses.Value("200")
		if ok == nil {
			continue
		}
		answer := ok.Value.Content["application/json"].Schema.Value
		if !answer.Properties["data"].Value.Type.Is("array") {
			continue
		}
		require.True(t, strings.HasPrefix(id, "list"), id)
		require.NotNil(t, op.parameter("cursor"), id)
		require.NotNil(t, op.parameter("limit"), id)
		require.Equal(t, "#/components/schemas/PageMeta", answer.Properties["meta"].Ref, id)
	}
}

func TestQueryArraysAreRepeatedParameters(t *testing.T) {
	for id, op := range operations(t) {
		for _, p := range op.Parameters {
			require.Empty(t, p.Value.Style, "%s: %s: clients agree on the default style alone", id, p.Value.Name)
			require.Nil(t, p.Value.Explode, "%s: %s", id, p.Value.Name)
		}
	}
}

func TestRequestsRefuseUnknownFields(t *testing.T) {
	for id, op := range operations(t) {
		if op.RequestBody == nil {
			continue
		}
		for _, media := range op.RequestBody.Value.Content {
			requireClosed(t, id, media.Schema, map[*openapi3.Schema]bool{})
		}
	}
}

// requireClosed holds every object within the schema to a closed set of fields,
// or to bounded names of its own.
func requireClosed(t *testing.T, at string, ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) {
	t.Helper()
	if ref == nil || seen[ref.Value] {
		return
	}
	s := ref.Value
	seen[s] = true
	if s.Type.Includes("object") {
		more := s.AdditionalProperties
		closed := more.Has != nil && !*more.Has
		bounded := more.Schema != nil && s.PropertyNames != nil && s.MaxProps != nil
		require.True(t, closed || bounded, "%s: %s is open", at, ref.Ref)
		requireClosed(t, at, more.Schema, seen)
	}
	requireClosed(t, at, s.Items, seen)
	for name, p := range s.Properties {
		requireClosed(t, at+"/"+name, p, seen)
	}
	for _, p := range slices.Concat(s.AnyOf, s.OneOf, s.AllOf) {
		requireClosed(t, at, p, seen)
	}
}

func TestStringsNumbersAndArraysAreBounded(t *testing.T) {
	eachSchema(t, func(at string, s *openapi3.Schema) {
		if s.Type == nil {
			return
		}
		if s.Type.Includes("string") && s.Enum == nil && s.Format != "date-time" {
			require.NotNil(t, s.MaxLength, at)
		}
		if s.Type.Includes("integer") || s.Type.Includes("number") {
			require.NotNil(t, s.Min, at)
			require.NotNil(t, s.Max, at)
		}
		if s.Type.Includes("array") {
			require.NotNil(t, s.MaxItems, at)
		}
	})
}

func TestFormatsAreOnesThatAreChecked(t *testing.T) {
	eachSchema(t, func(at string, s *openapi3.Schema) {
		require.Contains(t, []string{"", "date-time", "date", "email", "uri", "uuid", "int64"}, s.Format, at)
	})
}

func TestTypesAreSaid(t *testing.T) {
	eachSchema(t, func(at string, s *openapi3.Schema) {
		require.True(t, s.Type != nil || s.AnyOf != nil || strings.HasSuffix(at, "/propertyNames"), at)
		require.False(t, s.Nullable, "%s: say type: [T, 'null']", at)
	})
}

func TestEnumsMayGrow(t *testing.T) {
	eachSchema(t, func(at string, s *openapi3.Schema) {
		if s.Enum != nil {
			require.Equal(t, true, s.Extensions["x-extensible-enum"], at)
		}
	})
}

func TestAlternativesAreNullOrToldApart(t *testing.T) {
	eachSchema(t, func(at string, s *openapi3.Schema) {
		require.Nil(t, s.AllOf, at)
		if s.OneOf != nil {
			require.NotNil(t, s.Discriminator, at)
			require.Len(t, s.Discriminator.Mapping, len(s.OneOf), at)
		}
		if s.AnyOf != nil {
			require.Len(t, s.AnyOf, 2, at)
			require.NotEmpty(t, s.AnyOf[0].Ref, at)
			require.True(t, s.AnyOf[1].Value.Type.Is("null"), at)
		}
	})
}

func TestEnumsIDsAndObjectsHaveNames(t *testing.T) {
	eachSchema(t, func(at string, s *openapi3.Schema) {
		if s.Enum != nil || len(s.Properties) > 0 {
			require.Regexp(t, namedSchema, at, "generated code names it after its place otherwise")
		}
		require.False(t, strings.HasSuffix(at, "/properties/id"), "%s: an id is a component of its own", at)
	})
}

func TestSchemasAreDescribed(t *testing.T) {
	eachSchema(t, func(at string, s *openapi3.Schema) {
		isProperty := regexp.MustCompile(`/properties/[^/]+$`).MatchString(at)
		if isProperty || namedSchema.MatchString(at) {
			require.NotEmpty(t, s.Description, at)
		}
	})
}

// TestNamesAreNoKeywords keeps generated clients from renaming fields.
func TestNamesAreNoKeywords(t *testing.T) {
	python := strings.Fields("and as assert async await class continue def del elif else except finally for from global if import in is lambda nonlocal or pass raise return try while with yield")
	eachSchema(t, func(at string, s *openapi3.Schema) {
		for name := range s.Properties {
			if at != "/components/schemas/Rule" { // all, any and not are the words of the rule language
				require.NotContains(t, append(python, "not"), name, at)
			}
			require.Regexp(t, `^[a-z][a-z0-9_]*$`, name, at)
		}
	})
}

// TestRoutesAreTheOperations asks the generated routes which operation each
// request reaches, and so that operation middleware is keyed as in the document.
func TestRoutesAreTheOperations(t *testing.T) {
	all := operations(t)
	named := map[string][]echo.MiddlewareFunc{}
	for id := range all {
		named[id] = []echo.MiddlewareFunc{func(echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { return c.String(http.StatusOK, id) }
		}}
	}
	e := echo.New()
	apiserver.RegisterHandlersWithOptions(e, nil, apiserver.RegisterHandlersOptions{OperationMiddlewares: named})
	require.Len(t, e.Routes(), len(all))
	for id, op := range all {
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, httptest.NewRequest(op.method, strings.NewReplacer("{", "", "}", "").Replace(op.path), nil))
		require.Equal(t, id, rec.Body.String(), "%s %s", op.method, op.path)
	}
}
