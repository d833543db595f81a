package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"testing"
	"time"

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

// TestDatabaseOfTheFirstVersionIsBroughtUpToDate starts from one with data in it.
func TestDatabaseOfTheFirstVersionIsBroughtUpToDate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s, ctx := open(t, dsn), t.Context()
		require.NoError(t, s.MigrateTo(ctx, 1))
		const secret = "dv_test_sk_of_the_first_version"
		hash := sha256.Sum256([]byte(secret))
		at := time.Now().UTC().Truncate(time.Microsecond)
		require.NoError(t, s.Exec(ctx, "INSERT INTO accounts (id, public_id, name, created_at) VALUES (7, 'acc_7', 'Acme', ?)", at))
		require.NoError(t, s.Exec(ctx, `INSERT INTO api_keys (public_id, account_id, mode, name, hash, hint, scopes, created_at)
VALUES ('key_7', 7, ?, 'shop', ?, 'dv', '["audience:read"]', ?)`, store.Test, hex.EncodeToString(hash[:]), at))
		require.NoError(t, s.Exec(ctx, `INSERT INTO imports (public_id, account_id, mode, status, format, header, created_at)
VALUES ('imp_7', 7, ?, 'completed', 'csv', '[]', ?)`, store.Test, at))

		applied, err := s.Migrate(ctx)
		require.NoError(t, err)
		require.Equal(t, int64(2), applied[0])
		k, err := s.Authenticate(ctx, secret)
		require.NoError(t, err)
		require.Equal(t, []string{"audience:read"}, k.Scopes)
		require.Nil(t, k.LastUsedAt)
		_, replayed, err := listing(t, s, k.Scope(), request("a", "x"))
		require.NoError(t, err)
		require.False(t, replayed)
		_, err = s.Import(ctx, k.Scope(), "imp_7")
		require.NoError(t, err)
	})
}
