package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// The tests of this file run the real binary, built once.

var binary struct {
	sync.Once
	dir, path string
	err       error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
	os.Exit(code)
}

// campaigns is the binary with arguments, in a folder of its own, cut off from
// the environment's CAMPAIGNS_….
func campaigns(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	binary.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "campaigns"); binary.err != nil { //nolint:usetesting // outlives the test that builds it
			return
		}
		binary.path = filepath.Join(binary.dir, "campaigns")
		var out []byte
		if out, binary.err = exec.Command("go", "build", "-o", binary.path, ".").CombinedOutput(); binary.err != nil {
			t.Log(string(out))
		}
	})
	require.NoError(t, binary.err)
	c := exec.CommandContext(t.Context(), binary.path, args...)
	c.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CAMPAIGNS_") {
			c.Env = append(c.Env, v)
		}
	}
	return c
}

// output runs the binary to its end.
func output(t *testing.T, c *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	var failed *exec.ExitError
	if err := c.Run(); err != nil {
		require.ErrorAs(t, err, &failed)
		code = failed.ExitCode()
	}
	return out.String(), errs.String(), code
}

// running is a server that listens.
type running struct {
	*exec.Cmd
	url  string
	text lockedBuffer // all it printed
}

// lockedBuffer may be written by the process and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var listening = regexp.MustCompile(`listening on (http://[0-9.:]+)`)

// start starts a server and waits until it listens.
func start(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	r := &running{Cmd: campaigns(t, dir, append(args, "--listen", "127.0.0.1:0")...)}
	r.Stdout, r.Stderr = &r.text, &r.text
	require.NoError(t, r.Start())
	t.Cleanup(func() {
		_ = r.Process.Kill()
		_ = r.Wait()
	})
	require.Eventually(t, func() bool {
		if found := listening.FindStringSubmatch(r.text.String()); found != nil {
			r.url = found[1]
		}
		return r.url != ""
	}, time.Minute, 5*time.Millisecond, "the server never listened:\n%s", &r.text)
	return r
}

// requireReady asks the server whether it is. What the API answers is looked at in
// package tests, which holds it to the document.
func (r *running) requireReady(t *testing.T) {
	t.Helper()
	res, err := http.Get(r.url + "/readyz")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// end sends a signal and waits for the exit code.
func (r *running) end(t *testing.T, s os.Signal) int {
	t.Helper()
	require.NoError(t, r.Process.Signal(s))
	_ = r.Wait()
	return r.ProcessState.ExitCode()
}

func TestEveryCommandHasHelpAndExamples(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "completion" || c.Name() == "help" {
			return // not for people, or cobra's own
		}
		require.NotEmpty(t, c.Short, c.CommandPath())
		if !c.HasSubCommands() {
			require.NotEmpty(t, c.Example, c.CommandPath())
		}
		path := strings.Fields(c.CommandPath())[1:]
		out, _, code := output(t, campaigns(t, t.TempDir(), append(path, "--help")...))
		require.Zero(t, code, c.CommandPath())
		require.Contains(t, out, "Usage:", c.CommandPath())
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(newRoot())
}

func TestCampaignsAlonePrintsHelp(t *testing.T) {
	out, _, code := output(t, campaigns(t, t.TempDir()))
	require.Zero(t, code)
	require.Contains(t, out, "campaigns serve --dev")
}

func TestWrongUsageIsTwoAndFailureIsOne(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
	}{
		{"nonsense", 2},
		{"accounts nonsense", 2},
		{"accounts create", 2},
		{"accounts create Acme\x1b[2J", 2}, // what a terminal would obey
		{"keys create --mode test --account acc_1 --name a\x07", 2},
		{"accounts create Acme --rate 0.5", 2},
		{"accounts create Acme --rate NaN", 2},
		{"accounts update acc_1", 2}, // no rate
		{"accounts update acc_1 --rate -1", 2},
		{"accounts update acc_1 --rate 5", 1},
		{"keys create --mode maybe", 2},
		{"keys create --account acc_1", 2},
		{"serve --nonsense", 2},
		{"contacts import x.csv", 2}, // no key
		{"keys create --mode test --account acc_1", 1},
		{"keys revoke key_1", 1},
		{"serve --log-level loud", 1},
		{"serve --api=false --workers=false", 1},
		{"migrate --database sqlite:/dev/null/x", 1},
	} {
		_, errs, code := output(t, campaigns(t, t.TempDir(), strings.Fields(c.args)...))
		require.Equal(t, c.code, code, "%s: %s", c.args, errs)
		require.True(t, strings.HasPrefix(errs, "campaigns: "), "%s: %s", c.args, errs)
		require.NotContains(t, errs, "goroutine", c.args)
	}
}

func TestKeyIsShownOnceAndListedUntilAfterItIsRevoked(t *testing.T) {
	dir := t.TempDir()
	var account struct{ ID string }
	out, errs, code := output(t, campaigns(t, dir, "accounts", "create", "Acme", "--json"))
	require.Zero(t, code, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &account))
	out, _, _ = output(t, campaigns(t, dir, "accounts", "list"))
	require.Contains(t, out, account.ID+"  Acme")

	var key struct{ ID, Key string }
	out, errs, code = output(t, campaigns(t, dir, "keys", "create", "--account", account.ID, "--mode", "live", "--json"))
	require.Zero(t, code, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &key))
	require.True(t, strings.HasPrefix(key.Key, "dv_live_sk_"))

	out, errs, code = output(t, campaigns(t, dir, "keys", "revoke", key.ID))
	require.Zero(t, code, errs)
	require.Contains(t, out, "revoked")
	out, _, _ = output(t, campaigns(t, dir, "keys", "list", "--account", account.ID))
	require.Contains(t, out, key.ID)
	require.NotContains(t, out, key.Key)
}

