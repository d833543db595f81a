package tests

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store/storetest"
)

func TestEveryErrorCodeHasAPageWithItsStatuses(t *testing.T) {
	t.Parallel()
	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	index := visit(t, s.url+"/docs/errors")
	var listed []any
	for _, link := range regexp.MustCompile(`href="errors/([A-Z_]+)"`).FindAllStringSubmatch(index, -1) {
		listed = append(listed, link[1])
		page := visit(t, s.url+"/docs/errors/"+link[1])
		require.Contains(t, page, "<h1><code>"+link[1]+"</code></h1>")
		require.Regexp(t, `HTTP [45]\d\d`, page, link[1])
	}
	require.ElementsMatch(t, document(t).Components.Schemas["ErrorCode"].Value.Enum, listed)
}

var scriptInPage = regexp.MustCompile(`src="(docs/scalar-([0-9.]+)\.js)"`)

// TestScriptOfTheReferenceIsThePublishedOne holds what is served, and so the file
// that was committed, to what the package @scalar/api-reference contains as
// dist/browser/standalone.js.
func TestScriptOfTheReferenceIsThePublishedOne(t *testing.T) {
	t.Parallel()
	const published = "bf091006bdc3af6067af77c2f534812e3e633e94a94e87138069f570f33b762c"
	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	src := scriptInPage.FindStringSubmatch(visit(t, s.url+"/docs"))
	require.NotNil(t, src)

	zipped := plainly(t, http.MethodGet, s.url+"/"+src[1], "Accept-Encoding: br, gzip;q=0.9")
	require.Equal(t, "gzip", zipped.header.Get("Content-Encoding"))
	r, err := gzip.NewReader(bytes.NewReader(zipped.body))
	require.NoError(t, err)
	script, err := io.ReadAll(r)
	require.NoError(t, err)
	sum := sha256.Sum256(script)
	require.Equal(t, published, hex.EncodeToString(sum[:]))
	require.True(t, bytes.Contains(script, []byte("@scalar/api-reference@"+src[2])), "the name says another version")

	for _, refused := range []string{"", "br", "gzip;q=0", "gzip; q=0.0, br"} {
		plain := plainly(t, http.MethodGet, s.url+"/"+src[1], "Accept-Encoding: "+refused)
		require.Empty(t, plain.header.Get("Content-Encoding"), refused)
		require.True(t, bytes.Equal(script, plain.body), refused)
		require.NotEqual(t, zipped.header.Get("ETag"), plain.header.Get("ETag"), "other bytes under one tag")
	}
	for _, got := range []answer{zipped, plainly(t, http.MethodGet, s.url+"/"+src[1])} {
		require.Equal(t, "public, max-age=31536000, immutable", got.header.Get("Cache-Control"))
		require.Contains(t, got.header.Values("Vary"), "Accept-Encoding")
	}
}

// TestPagesHoldBelowAnyPath opens them under another path, and with the slash at
// the end that every path may have.
func TestPagesHoldBelowAnyPath(t *testing.T) {
	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	for _, path := range []string{"/docs/", "/api/docs/", "/docs/errors/", "/docs/errors/NOT_FOUND/?from=mail"} {
		got := plainly(t, http.MethodGet, s.url+path)
		require.Equal(t, http.StatusPermanentRedirect, got.status, path)
		require.True(t, strings.HasPrefix(got.header.Get("Location"), "../"), "%s: %s", path, got.header.Get("Location"))
		visit(t, s.url+path)
	}
}
