package contract

import (
	"fmt"
	"strings"
)

// The codes of contract violations. A schema may name a further one for its
// values with the extension x-error-code.
const (
	codeValidation       = "VALIDATION_ERROR"
	codeMissingField     = "MISSING_REQUIRED_FIELD"
	codeInvalidEmail     = "INVALID_EMAIL"
	codeUnauthorized     = "UNAUTHORIZED"
	codeInvalidKey       = "INVALID_API_KEY"
	codeNotAcceptable    = "NOT_ACCEPTABLE"
	codePayloadTooLarge  = "PAYLOAD_TOO_LARGE"
	codeUnsupportedMedia = "UNSUPPORTED_MEDIA_TYPE"
)

// Where a Problem lies.
const (
	inPath   = "path"
	inQuery  = "query"
	inHeader = "header"
	inBody   = "body"
)

// Violation says how a request breaks the contract. It is an error for Echo's
// error handler, which writes the answer.
//
// Status is 401, 406, 413 or 415 for a fault that ends the check at once;
// otherwise 400 if any fault lies outside the body's schema and 422 if all are
// breaches of it. Code is the problem's own where there is one problem, and
// VALIDATION_ERROR where there are several. At most 20 problems are listed.
type Violation struct {
	Status   int
	Code     string
	Problems []Problem
}

// Error sums the violation up in one line. It holds no value of the request.
func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", v.Status, v.Code)
	separator := ": "
	for _, p := range v.Problems {
		b.WriteString(separator + strings.TrimRight(p.In+" "+p.Field, " ") + " " + p.Message)
		separator = "; "
	}
	return b.String()
}

// Problem is one fault of a request.
type Problem struct {
	In       string // path, query, header or body
	Field    string // parameter or header name; in a body the JSON pointer, "" for the whole
	Rule     string // the keyword of the schema that is broken, or a word such as "syntax"
	Message  string // what is asked, to be read after the field: "must be one of: sms, email"
	Value    any    // nil, or the value sent as a string of at most 100 characters; never a secret
	Expected string // what is asked, alone: "one of: sms, email"; may be ""
	Code     string // the code of the answer, were this the only problem
}

// refuse is a Violation that ends the check at once, for one reason.
func refuse(status int, code, in, field string, r rule) *Violation {
	return &Violation{status, code, []Problem{{in, field, r.keyword, r.message, nil, r.expected, code}}}
}
