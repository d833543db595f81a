package storetest

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// holdVariable makes this test program hold the cluster of its process until it
// is killed: see TestClusterGoesWithItsProcess.
const holdVariable = "STORETEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdVariable) == "" {
		os.Exit(m.Run())
	}
	dsn, err := serverURL()
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, dsn)
	select {}
}

func TestClusterGoesWithItsProcess(t *testing.T) {
	if _, err := findPrograms(os.Getenv("PATH"), packaged); err != nil {
		need(t, err)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	holder := exec.Command(self)
	holder.Env = append(os.Environ(), holdVariable+"=1", "TEST_DATABASE_URL=")
	stdout, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	dsn, err := url.Parse(strings.TrimSpace(line))
	require.NoError(t, err, line)
	dir := dsn.Query().Get("host")
	require.DirExists(t, dir)
	session := connect(t, dsn.String())

	require.NoError(t, holder.Process.Kill()) // SIGKILL: it cannot clean up
	require.Error(t, holder.Wait())

	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	}, 30*time.Second, 20*time.Millisecond, "its files are left")
	require.Error(t, session.Ping(t.Context()), "its server is left")
}

func TestCommittedRowsSurviveEveryStop(t *testing.T) {
	c := NewCluster(t)
	first := connect(t, c.URL())
	_, err := first.Exec(t.Context(), "CREATE TABLE rows AS SELECT 0 AS n")
	require.NoError(t, err)

	for n, how := range []Mode{Fast, Immediate} {
		session := connect(t, c.URL())
		_, err := session.Exec(t.Context(), "INSERT INTO rows VALUES (1)")
		require.NoError(t, err)

		require.NoError(t, c.Stop(how))
		require.Error(t, session.Ping(t.Context()))
		_, err = pgx.Connect(t.Context(), c.URL())
		require.Error(t, err)

		require.NoError(t, c.Start())
		require.Equal(t, int64(n+1), value[int64](t, connect(t, c.URL()), "SELECT sum(n) FROM rows"))
	}

	require.NoError(t, c.Restart(Immediate))
	require.Equal(t, int64(2), value[int64](t, connect(t, c.URL()), "SELECT sum(n) FROM rows"))
}

func TestClockIsSteppedForAllSessions(t *testing.T) {
	c := NewClusterWithClock(t)
	session := connect(t, c.URL())
	for _, by := range []time.Duration{0, time.Hour, -time.Hour} {
		require.NoError(t, c.StepClock(by))
		for _, s := range []*pgx.Conn{session, connect(t, c.URL())} {
			require.WithinDuration(t, time.Now().Add(by), value[time.Time](t, s, "SELECT clock_timestamp()"), time.Minute)
		}
	}
	require.Error(t, NewCluster(t).StepClock(0), "its clock is the machine's")
}

func TestClusterIsRemovedAtTheEndOfItsTest(t *testing.T) {
	var dir string
	t.Run("running", func(t *testing.T) { dir = NewCluster(t).dir })
	require.NoDirExists(t, dir)
	t.Run("stopped", func(t *testing.T) {
		c := NewCluster(t)
		require.NoError(t, c.Stop(Immediate))
		dir = c.dir
	})
	require.NoDirExists(t, dir)
}

func TestSettingsOfAClusterHoldOverEveryStart(t *testing.T) {
	c := NewCluster(t, "fsync=on", "work_mem=5MB")
	for range 2 {
		conn := connect(t, c.URL())
		require.Equal(t, "on", value[string](t, conn, "SHOW fsync"))
		require.Equal(t, "5MB", value[string](t, conn, "SHOW work_mem"))
		require.NoError(t, c.Restart(Fast))
	}
}

func TestStopAndStartOutOfTurnAreRefused(t *testing.T) {
	c := NewCluster(t)
	require.ErrorContains(t, c.Start(), "runs already")
	require.NoError(t, c.Stop(Fast))
	require.ErrorContains(t, c.Stop(Fast), "does not run")
}

func TestFailedStartSaysWhatTheServerSaid(t *testing.T) {
	c := NewCluster(t)
	require.NoError(t, c.Stop(Fast))
	require.NoError(t, os.Remove(c.data()+"/PG_VERSION"))
	require.ErrorContains(t, c.Start(), "is not a valid data directory")
}
