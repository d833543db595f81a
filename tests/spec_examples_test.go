package tests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/campaigns-api/campaigns/gen/spec"
	"github.com/campaigns-api/campaigns/gen/types"
)

// oracle is a second opinion on what a schema of the document says: a JSON
// Schema library that knows nothing of OpenAPI, with formats asserted.
type oracle struct {
	*jsonschema.Compiler
	doc any // openapi.yaml as JSON
}

func newOracle(t *testing.T) oracle {
	t.Helper()
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal(spec.YAML, &tree))
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	doc := plainJSON(t, tree)
	require.NoError(t, c.AddResource("openapi.json", doc))
	return oracle{c, doc}
}

// plainJSON is a value as a JSON parser gives it.
func plainJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	plain, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	require.NoError(t, err)
	return plain
}

// accepts fails the test unless the schema at the JSON pointer accepts the value.
func (o oracle) accepts(t *testing.T, pointer string, value any) {
	t.Helper()
	schema, err := o.Compile("openapi.json#" + (&url.URL{Path: pointer}).EscapedPath())
	require.NoError(t, err, pointer)
	require.NoError(t, schema.Validate(plainJSON(t, value)), pointer)
}

// pointer joins the steps of a JSON pointer.
func pointer(steps ...string) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(s))
	}
	return b.String()
}

func TestExamplesOfSchemasFitThem(t *testing.T) {
	o := newOracle(t)
	eachSchema(t, func(at string, s *openapi3.Schema) {
		require.Nil(t, s.Example, "%s: 3.1 says examples", at)
		for _, example := range s.Examples {
			o.accepts(t, at, example)
		}
		if s.Default != nil {
			o.accepts(t, at, s.Default)
		}
	})
}

// TestLeavesHaveExamples asks one of each value that is not made of others.
func TestLeavesHaveExamples(t *testing.T) {
	eachSchema(t, func(at string, s *openapi3.Schema) {
		leaf := s.Type != nil && !s.Type.Is("object") && !s.Type.Is("array") && !s.Type.Is("null")
		inside := strings.HasSuffix(at, "/propertyNames") || strings.HasSuffix(at, "/additionalProperties") ||
			strings.Contains(at, "/requestBody/") // its media type has examples
		if leaf && !inside {
			require.NotEmpty(t, s.Examples, at)
		}
	})
}

func TestBodiesHaveExamplesThatFit(t *testing.T) {
	o := newOracle(t)
	look := func(at string, content openapi3.Content) {
		for name, media := range content {
			require.NotEmpty(t, media.Examples, "%s %s", at, name)
			for title, example := range media.Examples {
				require.NotEmpty(t, example.Value.Summary, "%s %s", at, title)
				o.accepts(t, at+pointer("content", name, "schema"), example.Value.Value)
			}
		}
	}
	for _, op := range operations(t) {
		at := pointer("paths", op.path, strings.ToLower(op.method))
		if op.RequestBody != nil {
			look(at+"/requestBody", op.RequestBody.Value.Content)
		}
		for status, r := range op.Responses.Map() {
			if r.Ref == "" {
				look(at+pointer("responses", status), r.Value.Content)
			}
		}
	}
	for name, r := range document(t).Components.Responses {
		look(pointer("components", "responses", name), r.Value.Content)
	}
}

// TestExamplesOfErrorsStandAtTheirStatus keeps the samples of an error answer
// from contradicting the answer they stand in.
func TestExamplesOfErrorsStandAtTheirStatus(t *testing.T) {
	for id, op := range operations(t) {
		for status, r := range op.Responses.Map() {
			if r.Ref == "" {
				continue
			}
			for title, example := range r.Value.Content["application/json"].Examples {
				answer := plainJSON(t, example.Value.Value).(map[string]any)["error"].(map[string]any)
				require.Equal(t, status, fmt.Sprint(answer["status"]), "%s: %s", id, title)
			}
		}
	}
}

