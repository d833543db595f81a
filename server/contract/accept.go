package contract

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const problemJSON = "application/problem+json"

// produces are the media types of an operation's answers, in lower case and
// without parameters. An error may always come as application/problem+json.
func produces(src *openapi3.Operation) []string {
	var list []string
	for _, response := range src.Responses.Map() {
		for name := range response.Value.Content {
			name, _, _ = strings.Cut(strings.ToLower(name), ";")
			list = append(list, strings.TrimSpace(name))
		}
	}
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	return slices.Compact(append(list, problemJSON))
}

// acceptable says whether a request takes one of the media types, by the rules
// of RFC 9110, section 12.5.1: for each of them the most specific range of the
// Accept header decides, and q=0 excludes.
func acceptable(accept, produces []string) bool {
	if len(accept) == 0 || len(produces) == 0 || len(accept) == 1 && (accept[0] == "*/*" || accept[0] == "") {
		return true
	}
	ranges := strings.Split(strings.Join(accept, ","), ",")
	return slices.ContainsFunc(produces, func(mediaType string) bool {
		best, wanted := -1, false
		for _, r := range ranges {
			name, parameters, _ := strings.Cut(r, ";")
			if fit := specificity(strings.TrimSpace(name), mediaType); fit > best {
				best, wanted = fit, !excluded(parameters)
			}
		}
		return wanted
	})
}

// specificity is how specifically a media range names a media type; -1: not at all.
func specificity(mediaRange, mediaType string) int {
	family, _, _ := strings.Cut(mediaType, "/")
	switch {
	case strings.EqualFold(mediaRange, mediaType):
		return 2
	case strings.EqualFold(mediaRange, family+"/*"):
		return 1
	case mediaRange == "*/*":
		return 0
	}
	return -1
}

// excluded says whether a range's parameters set a quality of zero.
func excluded(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			return err == nil && q <= 0
		}
	}
	return false
}

func notAcceptable(produces []string) error {
	r := must("accept", "allow", "one of: "+strings.Join(produces, ", "), codeNotAcceptable)
	return refuse(http.StatusNotAcceptable, codeNotAcceptable, inHeader, "Accept", r)
}
