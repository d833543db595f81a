package tests

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// attempt is a request as it stands on the wire, right or wrong.
type attempt struct {
	path, query, body string
	header            http.Header
	chunked           bool // the body's length is not announced
}

// wrong is an attempt that has to be refused before its operation sees it.
type wrong struct {
	attempt
	why    string
	status int
	code   types.ErrorCode
	faults []string // every one, as "location field"
}

// wrongly is a wrong attempt with one fault.
func wrongly(why string, a attempt, status int, code types.ErrorCode, fault string) wrong {
	return wrong{a, why, status, code, []string{fault}}
}

// attempt sends it.
func (a *api) attempt(method string, what attempt) answer {
	a.t.Helper()
	var body io.Reader = strings.NewReader(what.body)
	if what.chunked {
		body = io.MultiReader(body) // hides the length
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+what.path, body)
	require.NoError(a.t, err)
	r.URL.RawQuery = strings.ReplaceAll(what.query, "{key}", a.key)
	r.Header = what.header.Clone()
	r.Header.Set("X-API-Key", a.key)
	return read(a.Client.Client.Do(r))
}

// right is the request that the attempts at an operation are made of: the
// document's own example, of what exists, or of what does not.
func right(op operation, ids map[string]string) attempt {
	path := op.path
	for _, p := range op.Parameters {
		if p.Value.In == "path" {
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", ids[p.Value.Schema.Ref])
		}
	}
	a := attempt{path: path, header: http.Header{}}
	if op.RequestBody != nil {
		mediaType := slices.Sorted(maps.Keys(op.RequestBody.Value.Content))[0]
		examples := op.RequestBody.Value.Content[mediaType].Examples
		a.header.Set("Content-Type", mediaType)
		a.body = asText(examples[slices.Sorted(maps.Keys(examples))[0]].Value.Value)
	}
	return a
}

// with is the same with a header in addition, or several of one name.
func (a attempt) with(name string, values ...string) attempt {
	a.header = a.header.Clone()
	a.header[name] = values
	return a
}

func (a attempt) asking(query string) attempt {
	a.query = query
	return a
}

func (a attempt) saying(body string) attempt {
	a.body = body
	return a
}

// TestEveryOperationRefusesWhatItsDocumentDoesNotAllow makes the requests that a
// careless client makes, of each operation and each of its parameters, fields and
// headers, and finds everything as it was.
func TestEveryOperationRefusesWhatItsDocumentDoesNotAllow(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		key := store.KeyOptions{Account: s.account("Acme"), Mode: store.Test}
		a := s.api(key)
		own := a.oneOfEach()
		before := a.everything()
		sent := 0
		for id, op := range operations(t) {
			base := right(op, own)
			for _, wrongs := range [][]wrong{wrongQueries(op, base), wrongPaths(op, base), wrongHeaders(op, base), wrongBodies(t, op, base)} {
				caller := s.api(key) // a new one, since calls are limited
				for _, w := range wrongs {
					said := id + ": " + w.why + "\n" + w.query + "\n" + w.body[:min(len(w.body), 500)]
					got := caller.attempt(op.method, w.attempt)
					require.NoError(t, got.err, said)
					require.Equal(t, w.status, got.status, "%s\n%s", said, got.body)
					e := refused(t, w.status, got)
					require.Equal(t, w.code, e.Code, "%s\n%s", said, got.body)
					require.Equal(t, w.faults, slices.Compact(faultsOf(e)), said) // a text may break several rules
					require.NotContains(t, string(got.body), caller.key)
					sent++
				}
			}
		}
		t.Logf("%d requests, all refused", sent)
		require.Equal(t, before, a.everything(), "something was done")
	})
}

// TestFileAnnouncedTooLargeIsNotSent asks before it sends, and is told not to.
func TestFileAnnouncedTooLargeIsNotSent(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.api(store.KeyOptions{Account: s.account("Acme")})
		limit := int64(operations(t)["createImport"].Extensions["x-max-body-bytes"].(float64))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/imports", unread{t})
		require.NoError(t, err)
		r.ContentLength = limit + 1
		r.Header = http.Header{"X-Api-Key": {a.key}, "Content-Type": {"text/csv"}, "Expect": {"100-continue"}}
		client := http.DefaultTransport.(*http.Transport).Clone()
		client.ExpectContinueTimeout = patience
		e := refused(t, http.StatusRequestEntityTooLarge, read(client.RoundTrip(r)))
		require.Equal(t, types.ErrorCodePAYLOADTOOLARGE, e.Code)
		require.Equal(t, []string{"body "}, faultsOf(e))
	})
}

// unread is a body that must stay so.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was sent")
	return 0, http.ErrBodyNotAllowed
}

