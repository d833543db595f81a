// The conformance suite: every promise of the store, on both databases.
package store_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// each runs f on PostgreSQL and on SQLite, with a migrated database of its own.
func each(t *testing.T, f func(t *testing.T, s *store.Store)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		_, err := s.Migrate(t.Context())
		require.NoError(t, err)
		f(t, s)
	})
}

// open opens a database as one more process would.
func open(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// newScope is the test data of a new account.
func newScope(t testing.TB, s *store.Store) store.Scope {
	t.Helper()
	a, err := s.CreateAccount(t.Context(), "Acme")
	require.NoError(t, err)
	return store.Scope{Account: a.ID, Mode: store.Test}
}

func ptr[T any](v T) *T { return &v }

// failure is the store.Error that err must be.
func failure(t testing.TB, err error) *store.Error {
	t.Helper()
	var e *store.Error
	require.ErrorAs(t, err, &e)
	return e
}

// fields are those that an error finds fault with, and the codes.
func fields(t testing.TB, err error) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range failure(t, err).Faults {
		out[f.Field] = f.Code
	}
	return out
}

func requireNotFound(t testing.TB, err error) {
	t.Helper()
	require.Equal(t, store.CodeNotFound, failure(t, err).Code)
}

func TestSQLiteMustBeAFile(t *testing.T) {
	for _, dsn := range []string{"sqlite:", "sqlite::memory:"} {
		_, err := store.Open(t.Context(), dsn)
		require.ErrorContains(t, err, "name a file")
	}
}

func TestSQLiteMakesItsDirectory(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "a place", "of its own?", "campaigns.db"))
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Ping(t.Context()))
}

func TestUnreachableDatabaseIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.Open(ctx, "postgres://nobody@127.0.0.1:1/none")
	require.ErrorContains(t, err, "reach PostgreSQL")
}

func TestOneProcessSendsFromAnSQLiteFile(t *testing.T) {
	dsn := "sqlite:" + storetest.SQLitePath(t)
	first, second := open(t, dsn), open(t, dsn)
	require.NoError(t, first.Exclusive())
	require.ErrorContains(t, second.Exclusive(), "in use")
}
