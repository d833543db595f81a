package server

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// docs is what /docs is made of. Scalar draws the reference; its script is the
// one of its npm package (see make scalar).
//
//go:embed docs
var docs embed.FS

var docsPages = template.Must(template.ParseFS(docs, "docs/*.html"))

// referencePolicy lets the reference load its scripts and the document, and call
// the API, all from the server it came from, and nothing else. Scalar writes
// styles and pictures into the page.
const referencePolicy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; " +
	"img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// routeDocs adds what people read: the reference of /docs with all that it loads,
// and the pages of the error codes. Links between them are relative: they hold
// under /api and behind a proxy that adds a path.
func (s *Server) routeDocs(e *echo.Echo, doc *openapi3.T) error {
	found, err := fs.Glob(docs, "docs/scalar-*.js.gz")
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("want one script of the reference, have %q", found)
	}
	zipped, err := docs.ReadFile(found[0])
	if err != nil {
		return err
	}
	scalar := strings.TrimSuffix(path.Base(found[0]), ".gz")
	view := struct{ Title, Scalar, Key string }{doc.Info.Title, scalar, ""}
	if s.Development {
		view.Key = DemoKey
	}
	reference, err := render("reference.html", view)
	if err != nil {
		return err
	}
	e.GET("/docs", webPage(referencePolicy, reference))
	e.GET("/docs/"+scalar, forever(echo.MIMEApplicationJavaScriptCharsetUTF8, zipped))
	for name, contentType := range map[string]string{
		"reference.js":       echo.MIMEApplicationJavaScriptCharsetUTF8,
		"scalar.LICENSE.txt": echo.MIMETextPlainCharsetUTF8,
	} {
		text, err := docs.ReadFile("docs/" + name)
		if err != nil {
			return err
		}
		e.GET("/docs/"+name, document(contentType, text))
	}
	return routeErrorPages(e, doc)
}

func render(name string, view any) ([]byte, error) {
	var b bytes.Buffer
	err := docsPages.ExecuteTemplate(&b, name, view)
	return b.Bytes(), err
}

// webPage serves HTML under a content security policy.
func webPage(policy string, html []byte) echo.HandlerFunc {
	serve := document(echo.MIMETextHTMLCharsetUTF8, html)
	return func(c echo.Context) error {
		// plainPath passes over a slash at the end, relative links do not.
		if asked, _, _ := strings.Cut(c.Request().RequestURI, "?"); strings.HasSuffix(asked, "/") {
			return c.Redirect(http.StatusPermanentRedirect, "../"+path.Base(asked))
		}
		c.Response().Header().Set(echo.HeaderContentSecurityPolicy, policy)
		return serve(c)
	}
}

// forever serves gzipped bytes whose address changes with them, unpacked to those
// who do not take gzip.
func forever(contentType string, zipped []byte) echo.HandlerFunc {
	unpacked := sync.OnceValues(func() ([]byte, error) {
		r, err := gzip.NewReader(bytes.NewReader(zipped))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	})
	zippedTag := entityTag(zipped)
	unpackedTag := entityTag([]byte(zippedTag)) // other bytes, another tag
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "public, max-age=31536000, immutable")
		h.Add(echo.HeaderVary, echo.HeaderAcceptEncoding)
		if takesGzip(c.Request().Header) {
			h.Set(echo.HeaderContentEncoding, "gzip")
			return send(c, contentType, zippedTag, zipped)
		}
		body, err := unpacked()
		if err != nil {
			return err
		}
		return send(c, contentType, unpackedTag, body)
	}
}

var qualityZero = regexp.MustCompile(`^\s*[qQ]=0(\.0*)?\s*$`)

// takesGzip says whether an answer may be gzipped (RFC 9110, section 12.5.3).
func takesGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h.Values(echo.HeaderAcceptEncoding), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return !qualityZero.MatchString(weight)
		}
	}
	return false
}