// TestExamplesOfProgressAddUp holds the samples to the promise of Progress.
func TestExamplesOfProgressAddUp(t *testing.T) {
	found := 0
	for title, example := range operations(t)["getCampaign"].Responses.Value("200").Value.Content["application/json"].Examples {
		data := example.Value.Value.(map[string]any)["data"].(map[string]any)
		p := data["progress"].(map[string]any)
		skipped := p["skipped"].(map[string]any)
		require.Equal(t, sum(skipped, "total"), sum(skipped, "no_address", "opted_out", "deleted"), title)
		parts := sum(p, "queued", "sent", "delivered", "failed", "unknown", "cancelled")
		require.Equal(t, sum(p, "total"), parts+sum(skipped, "total"), title)
		for _, v := range asSlice(p["variants"]) {
			variant := v.(map[string]any)
			require.Equal(t, sum(variant, "total"), sum(variant, "queued", "sent", "delivered", "failed", "unknown", "skipped", "cancelled"), title)
		}
		found++
	}
	require.Positive(t, found)
}

func sum(counts map[string]any, names ...string) (total int) {
	for _, name := range names {
		total += int(counts[name].(float64))
	}
	return total
}

// asSlice is nil for a field that is absent.
func asSlice(v any) []any {
	s, _ := v.([]any)
	return s
}

// TestExamplesOfRequestsSucceed sends each one to the server, in an account of its
// own that has what the examples name.
func TestExamplesOfRequestsSucceed(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		sent := 0
		for id, op := range operations(t) {
			if op.RequestBody == nil {
				continue
			}
			for mediaType, media := range op.RequestBody.Value.Content {
				for title, example := range media.Examples {
					a := s.tester()
					own := a.ownSamples()
					path := own.Replace(op.at())
					got := a.do(op.method, path, own.Replace(bodyOf(t, example.Value.Value)), "Content-Type: "+mediaType)
					require.Less(t, got.status, 300, "%s: %s: %s", id, title, got.body)
					sent++
				}
			}
		}
		require.Positive(t, sent)
	})
}

// TestExamplesOfQueriesSucceed asks with all the parameters that an operation
// takes, but for the cursor, which only the server can make.
func TestExamplesOfQueriesSucceed(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		own := a.ownSamples()
		for id, op := range operations(t) {
			if op.method != http.MethodGet {
				continue
			}
			query := url.Values{}
			for _, p := range op.Parameters {
				if p.Value.In == "query" && p.Value.Name != "cursor" {
					query.Set(p.Value.Name, fmt.Sprint(p.Value.Schema.Value.Examples[0]))
				}
			}
			got := a.do(op.method, own.Replace(op.at())+"?"+query.Encode(), "")
			require.Equal(t, http.StatusOK, got.status, "%s: %s", id, got.body)
		}
	})
}

// at is the operation's path with the document's samples in it.
func (o operation) at() string {
	path := o.path
	for _, p := range o.Parameters {
		if p.Value.In == "path" {
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", p.Value.Schema.Value.Examples[0].(string))
		}
	}
	return path
}

// bodyOf is an example as it is sent: a file as it is, all else as JSON.
func bodyOf(t *testing.T, example any) string {
	t.Helper()
	if file, isText := example.(string); isText {
		return file
	}
	text, err := json.Marshal(example)
	require.NoError(t, err)
	return string(text)
}

// ownSamples makes what the examples name and puts its ids in place of theirs.
func (a *api) ownSamples() *strings.Replacer {
	a.t.Helper()
	own := a.oneOfEach()
	other := a.newContact(types.ContactCreate{ExternalID: p("other")}).ID
	mail := want[types.TemplateEnvelope](a.t, http.StatusCreated, read(a.CreateTemplate(a.t.Context(),
		types.TemplateCreate{Name: "Mine", Channel: types.ChannelEmail, Body: "Hi"}))).Data.ID
	const schemas = "#/components/schemas/"
	return strings.NewReplacer(
		"con_abc123", own["contact"], "con_def456", other, "tpl_abc123", mail,
		"lst_abc123", own[schemas+"ListID"], "seg_abc123", own[schemas+"SegmentID"],
		"cmp_abc123", own[schemas+"CampaignID"], "imp_abc123", own[schemas+"ImportID"],
	)
}
