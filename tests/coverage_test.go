package tests

import (
	"flag"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// produced are the answers that all tests of this process have seen.
var produced answers

// answers are statuses by operationId.
type answers struct {
	mu   sync.Mutex
	seen map[string]map[int]bool
}

func (a *answers) note(operationID string, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[string]map[int]bool{}
	}
	if a.seen[operationID] == nil {
		a.seen[operationID] = map[int]bool{}
	}
	a.seen[operationID][status] = true
}

// missing are the answers of the document that are not among these, one a line:
// each operation must give what its own part of the document describes, and some
// operation what components/responses describes for many.
func (a *answers) missing(doc *openapi3.T) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var lines []string
	shared := map[string]bool{} // whether it was given
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				number, _ := strconv.Atoi(status) // 0 for "default", which is never given
				given := a.seen[op.OperationID][number]
				if response.Ref != "" {
					shared[response.Ref] = shared[response.Ref] || given
				} else if !given {
					lines = append(lines, op.OperationID+" never answered "+status)
				}
			}
		}
	}
	for response, given := range shared {
		if !given {
			lines = append(lines, "no operation ever answered as "+strings.TrimPrefix(response, "#/components/responses/"))
		}
	}
	slices.Sort(lines)
	return lines
}

// allTestsRan says whether the command line left none out.
func allTestsRan() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

func TestWhatNoTestSawIsNamed(t *testing.T) {
	doc := document(t)
	var some answers
	for id, op := range operations(t) {
		for status, response := range op.Responses.Map() {
			number, err := strconv.Atoi(status)
			require.NoError(t, err, "%s has a response for no status of its own", id)
			own, inProgress := response.Ref == "", strings.HasSuffix(response.Ref, "/InProgress")
			if id != "countSegment" && (own || inProgress || id == "getCampaign" && number != 503) {
				some.note(id, number)
			}
		}
	}
	require.Equal(t, []string{
		"countSegment never answered 200",
		"no operation ever answered as Conflict",
		"no operation ever answered as PayloadTooLarge",
		"no operation ever answered as PreconditionFailed",
		"no operation ever answered as Unavailable",
		"no operation ever answered as Unprocessable",
		"no operation ever answered as UnsupportedMediaType",
	}, some.missing(doc))
}
