// Package storetest gives each test a database of its own, on PostgreSQL and on
// SQLite, and PostgreSQL clusters that a test may stop and crash. It knows where
// a server is to be had; it refuses to know the schema, so that every package
// whose tests need a database can use it, store included. It needs a Unix.
//
// PostgreSQL is the server of TEST_DATABASE_URL when that is set: a postgres://
// URL of a role that may create databases. Otherwise it is a throwaway cluster
// made with the installed programs, one per test process, which vanishes with
// the process however that ends. Without either, a test is skipped, or fails
// when the environment sets CI.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Each runs f once per database, as the subtests "postgres" and "sqlite", with
// the DSN ("postgres://…", "sqlite:/path") of an empty database that is f's alone.
func Each(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) { f(t, PostgresURL(t)) })
	t.Run("sqlite", func(t *testing.T) { f(t, "sqlite:"+SQLitePath(t)) })
}

// SQLitePath returns the path of a file that does not exist yet, in a directory
// that is removed when t ends.
func SQLitePath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "campaigns.db")
}

// databaseTimeout bounds the making and the dropping of one database: 10 to
// 50 ms each on an idle machine.
const databaseTimeout = time.Minute

// PostgresURL returns the postgres:// URL of an empty UTF-8 database that is t's
// alone; LISTEN channels and advisory locks are the database's, so tests cannot
// disturb each other with them. It is dropped when t ends, open sessions or not.
//
// The clusters that this package makes have one superuser, C collation, and a
// time zone that is neither UTC nor whole hours away from it.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server, err := serverURL()
	need(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), databaseTimeout)
	defer cancel()
	// Random, because the server may be shared by processes that run at once.
	name := "campaigns_test_" + strings.ToLower(rand.Text())
	id := pgx.Identifier{name}.Sanitize()
	// template0, because a CREATE DATABASE waits for nobody there and finds
	// nothing that somebody added.
	err = execute(ctx, server, "CREATE DATABASE "+id+" TEMPLATE template0 ENCODING 'UTF8'")
	if err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		if err := execute(ctx, server, "DROP DATABASE "+id+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test database %s: %v", name, err)
		}
	})
	return withDatabase(server, name)
}

// shared is the cluster of this process. Nobody stops it: it goes with the process.
var shared = sync.OnceValues(func() (*Cluster, error) { return newCluster("") })

func serverURL() (string, error) {
	if dsn := os.Getenv("TEST_DATABASE_URL"); dsn != "" {
		u, err := url.Parse(dsn)
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			// Not wrapped and not shown: it may hold a password.
			return "", errors.New("TEST_DATABASE_URL is not a postgres:// URL")
		}
		return dsn, nil
	}
	c, err := shared()
	if err != nil {
		return "", err
	}
	return c.URL(), nil
}

// need ends t if there is no server: a skip where PostgreSQL is merely not
// installed and nobody insists on it, else a failure.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case (errors.Is(err, errNotInstalled) || errors.Is(err, errNoFaketime)) && os.Getenv("CI") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// withDatabase replaces the database of a URL that url.Parse has accepted before.
func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic(err)
	}
	u.Path = "/" + name
	return u.String()
}

func execute(ctx context.Context, dsn, sql string) (err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}
