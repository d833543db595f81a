package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/server"
)

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// importer is contacts import as a client of s.
func importer(t *testing.T, s *running, args ...string) *exec.Cmd {
	t.Helper()
	c := campaigns(t, t.TempDir(), append([]string{"contacts", "import"}, args...)...)
	c.Env = append(c.Env, "CAMPAIGNS_URL="+s.url, "CAMPAIGNS_KEY="+server.DemoKey)
	return c
}

func contactsFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestImportReportsRowsAndFaults(t *testing.T) {
	s := start(t, t.TempDir(), "serve", "--dev")
	good := contactsFile(t, "good.csv", "external_id,first_name\nimported-1,Ada\nimported-2,Ben\n")
	out, errs, code := output(t, importer(t, s, good, "--list", "lst_abc123"))
	require.Zero(t, code, errs)
	require.Contains(t, out, "2 rows: 2 created, 0 updated, 0 failed")
	require.Empty(t, errs, "no bar where there is no terminal")
	out, _, code = output(t, importer(t, s, good))
	require.Zero(t, code)
	require.Contains(t, out, "2 rows: 0 created, 2 updated, 0 failed")

	mixed := contactsFile(t, "mixed.txt", `{"external_id":"imported-3"}`+"\n"+`{"phone":"12"}`+"\n")
	out, _, code = output(t, importer(t, s, mixed, "--format", "ndjson"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "2 rows: 1 created, 0 updated, 1 failed\n  line 2: phone ")

	c := importer(t, s, "-", "--format=csv", "--json")
	c.Stdin = strings.NewReader("external_id,phone\nimported-4,\nimported-5,12\n")
	out, errs, code = output(t, c)
	require.Equal(t, exitFailed, code, errs)
	var v importView
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	require.EqualValues(t, 2, v.Rows.Processed)
	require.Len(t, v.Errors, 1)
	require.EqualValues(t, 3, v.Errors[0].Line)
}

func TestRefusedImportShowsTheServersWords(t *testing.T) {
	s := start(t, t.TempDir(), "serve", "--dev")
	bad := contactsFile(t, "bad.csv", "external_id,telephone,shoe_size\n1,2,3\n")
	_, errs, code := output(t, importer(t, s, bad))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "422")
	require.Contains(t, errs, "telephone")
	require.Contains(t, errs, "shoe_size")

	c := importer(t, s, bad)
	c.Env = append(c.Env, "CAMPAIGNS_KEY=dv_test_sk_wrong")
	_, errs, code = output(t, c)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "401")

	_, errs, code = output(t, importer(t, s, "no-such.csv"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no-such.csv")
	_, _, code = output(t, importer(t, s, "file.xlsx"))
	require.Equal(t, exitUsage, code)
}

func TestInterruptedWaitLeavesTheImportToTheServer(t *testing.T) {
	s := start(t, t.TempDir(), "serve", "--dev", "--workers=false") // nobody works it
	c := importer(t, s, contactsFile(t, "a.csv", "external_id\nimported-1\n"))
	r := &running{Cmd: c}
	c.Stdout, c.Stderr = &r.text, &r.text
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool { return strings.Contains(s.text.String(), "route=/v1/imports/:id ") }, time.Minute, 5*time.Millisecond)
	require.Equal(t, exitInterrupted, r.end(t, syscall.SIGINT))
	require.Contains(t, r.text.String(), "curl "+s.url+"/v1/imports/imp_")
	require.NotContains(t, r.text.String(), server.DemoKey)
}

func TestKeyIsNotCarriedAlongToWhereverAnAnswerPoints(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer elsewhere.Close()
	here := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer here.Close()
	_, errs, code := output(t, importer(t, &running{url: here.URL}, contactsFile(t, "a.csv", "external_id\n1\n")))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "307")
	require.False(t, asked)
}
