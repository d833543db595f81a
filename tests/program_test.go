package tests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// scratch is removed when all tests are through.
var scratch string

// TestMain runs more tests at once than there are processors, unless the command
// line says otherwise: most of them wait, for leases and for the clock. When all
// have run it fails for what the document promises and no test has seen.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	code := inScratch(m.Run)
	if code == 0 && allTestsRan() {
		code = judge()
	}
	os.Exit(code)
}

// judge compares what the tests saw with the document.
func judge() int {
	doc, err := loaded()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	missing := produced.missing(doc)
	if len(missing) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "FAIL: the document promises what no test has seen:\n  %s\n", strings.Join(missing, "\n  "))
	return 1
}

func inScratch(run func() int) (code int) {
	var err error
	if scratch, err = os.MkdirTemp("", "campaigns-tests-"); err != nil {
		fmt.Fprintln(os.Stderr, "make a directory for the tests:", err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return run()
}

// binary is the program, built once, under the race detector if the tests are.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "campaigns")
	build := exec.Command("go", "build", "-o", path)
	if underRaceDetector() {
		build.Args = append(build.Args, "-race")
	} else {
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	build.Args = append(build.Args, module+"cmd/campaigns")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, lookAt("../cmd")
})

// lookAt tells go test, which watches what a test looks at, that its result holds
// for these sources only: nothing that the tests import leads to them.
func lookAt(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			_, err = os.Stat(path)
		}
		return err
	})
}

func underRaceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// publicURL is where the programs believe that the world reaches them.
const publicURL = "https://campaigns.example"

// installation is a database and a configuration: what is needed to run the
// program, any number of times.
type installation struct {
	t       *testing.T
	program string
	config  string   // path of the file
	env     []string // nothing of the developer's own
	within  []string // a command that runs the program, if it is not run by itself
}

// install configures the program for the database, with these carriers as they
// stand in the file.
func install(t *testing.T, dsn string, carriers ...map[string]any) *installation {
	t.Helper()
	program, err := binary()
	require.NoError(t, err)
	text, err := yaml.Marshal(map[string]any{
		"listen": "127.0.0.1:0", "database": dsn, "public_url": publicURL, "carriers": carriers,
	})
	require.NoError(t, err)
	config := filepath.Join(t.TempDir(), "campaigns.yaml")
	require.NoError(t, os.WriteFile(config, text, 0o600))
	return &installation{t: t, program: program, config: config, env: []string{}}
}

func (i *installation) command(args ...string) *exec.Cmd {
	line := slices.Concat(i.within, []string{i.program}, args, []string{"--config", i.config})
	c := exec.CommandContext(i.t.Context(), line[0], line[1:]...)
	c.Env = i.env
	return c
}

// run runs a command to its end and decodes the JSON it prints.
func (i *installation) run(to any, args ...string) {
	i.t.Helper()
	var stderr bytes.Buffer
	c := i.command(append(args, "--json")...)
	c.Stderr = &stderr
	out, err := c.Output()
	require.NoError(i.t, err, "campaigns %s: %s", strings.Join(args, " "), &stderr)
	require.NoError(i.t, json.Unmarshal(out, to))
}

// account makes one and gives its id.
func (i *installation) account(flags ...string) string {
	i.t.Helper()
	var made struct{ ID string }
	i.run(&made, append([]string{"accounts", "create", "Acme"}, flags...)...)
	return made.ID
}

// liveKey makes a key for an account's live data and gives it.
func (i *installation) liveKey(account string) string {
	i.t.Helper()
	var made struct{ Key string }
	i.run(&made, "keys", "create", "--account", account, "--mode", "live")
	return made.Key
}

// running is the program as a process of its own.
type running struct {
	t       *testing.T
	url     string // of its API; "" without one
	printed string // path of its standard output
	command *exec.Cmd
	ended   chan struct{}
	err     error // why it ended; set once ended is closed
}

var listening = regexp.MustCompile(`listening on (http://[0-9.:]+)`)

// start runs a command that serves and returns when it does: when it says where
// its API listens, or at once for one that has none. It ends with the test.
func (i *installation) start(args ...string) *running {
	i.t.Helper()
	r := &running{t: i.t, command: i.command(args...), ended: make(chan struct{})}
	stdout, err := os.Create(filepath.Join(i.t.TempDir(), "stdout"))
	require.NoError(i.t, err)
	defer stdout.Close() // the program has its own
	r.printed, r.command.Stdout = stdout.Name(), stdout
	stderr, err := r.command.StderrPipe()
	require.NoError(i.t, err)
	require.NoError(i.t, r.command.Start())
	i.t.Cleanup(r.kill)
	address := make(chan string, 1)
	go r.read(stderr, address)
	if args[0] == "worker" {
		return r
	}
	select {
	case r.url = <-address:
	case <-r.ended:
		require.FailNow(i.t, "the program ended", "%v", r.err)
	case <-time.After(patience):
		require.FailNow(i.t, "the program does not listen")
	}
	return r
}

// read passes the log on to the test's, requests left out, until the program
// ends.
func (r *running) read(stderr io.Reader, address chan<- string) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			address <- found[1]
		} else if !strings.Contains(lines.Text(), "msg=request ") {
			r.t.Log(lines.Text())
		}
	}
	r.err = r.command.Wait()
	close(r.ended)
}

// api is a client of it.
func (r *running) api(key string) *api { return newAPI(r.t, r.url, key) }

// live is the program as one process with these carriers, and a client of a new
// account's live data.
func live(t *testing.T, dsn string, carriers ...map[string]any) (*installation, *running, *api) {
	t.Helper()
	i := install(t, dsn, carriers...)
	r := i.start("serve")
	return i, r, r.api(i.liveKey(i.account()))
}

// stop ends it as a service manager does and wants it to end well.
func (r *running) stop() {
	r.t.Helper()
	require.NoError(r.t, r.command.Process.Signal(syscall.SIGTERM))
	select {
	case <-r.ended:
		require.NoError(r.t, r.err)
	case <-time.After(patience):
		require.FailNow(r.t, "the program does not stop")
	}
}

// kill ends it as a power cut does. One that has ended stays so.
func (r *running) kill() {
	_ = r.command.Process.Kill()
	<-r.ended
}