// wrongQueries are those of which the query is wrong.
func wrongQueries(op operation, base attempt) (all []wrong) {
	bad := func(why, query, name string) {
		all = append(all, wrongly(why, base.asking(query), 400, "VALIDATION_ERROR", "query "+name))
	}
	bad("unknown parameter", "nobody_knows=1", "nobody_knows")
	bad("unknown parameter without a value", "nobody_knows", "nobody_knows")
	bad("the key where it does not belong", "api_key={key}", "api_key")
	bad("bad escape in a name", "%zz=1", "%zz")
	bad("bad escape in a value", "nobody_knows=%zz", "nobody_knows")
	bad("escape that is cut off", "nobody_knows=%a", "nobody_knows")
	bad("semicolon", "a;nobody_knows=1", "a;nobody_knows")
	for _, p := range op.Parameters {
		if p.Value.In != "query" {
			continue
		}
		name, s := p.Value.Name, p.Value.Schema.Value
		first := url.QueryEscape(wellFormed(s))
		bad("name in the wrong case", strings.ToUpper(name)+"="+first, strings.ToUpper(name))
		bad("bad escape", name+"=%zz", name)
		bad("semicolon in a value", name+"="+first+";a", name)
		bad("given twice", name+"="+first+"&"+name+"="+first, name)
		bad("given twice, the second one bad", name+"="+first+"&"+name+"=%00", name)
		for why, text := range wrongTexts(s) {
			all = append(all, wrongly(why, base.asking(name+"="+url.QueryEscape(text)), 400, codeOf(s), "query "+name))
		}
	}
	all = append(all, wrong{base.asking("b=1&%zz&a"), "several faults", 400, "VALIDATION_ERROR", []string{"query b", "query %zz", "query a"}})
	return all
}

// wellFormed is a text that fits the schema of a parameter.
func wellFormed(s *openapi3.Schema) string {
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0].(string)
	case s.Type.Is("integer"):
		return "7"
	}
	return s.Examples[0].(string)
}

// codeOf is the code that a schema names for its values.
func codeOf(s *openapi3.Schema) types.ErrorCode {
	if code, named := s.Extensions["x-error-code"].(string); named {
		return types.ErrorCode(code)
	}
	return "VALIDATION_ERROR"
}

// wrongTexts are texts that a parameter of the schema does not take, by what is
// wrong with them.
func wrongTexts(s *openapi3.Schema) map[string]string {
	texts := map[string]string{"NUL": "a\x00", "bad UTF-8": "a\xff"}
	switch {
	case s.Type.Is("integer"):
		for _, text := range []string{"", "five", "5.0", "1e1", "+5", "05", " 5", "0x5", "99999999999999999999"} {
			texts["no integer: "+text] = text
		}
		texts["below the minimum"], texts["above the maximum"] = fmt.Sprint(int(*s.Min)-1), fmt.Sprint(int(*s.Max)+1)
	case len(s.Enum) > 0:
		texts["none of the enum"], texts["enum in the wrong case"], texts["several at once"] = "nobody_knows", strings.ToUpper(s.Enum[0].(string)), s.Enum[0].(string)+","+s.Enum[1].(string)
		texts["empty"] = ""
	case s.Format == "date-time":
		for _, text := range []string{"", "yesterday", "2026-02-30T09:00:00Z", "2026-03-15T09:00:00", "2026-03-15", "2026-03-15T09:00:00 01:00", "2026-03-15T24:00:00Z", "1773565200"} {
			texts["no time: "+text] = text
		}
	default:
		texts["too long"] = strings.Repeat("é", int(*s.MaxLength)+1)
	}
	if s.Pattern != "" {
		texts["against the pattern"] = "\n"
	}
	return texts
}

// wrongPaths are those of which an id in the path is wrong.
func wrongPaths(op operation, base attempt) (all []wrong) {
	var faults []string
	several := base
	for _, p := range op.Parameters {
		if p.Value.In != "path" {
			continue
		}
		id := strings.Split(base.path, "/")[slices.Index(strings.Split(op.path, "/"), "{"+p.Value.Name+"}")]
		prefix, _, _ := strings.Cut(id, "_")
		for _, text := range []string{
			"nonsense", "xyz_abc123", prefix + "_", prefix + "_" + strings.Repeat("a", 65), strings.ToUpper(id),
			id + "%00", id + "%ff", id + "%20", id + "%2F", id + "%2Fstats", "%2561" + id, id + "'--", "..%2F" + id,
		} {
			wrongID := base
			wrongID.path = strings.Replace(base.path, id, text, 1)
			all = append(all, wrongly("bad id "+text, wrongID, 400, "VALIDATION_ERROR", "path "+p.Value.Name))
		}
		several.path = strings.Replace(several.path, id, "nonsense", 1)
		faults = append(faults, "path "+p.Value.Name)
	}
	if len(faults) > 0 {
		all = append(all, wrong{several.asking("a=1"), "bad path and query", 400, "VALIDATION_ERROR", append(faults, "query a")})
	}
	return all
}

// wrongHeaders are those of which a header is wrong.
func wrongHeaders(op operation, base attempt) (all []wrong) {
	for _, accept := range []string{"text/html", "image/*, text/plain", "application/xml", "application/json;q=0", "*/*;q=0"} {
		all = append(all, wrongly("Accept: "+accept, base.with("Accept", accept), 406, "NOT_ACCEPTABLE", "header Accept"))
	}
	for _, p := range op.Parameters {
		if p.Value.In != "header" {
			continue
		}
		name, s := http.CanonicalHeaderKey(p.Value.Name), p.Value.Schema.Value
		bad := func(why string, values ...string) {
			all = append(all, wrongly(why, base.with(name, values...), 400, codeOf(s), "header "+p.Value.Name))
		}
		bad("header given twice", wellFormed(s), wellFormed(s))
		bad("header given twice, the second one bad", wellFormed(s), "")
		bad("empty header", "")
		bad("header too long", strings.Repeat("a", int(*s.MaxLength)+1))
		bad("header that is not ASCII", "\"ä\"")
		bad("header of bad UTF-8", "a\xff")
	}
	return all
}
