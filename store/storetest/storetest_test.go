package storetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // may have been cut by the test
	return conn
}

func value[T any](t *testing.T, conn *pgx.Conn, query string) (v T) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&v))
	return v
}

// `make test` runs this one again to learn whether PostgreSQL was skipped.
func TestEachRunsOncePerDatabase(t *testing.T) {
	var seen []string
	Each(t, func(t *testing.T, dsn string) {
		scheme, path, ok := strings.Cut(dsn, ":")
		require.True(t, ok)
		seen = append(seen, t.Name()+" "+scheme)
		if scheme == "sqlite" {
			require.DirExists(t, filepath.Dir(path))
			require.NoFileExists(t, path)
			return
		}
		require.Equal(t, int64(0), value[int64](t, connect(t, dsn), "SELECT count(*) FROM pg_stat_user_tables"))
	})
	require.Contains(t, seen, t.Name()+"/sqlite sqlite")
	if len(seen) > 1 { // else the subtest was skipped, for want of a server
		require.Contains(t, seen, t.Name()+"/postgres postgres")
	}
}

func TestTestsCannotDisturbEachOther(t *testing.T) {
	one, two := connect(t, PostgresURL(t)), connect(t, PostgresURL(t))
	const lock = "SELECT pg_try_advisory_lock(1)"
	require.True(t, value[bool](t, one, lock))
	require.True(t, value[bool](t, two, lock), "an advisory lock is the database's")

	_, err := one.Exec(t.Context(), "CREATE TABLE contacts ()")
	require.NoError(t, err)
	require.False(t, value[bool](t, two, "SELECT to_regclass('contacts') IS NOT NULL"))
}

func TestDatabaseIsDroppedAtTheEndOfItsTest(t *testing.T) {
	var dsn string
	t.Run("that leaves a session open", func(sub *testing.T) {
		dsn = PostgresURL(sub)
		connect(t, dsn)
	})
	if dsn == "" {
		t.Skip("the subtest was skipped")
	}
	_, err := pgx.Connect(t.Context(), dsn)
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "3D000", refused.Code) // no such database
}

func TestServerOfTheEnvironmentIsUsed(t *testing.T) {
	server := NewCluster(t)
	t.Setenv("TEST_DATABASE_URL", server.URL())
	require.Equal(t, server.data(), value[string](t, connect(t, PostgresURL(t)), "SHOW data_directory"))
}

func TestUnusableEnvironmentIsRefusedWithoutShowingIt(t *testing.T) {
	for _, dsn := range []string{"host=db password=secret", "postgres://user:secret@db:port/x", "sqlite:secret"} {
		t.Setenv("TEST_DATABASE_URL", dsn)
		_, err := serverURL()
		require.ErrorContains(t, err, "TEST_DATABASE_URL")
		require.NotContains(t, err.Error(), "secret")
	}
}

// verdict notes how a test was ended instead of ending it.
type verdict struct {
	testing.TB
	skipped, failed bool
}

func (v *verdict) Helper()      {}
func (v *verdict) Skip(...any)  { v.skipped = true }
func (v *verdict) Fatal(...any) { v.failed = true }

func TestMissingPostgreSQLSkipsUnlessCIInsists(t *testing.T) {
	_, err := findPrograms(t.TempDir(), nil)
	require.ErrorContains(t, err, "install")

	t.Setenv("CI", "")
	at := verdict{}
	need(&at, err)
	require.Equal(t, verdict{skipped: true}, at)

	t.Setenv("CI", "true")
	at = verdict{}
	need(&at, err)
	require.Equal(t, verdict{failed: true}, at)
}

func TestNewestInstalledVersionIsChosen(t *testing.T) {
	root := t.TempDir()
	install := func(dir string) string {
		dir = filepath.Join(root, dir)
		require.NoError(t, os.MkdirAll(dir, 0o700))
		for _, program := range []string{"initdb", "postgres"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, program), nil, 0o700))
		}
		return dir
	}
	install("postgresql/9.6/bin")
	newest := install("postgresql/15/bin")
	pattern := filepath.Join(root, "postgresql/*/bin")

	found, err := findPrograms("", []string{pattern})
	require.NoError(t, err)
	require.Equal(t, newest, found)

	onPath := install("bin")
	found, err = findPrograms(root+string(filepath.ListSeparator)+onPath, []string{pattern})
	require.NoError(t, err)
	require.Equal(t, onPath, found)
}
