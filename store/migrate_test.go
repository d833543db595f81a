package store_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// processes runs f in six processes' places at once, each with a Store of its own.
func processes(t *testing.T, dsn string, f func(i int, s *store.Store)) {
	t.Helper()
	var stores []*store.Store
	for range 6 {
		stores = append(stores, open(t, dsn))
	}
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() { f(i, s) })
	}
	all.Wait()
}

func TestProcessesThatStartAtOnceMigrateOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		applied, errs := make([][]int64, 6), make([]error, 6)
		processes(t, dsn, func(i int, s *store.Store) { applied[i], errs[i] = s.Migrate(t.Context()) })

		var by int
		for i := range applied {
			require.NoError(t, errs[i])
			if len(applied[i]) > 0 {
				by++
			}
		}
		require.Equal(t, 1, by)

		again, err := open(t, dsn).Migrate(t.Context())
		require.NoError(t, err)
		require.Empty(t, again)
	})
}

func TestProcessesShareOneSecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		_, err := open(t, dsn).Migrate(t.Context())
		require.NoError(t, err)
		secrets, errs := make([][]byte, 6), make([]error, 6)
		processes(t, dsn, func(i int, s *store.Store) { secrets[i], errs[i] = s.Secret(t.Context()) })
		for i := range secrets {
			require.NoError(t, errs[i])
			require.Len(t, secrets[i], 32)
			require.Equal(t, secrets[0], secrets[i])
		}
	})
}
