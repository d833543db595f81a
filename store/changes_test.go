package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// listening runs s.Listen until the test ends; broken gets its complaints.
func listening(t *testing.T, s *store.Store) (broken <-chan error) {
	t.Helper()
	complaints := make(chan error, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { s.Listen(ctx, func(err error) { complaints <- err }) })
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	return complaints
}

// requireTold changes the campaign until changes tell of it: the listener may
// still be on its way to the database.
func requireTold(t *testing.T, s *store.Store, sc store.Scope, c store.Campaign, changes <-chan int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := s.UpdateCampaign(t.Context(), sc, c.PublicID, rename)
		require.NoError(t, err)
		select {
		case id := <-changes:
			return id == c.ID
		default:
			return false
		}
	}, 30*time.Second, 20*time.Millisecond)
}

// rename gives a campaign another name than it has.
func rename(c *store.Campaign) error {
	if err := c.Edit(); err != nil {
		return err
	}
	c.Name = map[string]string{"Spring": "Summer", "Summer": "Spring"}[c.Name]
	return nil
}

func newCampaign(t *testing.T, s *store.Store, sc store.Scope) store.Campaign {
	t.Helper()
	c, err := s.CreateCampaign(t.Context(), sc, store.Campaign{Name: "Spring", Channel: store.SMS})
	require.NoError(t, err)
	return c
}

func TestChangesReachEveryListener(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		listening(t, s)
		sc := newScope(t, s)
		c := newCampaign(t, s, sc)
		one, stopOne := s.Changes()
		defer stopOne()
		two, stopTwo := s.Changes()
		requireTold(t, s, sc, c, one)
		requireTold(t, s, sc, c, two)

		stopTwo()
		for len(two) > 0 {
			<-two
		}
		requireTold(t, s, sc, c, one)
		require.Empty(t, two)
	})
}

func TestListenerThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		listening(t, s)
		sc := newScope(t, s)
		c := newCampaign(t, s, sc)
		_, stopDeaf := s.Changes()
		defer stopDeaf()
		for range 100 {
			_, err := s.UpdateCampaign(t.Context(), sc, c.PublicID, rename)
			require.NoError(t, err)
		}
		changes, stop := s.Changes()
		defer stop()
		requireTold(t, s, sc, c, changes)
	})
}

func TestChangesCrossProcessesAndSurviveALostConnection(t *testing.T) {
	dsn := storetest.PostgresURL(t)
	here, there := open(t, dsn), open(t, dsn)
	_, err := here.Migrate(t.Context())
	require.NoError(t, err)
	broken := listening(t, there)
	changes, stop := there.Changes()
	defer stop()
	sc := newScope(t, here)
	c := newCampaign(t, here, sc)
	requireTold(t, here, sc, c, changes)

	admin, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { _ = admin.Close(context.Background()) }()
	_, err = admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'`)
	require.NoError(t, err)
	require.Error(t, <-broken)
	for len(changes) > 0 {
		<-changes
	}
	requireTold(t, here, sc, c, changes)
}
