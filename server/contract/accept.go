package contract

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const problemJSON = "application/problem+json"

// produces are the media types, in lower case and without parameters, one of
// which a request must take: those of the operation's success, or, where success
// has no body, those of its errors. A request may also ask for no more than that
// errors come as application/problem+json; success then comes as it does.
func produces(src *openapi3.Operation) []string {
	var success, failure []string
	for status, response := range src.Responses.Map() {
		list := &failure
		if strings.HasPrefix(status, "2") {
			list = &success
		}
		for name := range response.Value.Content {
			name, _, _ = strings.Cut(strings.ToLower(name), ";")
			*list = append(*list, strings.TrimSpace(name))
		}
	}
	list := success
	if len(list) == 0 {
		list = failure
	}
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	return slices.Compact(append(list, problemJSON))
}

// acceptable says whether a request takes one of the media types.
func acceptable(accept, produces []string) bool {
	if len(accept) == 0 || len(produces) == 0 || len(accept) == 1 && (accept[0] == "*/*" || accept[0] == "") {
		return true
	}
	return slices.ContainsFunc(produces, func(mediaType string) bool {
		q, _ := quality(accept, mediaType)
		return q > 0
	})
}

// PrefersProblem says whether a request's Accept header asks for its errors as
// application/problem+json: by that name, and for application/json by its own
// name less, or not at all.
func PrefersProblem(accept []string) bool {
	problem, fit := quality(accept, problemJSON)
	plain, plainFit := quality(accept, "application/json")
	return fit == exactly && problem > 0 && (problem > plain || problem == plain && plainFit < exactly)
}

// quality is how much a request wants a media type, from 0, not at all, to 1, and
// how specifically it says so. By RFC 9110, section 12.5.1, the most specific
// range of the Accept header decides.
func quality(accept []string, mediaType string) (q float64, fit int) {
	fit = -1
	for _, line := range accept {
		for r := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(r, ";")
			if f := specificity(strings.TrimSpace(name), mediaType); f > fit {
				fit, q = f, weight(parameters)
			}
		}
	}
	return q, fit
}

// exactly is the specificity of a range that is the media type itself.
const exactly = 2

// specificity is how specifically a media range names a media type; -1: not at all.
func specificity(mediaRange, mediaType string) int {
	family, _, _ := strings.Cut(mediaType, "/")
	switch {
	case strings.EqualFold(mediaRange, mediaType):
		return exactly
	case strings.EqualFold(mediaRange, family+"/*"):
		return 1
	case mediaRange == "*/*":
		return 0
	}
	return -1
}

// weight is the quality that a range's parameters set: 1 if they set none.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			if q, err := strconv.ParseFloat(value, 64); err == nil {
				return q
			}
		}
	}
	return 1
}

func notAcceptable(produces []string) error {
	r := must("accept", "allow", "one of: "+strings.Join(produces, ", "), codeNotAcceptable)
	return refuse(http.StatusNotAcceptable, codeNotAcceptable, inHeader, "Accept", r)
}
