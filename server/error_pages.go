package server

import (
	"html/template"
	"net/http"

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

var errorPages = template.Must(template.New("error").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Code}}</title>
<body style="font: 1.1em/1.5 system-ui, sans-serif; max-width: 40em; margin: 4em auto; padding: 0 1em">
<h1><code>{{.Code}}</code></h1><p>{{.Meaning}}</p>
</body></html>
`))

func (s *Server) errorPage(c echo.Context) error {
	code := c.Param("code")
	meaning, ok := errorMeanings[code]
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(http.StatusOK)
	return errorPages.Execute(c.Response(), struct{ Code, Meaning string }{code, meaning})
}