func TestRateOfAnAccountIsSetAndShown(t *testing.T) {
	dir := t.TempDir()
	rate := func(args ...string) (id string, rate float64) {
		out, errs, code := output(t, campaigns(t, dir, append([]string{"accounts"}, append(args, "--json")...)...))
		require.Zero(t, code, errs)
		var a struct {
			ID   string
			Rate *float64
		}
		require.NoError(t, json.Unmarshal([]byte(out), &a))
		require.NotNil(t, a.Rate)
		return a.ID, *a.Rate
	}
	_, none := rate("create", "Bolt")
	require.Zero(t, none)
	id, of := rate("create", "Acme", "--rate", "50")
	require.InDelta(t, 50, of, 0)
	_, of = rate("update", id, "--rate", "12.5")
	require.InDelta(t, 12.5, of, 0)
	out, _, _ := output(t, campaigns(t, dir, "accounts", "list"))
	require.Regexp(t, id+`  Acme  12\.5  `, out)
	require.Regexp(t, `Bolt  -  `, out)
	_, of = rate("update", id, "--rate", "0")
	require.Zero(t, of)
}

func TestSecondSenderOnOneFileRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, "serve")
	_, errs, code := output(t, campaigns(t, dir, "worker"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "data/campaigns.db is in use by another process")
	start(t, dir, "serve", "--workers=false") // sends nothing: may run beside
}

func TestWorkerAnswersHealthChecks(t *testing.T) {
	l, dir := freeAddress(t), t.TempDir()
	config := filepath.Join(dir, "campaigns.yaml")
	require.NoError(t, os.WriteFile(config, []byte("carriers: [{name: gateway, type: http, channels: [sms], url: 'http://127.0.0.1:1'}]"), 0o600))
	c := campaigns(t, dir, "worker", "--health-listen", l, "--config", config)
	require.NoError(t, c.Start())
	r := &running{Cmd: c, url: "http://" + l}
	require.Eventually(t, func() bool {
		res, err := http.Get(r.url + "/readyz")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, time.Minute, 5*time.Millisecond)
	res, err := http.Get(r.url + "/carriers")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.JSONEq(t, `[{"name": "gateway", "down": false}]`, string(body))
	require.Zero(t, r.end(t, syscall.SIGTERM))
}

func TestProfilesAreGivenOutOnAnAddressOfTheirOwnOnly(t *testing.T) {
	at := freeAddress(t)
	s := start(t, t.TempDir(), "serve", "--debug-listen", at)
	get := func(url string) (status int, body []byte) {
		res, err := http.Get(url)
		if err != nil {
			return 0, nil // not yet
		}
		defer res.Body.Close()
		body, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, body
	}
	var body []byte
	require.Eventually(t, func() bool {
		var status int
		status, body = get("http://" + at + "/debug/vars")
		return status == http.StatusOK
	}, time.Minute, 5*time.Millisecond)
	var vars struct {
		Memory struct{ Mallocs uint64 } `json:"memstats"`
	}
	require.NoError(t, json.Unmarshal(body, &vars))
	require.NotZero(t, vars.Memory.Mallocs)
	for url, want := range map[string]int{
		"http://" + at + "/debug/pprof/": http.StatusOK,
		"http://" + at + "/readyz":       http.StatusNotFound,
		s.url + "/debug/pprof/":          http.StatusNotFound,
		s.url + "/debug/vars":            http.StatusNotFound,
	} {
		status, _ := get(url)
		require.Equal(t, want, status, url)
	}
	require.Zero(t, s.end(t, syscall.SIGTERM))
}

func TestCarrierThatDiscardsIsNamedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "campaigns.yaml")
	require.NoError(t, os.WriteFile(config, []byte("carriers: [{name: nothing, type: discard, channels: [sms]}]"), 0o600))
	s := start(t, dir, "serve", "--config", config)
	require.Eventually(t, func() bool { return strings.Contains(s.text.String(), "carrier nothing throws every message away") }, time.Minute, 5*time.Millisecond)
}

func TestSignalWhileTheDatabaseIsAwaitedEndsCleanly(t *testing.T) {
	c := campaigns(t, t.TempDir(), "serve", "--database", "postgres://me:s3cret@"+freeAddress(t)+"/x?sslmode=disable")
	r := &running{Cmd: c}
	c.Stdout, c.Stderr = &r.text, &r.text
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool { return strings.Contains(r.text.String(), "the database is away") }, time.Minute, 5*time.Millisecond)
	require.Zero(t, r.end(t, syscall.SIGINT))
	require.NotContains(t, r.text.String(), "s3cret")
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	s := start(t, t.TempDir(), "serve", "--drain-timeout", "10m")
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "POST /v1/campaigns HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n") // on its way for as long as it is allowed
	require.NoError(t, err)
	s.requireReady(t)
	require.NoError(t, s.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { // the first is being obeyed
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, time.Minute, time.Millisecond)
	s.end(t, syscall.SIGTERM)
	how, ok := s.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGTERM, how.Signal(), "%s", &s.text)
}
