package tests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/cmd/campaigns/bench"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// BenchmarkProgram runs `campaigns bench` on both databases, one after the
// other, and passes on what it prints. BENCH_PROGRAM is the program, if it is
// built already, and BENCH_ARGS are further arguments, as in
// BENCH_ARGS="--contacts 100000 --json". Run it with -benchtime 1x: `make bench`.
func BenchmarkProgram(b *testing.B) {
	path := os.Getenv("BENCH_PROGRAM")
	if path == "" {
		var err error
		path, err = binary()
		require.NoError(b, err)
	}
	for _, database := range []string{"postgres", "sqlite"} {
		b.Run(database, func(b *testing.B) {
			at := "sqlite:" + b.TempDir()
			if database == "postgres" {
				at = durablePostgres(b)
			}
			for b.Loop() {
				args := append([]string{"bench", "--database", at}, strings.Fields(os.Getenv("BENCH_ARGS"))...)
				run := exec.CommandContext(b.Context(), path, args...)
				run.Stdout, run.Stderr = os.Stdout, os.Stderr
				require.NoError(b, run.Run())
			}
		})
	}
}

// durablePostgres is the server of TEST_DATABASE_URL or, without one, a throwaway
// that writes to the disk what it acknowledges, as those of the tests do not.
func durablePostgres(b *testing.B) string {
	if dsn := os.Getenv("TEST_DATABASE_URL"); dsn != "" {
		return dsn
	}
	return storetest.NewCluster(b, "fsync=on", "full_page_writes=on").URL()
}

// benchmark runs `campaigns bench` and gives what it prints.
func benchmark(t *testing.T, args ...string) (stdout []byte, stderr string, err error) {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	run := exec.CommandContext(t.Context(), path, append([]string{"bench"}, args...)...)
	var said bytes.Buffer
	run.Env, run.Stderr = []string{"TMPDIR=" + t.TempDir()}, &said
	stdout, err = run.Output()
	return stdout, said.String(), err
}

func TestBenchMeasuresEverythingAndRemembersIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		kind, at := "postgres", dsn
		if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
			kind, at = "sqlite", "sqlite:"+filepath.Dir(path)
		}
		history := filepath.Join(t.TempDir(), "history.jsonl")
		out, said, err := benchmark(t, "--database", at, "--contacts", "1000", "--messages", "500", "--runs", "2", "--json", "--history", history)
		require.NoError(t, err, said)
		var results []bench.Result
		for line := range bytes.Lines(out) {
			results = append(results, decoded[bench.Result](t, line))
		}
		var names []string
		for _, r := range results {
			names = append(names, r.Name)
			requireMeasured(t, kind, r)
			require.Equal(t, isDurable(t, dsn), r.Durable)
		}
		require.Equal(t, bench.Measures(), names)

		line, err := os.ReadFile(history)
		require.NoError(t, err)
		remembered := decoded[struct {
			Date, Version, CPU string
			Go                 string
			Cores, Runs        int
			Results            []bench.Result
		}](t, line)
		require.Equal(t, results, remembered.Results)
		require.Equal(t, 2, remembered.Runs)
		require.Positive(t, remembered.Cores)
		require.Contains(t, remembered.Go, "go1")
		require.NotEmpty(t, remembered.Date)
		require.NotEmpty(t, remembered.Version)
		requireNothingLeft(t, at)
	})
}

// decoded reads one line of JSON that has no field but to's.
func decoded[T any](t *testing.T, line []byte) (to T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&to), "%s", line)
	return to
}

// isDurable says whether the database writes to the disk what it acknowledges:
// the throwaway of the tests does not.
func isDurable(t *testing.T, dsn string) bool {
	t.Helper()
	if strings.HasPrefix(dsn, "sqlite:") {
		return true
	}
	c, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer c.Close(t.Context())
	var fsync string
	require.NoError(t, c.QueryRow(t.Context(), "SHOW fsync").Scan(&fsync))
	return fsync == "on"
}

