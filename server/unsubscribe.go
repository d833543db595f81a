package server

import (
	"html/template"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/campaigns-api/campaigns/store"
)

// A GET only asks, because mail scanners follow links; a POST, also the
// one-click POST of a mail program (RFC 8058), unsubscribes.
var unsubscribePages = template.Must(template.New("unsubscribe").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Unsubscribe</title>
<body style="font: 1.1em/1.5 system-ui, sans-serif; max-width: 30em; margin: 4em auto; padding: 0 1em">
{{if .Done}}<h1>You are unsubscribed</h1><p>You will get no more {{.Channel}} messages from this sender.</p>
{{else}}<h1>Unsubscribe?</h1><p>You will get no more {{.Channel}} messages from this sender.</p>
<form method="post"><button style="font: inherit; padding: .5em 1em">Unsubscribe</button></form>{{end}}
</body></html>
`))

type unsubscribeView struct {
	Channel store.Channel
	Done    bool
}

func (s *Server) unsubscribePage(c echo.Context) error {
	channel, err := s.Store.UnsubscribeChannel(c.Request().Context(), c.Param("token"))
	if err != nil {
		return err
	}
	return showUnsubscribe(c, unsubscribeView{channel, false})
}

func (s *Server) unsubscribe(c echo.Context) error {
	channel, err := s.Store.Unsubscribe(c.Request().Context(), c.Param("token"))
	if err != nil {
		return err
	}
	return showUnsubscribe(c, unsubscribeView{channel, true})
}

func showUnsubscribe(c echo.Context, v unsubscribeView) error {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
	h.Set("Referrer-Policy", "no-referrer") // the address itself is the secret
	h.Set("Cache-Control", "no-store")
	h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(http.StatusOK)
	return unsubscribePages.Execute(c.Response(), v)
}
