package server

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// errorMeanings say what each code means, for the pages that docs_url leads to.
var errorMeanings = map[string]string{
	"VALIDATION_ERROR":         "The request is malformed (400), or its JSON body breaks the schema or a rule (422). The answer's errors list every fault with its place; nothing was stored.",
	"INVALID_CURSOR":           "The cursor is not one that this list gave out: it was altered, or comes from another list or account. Start again without a cursor.",
	"UNAUTHORIZED":             "The request carries no API key. Send one as X-API-Key or as Authorization: Bearer.",
	"INVALID_API_KEY":          "The API key is unknown, expired or revoked, or a signature is wrong.",
	"INSUFFICIENT_PERMISSIONS": "The key lacks a scope that the operation needs.",
	"NOT_FOUND":                "There is no such thing in the key's account and mode, or no such path.",
	"METHOD_NOT_ALLOWED":       "The path exists but does not take this method; the header Allow names those it takes.",
	"NOT_ACCEPTABLE":           "The header Accept takes none of the media types that the operation answers with.",
	"IDEMPOTENCY_IN_PROGRESS":  "A call with the same Idempotency-Key is being worked on. Repeat it a little later: you get its answer.",
	"IDEMPOTENCY_MISMATCH":     "The Idempotency-Key was used for a call with another body. Use a new key for what you mean to do anew.",
	"PRECONDITION_FAILED":      "The campaign was changed meanwhile and is not the one that If-Match names. Read it again and decide anew.",
	"RATE_LIMIT_EXCEEDED":      "The key has called the operation too often. The header Retry-After says after how many seconds it may again.",
	"PAYLOAD_TOO_LARGE":        "The body is larger than the operation takes.",
	"UNSUPPORTED_MEDIA_TYPE":   "The body's media type, charset or encoding is not one the operation takes.",
	"INVALID_STATE":            "The campaign's status forbids it. The answer's details name the status and what is allowed now.",
	"MISSING_REQUIRED_FIELD":   "A field that has to be there is not.",
	"INVALID_PHONE_NUMBER":     "Not a phone number in E.164, such as +12025550123.",
	"INVALID_EMAIL":            "Not a mail address.",
	"INVALID_TEMPLATE":         "A body or subject has a syntax error in its Liquid; the message says in which line and column.",
	"CAMPAIGN_NOT_READY":       "The campaign has blockers; the answer's errors list all of them.",
	"INTERNAL_ERROR":           "Something went wrong on our side. The request may be tried again; its id leads us to what happened.",
	"UNAVAILABLE":              "Not now: the server is starting or stopping, or its database is away. Try again shortly.",
}

// errorStatuses finds in the contract's table of codes with which statuses each
// of them comes.
var errorStatuses = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| ([0-9, ]+) \\|")

type errorPage struct{ Code, Statuses, Meaning string }

// errorPages are in the order of their statuses.
func errorPages(doc *openapi3.T) []errorPage {
	statuses := map[string]string{}
	for _, row := range errorStatuses.FindAllStringSubmatch(doc.Components.Schemas["ErrorCode"].Value.Description, -1) {
		statuses[row[1]] = row[2]
	}
	var pages []errorPage
	for code, meaning := range errorMeanings {
		pages = append(pages, errorPage{code, statuses[code], meaning})
	}
	slices.SortFunc(pages, func(a, b errorPage) int {
		return cmp.Or(strings.Compare(a.Statuses, b.Statuses), strings.Compare(a.Code, b.Code))
	})
	return pages
}

// routeErrorPages adds a page per error code, and one that lists them all.
func routeErrorPages(e *echo.Echo, doc *openapi3.T) error {
	const policy = "default-src 'none'; style-src 'unsafe-inline'"
	pages := errorPages(doc)
	index, err := render("errors.html", pages)
	if err != nil {
		return err
	}
	e.GET("/docs/errors", webPage(policy, index))
	for _, p := range pages {
		html, err := render("error.html", p)
		if err != nil {
			return err
		}
		e.GET("/docs/errors/"+p.Code, webPage(policy, html))
	}
	return nil
}