// requireMeasured looks at what cannot be otherwise on any machine.
func requireMeasured(t *testing.T, database string, r bench.Result) {
	t.Helper()
	require.Equal(t, database, r.Database, r.Name)
	for what, figure := range map[string]float64{
		"seconds": r.Seconds, "messages per second": r.MessagesPerSecond, "peak memory": r.PeakRSSMB,
		"allocations": r.AllocsPerMessage, "bytes allocated": r.AllocBytes,
	} {
		require.Positive(t, figure, "%s of %s", what, r.Name)
	}
	for who, used := range map[string]float64{"server": r.CPU.Server, "database": r.CPU.Database, "sink": r.CPU.Sink} {
		require.GreaterOrEqual(t, used, 0.0, "processor time of %s for %s", who, r.Name)
	}
	require.Equal(t, database == "postgres", r.WALBytesPerMessage > 0, "%s", r.Name)
	switch r.Name {
	case "import", "freeze", "nothing":
		require.Equal(t, 1000, r.Messages)
	case "first":
		require.Positive(t, r.Messages)
	default:
		require.Equal(t, 500, r.Messages, r.Name)
	}
	sends := r.Name == "nothing" || strings.HasPrefix(r.Name, "smtp") || strings.HasPrefix(r.Name, "http")
	require.Equal(t, sends, r.Reads != nil, r.Name)
	require.Equal(t, sends && r.Name != "nothing" || r.Name == "first", r.FirstMessage != nil, r.Name)
	if r.Reads != nil {
		require.Positive(t, r.Reads.Progress.Count, r.Name)
		require.Positive(t, r.Reads.Progress.P50, r.Name)
		require.GreaterOrEqual(t, r.Reads.Progress.P99, r.Reads.Progress.P50, r.Name)
	}
}

// requireNothingLeft looks for databases of bench's own.
func requireNothingLeft(t *testing.T, at string) {
	t.Helper()
	if dir, ok := strings.CutPrefix(at, "sqlite:"); ok {
		left, err := filepath.Glob(filepath.Join(dir, "campaigns-bench-*"))
		require.NoError(t, err)
		require.Empty(t, left)
		return
	}
	c, err := pgx.Connect(t.Context(), at)
	require.NoError(t, err)
	defer c.Close(t.Context())
	var left int
	require.NoError(t, c.QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname LIKE 'campaigns\_bench\_%'`).Scan(&left))
	require.Zero(t, left)
}

func TestPartThatEndsEndsTheBenchWithAClearError(t *testing.T) {
	path, err := binary()
	require.NoError(t, err)
	dir := t.TempDir()
	run := exec.CommandContext(t.Context(), path, "bench", "--database", "sqlite:"+dir)
	run.Env = []string{"TMPDIR=" + dir}
	stderr, err := run.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, run.Start())
	var last string
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if last += lines.Text() + "\n"; lines.Text() == "import" {
			last = ""
			killChild(t, run.Process.Pid, "bench", "sink", "http")
		}
	}
	require.Error(t, run.Wait())
	require.Equal(t, "campaigns: sink-http: ended by itself: signal: killed\n", last)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// killChild kills the child of a process that runs with these arguments.
func killChild(t *testing.T, parent int, args ...string) {
	t.Helper()
	all, err := procfs.AllProcs()
	require.NoError(t, err)
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil || stat.PPID != parent {
			continue
		}
		if line, _ := p.CmdLine(); len(line) > len(args) && slices.Equal(line[1:1+len(args)], args) {
			require.NoError(t, syscall.Kill(p.PID, syscall.SIGKILL))
			return
		}
	}
	require.FailNow(t, "no such child", "%v", args)
}

func TestBenchOfWhatDoesNotExistIsRefused(t *testing.T) {
	_, said, err := benchmark(t, "--only", "pigeon")
	require.Error(t, err)
	require.Contains(t, said, `there is no measure "pigeon"`)
	_, said, err = benchmark(t, "--database", "postgres://me:s3cret@127.0.0.1:1/x")
	require.Error(t, err)
	require.Contains(t, said, "make a database")
	require.NotContains(t, said, "s3cret")
}
