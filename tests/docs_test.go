package tests

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// Where things are in Scalar's pages.
const (
	keyField   = chromedp.CSS(`[role=dialog] .scalar-password-input`)
	sendButton = chromedp.CSS(`[role=dialog] [data-addressbar-action=send]`)
	response   = `//*[@role="dialog"]//section[@aria-label="Response"]`
)

// inSidebar finds an operation's link, by its summary.
func inSidebar(summary string) string { return fmt.Sprintf(`//aside//a[contains(., %q)]`, summary) }

// tryButton finds what opens the form of an operation.
func tryButton(method, path string) string {
	return fmt.Sprintf(`//button[contains(., "Test Request") and contains(., "(%s %s)")]`, strings.ToLower(method), path)
}

func TestReferenceShowsAndTriesOutTheRunningServer(t *testing.T) {
	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	a := s.tester()
	made := a.newCampaign(types.CampaignCreate{Name: "Spring Promo 2026", Channel: types.ChannelSMS})

	b := openBrowser(t)
	b.do(chromedp.Navigate(s.url+"/docs"), chromedp.WaitVisible(`//h1[contains(., "Campaigns API")]`))
	require.Equal(t, "Campaigns API reference", see(b, chromedp.Title()))
	for _, tag := range document(t).Tags {
		b.do(chromedp.WaitVisible(fmt.Sprintf(`//aside//button[contains(., %q)]`, tag.Name)))
	}
	for _, op := range operations(t) {
		if op.Tags[0] == "Campaigns" {
			b.do(chromedp.WaitVisible(inSidebar(op.Summary)))
		}
	}

	list := operations(t)["listCampaigns"]
	b.do(
		chromedp.Click(inSidebar(list.Summary)),
		chromedp.Click(tryButton(list.method, list.path)),
		chromedp.SendKeys(keyField, a.key),
		chromedp.Click(sendButton),
		chromedp.WaitVisible(response+`//a[contains(., "200 OK")]`),
		chromedp.WaitVisible(response+fmt.Sprintf(`//*[contains(text(), %q)]`, made.ID)),
	)
	require.Empty(t, b.complaints())
	require.Empty(t, b.strangers(s.url))
	require.Contains(t, b.asked(), s.url+list.path)
}

func TestReferenceHasTheKeyOfDevelopmentModeAndOfNoOther(t *testing.T) {
	r, a := developer(t)
	b := openBrowser(t)
	create := operations(t)["createCampaign"]
	b.do(
		chromedp.Navigate(r.url+"/docs"),
		chromedp.Click(inSidebar(create.Summary)),
		chromedp.Click(tryButton(create.method, create.path)),
		chromedp.Click(sendButton),
		chromedp.WaitVisible(response+`//a[contains(., "201 Created")]`),
	)
	all := want[types.CampaignPage](t, http.StatusOK, read(a.ListCampaigns(t.Context(), nil))).Data
	require.Len(t, all, 2, "the demo's own and the contract's example")
	require.Empty(t, b.complaints())
	require.Empty(t, b.strangers(r.url))

	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	require.NotContains(t, visit(t, s.url+"/docs"), demoKey)
}

func TestReferenceSendsAnOptionalParameterOnlyWhenAsked(t *testing.T) {
	r, _ := developer(t)
	b := openBrowser(t)
	file := operations(t)["createImport"]
	require.False(t, file.parameter("list_id").Required)
	b.do(
		chromedp.Navigate(r.url+"/docs#tag/imports/POST/v1/imports"),
		chromedp.Click(tryButton(file.method, file.path)),
		chromedp.Click(sendButton),
		chromedp.WaitVisible(response+`//a[contains(., "202 Accepted")]`),
	)
	require.Contains(t, b.asked(), r.url+file.path)
	require.Empty(t, b.complaints())
}

func TestErrorPagesAreReadInABrowser(t *testing.T) {
	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	b := openBrowser(t)
	b.do(chromedp.Navigate(s.url+"/docs/errors/NOT_FOUND"), chromedp.WaitVisible(`//h1[contains(., "NOT_FOUND")]`))
	require.Contains(t, see(b, chromedp.Text(chromedp.CSS("body"))), "HTTP 404")
	b.do(
		chromedp.Click(`//a[contains(., "Error codes")]`),
		chromedp.Click(`//a[contains(., "INVALID_CURSOR")]`),
		chromedp.WaitVisible(`//h1[contains(., "INVALID_CURSOR")]`),
		chromedp.Click(`//a[contains(., "API reference")]`),
		chromedp.WaitVisible(inSidebar("Create a campaign")),
	)
	require.Empty(t, b.complaints())
	require.Empty(t, b.strangers(s.url))
}

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

// TestPagesHoldBelowAnyPath opens them as behind a proxy that adds a path, and
// with the slash at the end that every path may have.
func TestPagesHoldBelowAnyPath(t *testing.T) {
	s := startInProcess(t, "sqlite:"+storetest.SQLitePath(t))
	for _, path := range []string{"/docs/", "/api/docs/", "/docs/errors/", "/docs/errors/NOT_FOUND/?from=mail"} {
		got := plainly(t, http.MethodGet, s.url+path)
		require.Equal(t, http.StatusPermanentRedirect, got.status, path)
		require.True(t, strings.HasPrefix(got.header.Get("Location"), "../"), "%s: %s", path, got.header.Get("Location"))
		visit(t, s.url+path)
	}
	b := openBrowser(t)
	b.do(chromedp.Navigate(s.url+"/api/docs/"), chromedp.WaitVisible(`//h1[contains(., "Campaigns API")]`))
	require.Empty(t, b.complaints())
	for _, address := range b.asked() {
		require.True(t, strings.HasPrefix(address, s.url+"/api/"), address)
	}
}
