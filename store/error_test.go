package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// TestServerThatTakesNoWorkIsAway has one without room for another session, and
// then ends it in both ways in the middle of a statement.
func TestServerThatTakesNoWorkIsAway(t *testing.T) {
	t.Parallel()
	c := storetest.NewCluster(t)
	s := open(t, c.URL())
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Exec(t.Context(), "CREATE ROLE latecomer LOGIN CONNECTION LIMIT 0"))
	_, err = store.Open(t.Context(), strings.Replace(c.URL(), "postgres@", "latecomer@", 1))
	require.ErrorContains(t, err, "too many connections")
	requireAway(t, err)

	found, err := pgx.Connect(t.Context(), c.URL())
	require.NoError(t, err)
	require.NoError(t, found.Close(t.Context()))
	_, err = found.Exec(t.Context(), "SELECT 1")
	require.EqualError(t, err, "conn closed")
	requireAway(t, err)

	sc := newScope(t, s)
	makeList := func() error {
		_, err := s.CreateList(t.Context(), sc, store.List{Name: "Friends"})
		return err
	}
	for _, how := range []storetest.Mode{storetest.Fast, storetest.Immediate} {
		inTheMiddle := make(chan error)
		go func() { inTheMiddle <- s.Exec(t.Context(), "SELECT pg_sleep(600)") }()
		require.Eventually(t, func() bool {
			sleeping, err := s.Count(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
			return err == nil && sleeping == 1
		}, time.Minute, 5*time.Millisecond)
		_, _, err = s.Once(t.Context(), sc, request("a", "x"), func(tx *store.Store) ([]byte, store.Ending) {
			require.NoError(t, c.Stop(how))
			_, err := tx.CreateList(t.Context(), sc, store.List{Name: "Friends"})
			requireAway(t, err)
			return nil, store.Refused
		})
		requireAway(t, err)
		requireAway(t, <-inTheMiddle)
		for range 3 { // on a connection from before, and on new ones that nobody takes
			requireAway(t, makeList())
		}
		_, err := store.Open(t.Context(), c.URL())
		requireAway(t, err)
		require.NoError(t, c.Start())
		require.NoError(t, makeList())
	}
}

// TestConnectionThatIsGoneIsAway asks the driver alone: whether a transaction's
// begin or commit still meets a connection that has been seen to break depends on
// the moment.
func TestConnectionThatIsGoneIsAway(t *testing.T) {
	t.Parallel()
	c, err := pgx.Connect(t.Context(), storetest.PostgresURL(t))
	require.NoError(t, err)
	require.NoError(t, c.Close(t.Context()))
	_, err = c.Exec(t.Context(), "COMMIT")
	requireAway(t, err)
}

func TestCallerWhoIsGoneIsNoDatabaseAway(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.CreateList(gone, sc, store.List{Name: "Friends"})
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, store.Away(err))
	})
}

func requireAway(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, store.Away(err), "%v", err)
	require.True(t, store.Away(fmt.Errorf("create a list: %w", errors.Join(io.EOF, err))), "wrapped")
}

func TestHeldOrFullFileIsAway(t *testing.T) {
	t.Parallel()
	path := storetest.SQLitePath(t)
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "PRAGMA journal_mode = WAL; CREATE TABLE x (y); PRAGMA max_page_count = 5")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "INSERT INTO x VALUES (zeroblob(1000000))")
	require.ErrorContains(t, err, "full")
	requireAway(t, err)

	other, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer other.Close()
	_, err = db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	_, err = other.ExecContext(t.Context(), "INSERT INTO x VALUES (1)")
	require.ErrorContains(t, err, "locked")
	requireAway(t, err)
}

func TestWhatAnotherTryDoesNotMendIsNotAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, err := s.List(t.Context(), sc, "lst_none")
		require.False(t, store.Away(err), "%v", err)
		for _, statement := range []string{"SELECT nonsense", "INSERT INTO accounts (name) VALUES (NULL)", "DROP TABLE nonsense"} {
			err := s.Exec(t.Context(), statement)
			require.Error(t, err, statement)
			require.False(t, store.Away(err), "%v", err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		_, err = s.CreateList(ended, sc, store.List{Name: "Friends"})
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, store.Away(err), "%v", err)
		require.False(t, store.Away(nil))
	})
}
