package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

func requireRefused(t *testing.T, s *store.Store, secret string) {
	t.Helper()
	_, err := s.Authenticate(t.Context(), secret)
	e := failure(t, err)
	require.Equal(t, store.CodeInvalidKey, e.Code)
	if secret != "" {
		require.NotContains(t, e.Error(), secret)
	}
}

func TestAccountsAreFoundByTheirID(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		a, err := s.CreateAccount(t.Context(), "Acme")
		require.NoError(t, err)
		b, err := s.CreateAccount(t.Context(), "Bolt")
		require.NoError(t, err)
		read, err := s.Account(t.Context(), a.PublicID)
		require.NoError(t, err)
		require.Equal(t, a, read)
		all, err := s.Accounts(t.Context())
		require.NoError(t, err)
		require.Equal(t, []store.Account{a, b}, all)
		_, err = s.Account(t.Context(), "acc_none")
		requireNotFound(t, err)
	})
}

func TestKeyGivesItsScopeAndIsKeptAsAHashOnly(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, account := t.Context(), newScope(t, s).Account
		for prefix, o := range map[string]store.KeyOptions{
			"dv_test_sk_": {Account: account, Mode: store.Test, Name: "shop"},
			"dv_live_sk_": {Account: account, Mode: store.Live},
			"dv_live_pk_": {Account: account, Mode: store.Live, Public: true},
		} {
			secret, made, err := s.CreateKey(ctx, o)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(secret, prefix), secret)
			require.GreaterOrEqual(t, len(secret), len(prefix)+26, "128 random bits at least")

			k, err := s.Authenticate(ctx, secret)
			require.NoError(t, err)
			require.Equal(t, made, k)
			require.Equal(t, store.Scope{Account: account, Mode: o.Mode}, k.Scope())
			require.NotContains(t, k.Hash, secret)
			require.Less(t, len(k.Hint), len(secret)-16, "the hint does not give the key away")
			require.Equal(t, !o.Public, k.Allows("campaigns:write"))
			require.Equal(t, !o.Public, k.Allows("campaigns:read", "audience:read"))
			require.True(t, k.Allows("campaigns:read"))
		}
		keys, err := s.Keys(ctx, account)
		require.NoError(t, err)
		require.Len(t, keys, 3)
		keys, err = s.Keys(ctx, newScope(t, s).Account)
		require.NoError(t, err)
		require.Empty(t, keys)
	})
}

func TestKeyIsNarrowedToScopesItsKindAllows(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		account := newScope(t, s).Account
		_, k, err := s.CreateKey(t.Context(), store.KeyOptions{Account: account, Mode: store.Live, Scopes: []string{"audience:read"}})
		require.NoError(t, err)
		require.True(t, k.Allows("audience:read"))
		require.False(t, k.Allows("audience:read", "audience:write"))

		for _, o := range []store.KeyOptions{
			{Account: account, Mode: store.Live, Scopes: []string{"everything"}},
			{Account: account, Mode: store.Live, Public: true, Scopes: []string{"audience:read"}},
		} {
			_, _, err = s.CreateKey(t.Context(), o)
			require.Equal(t, store.CodeValidation, failure(t, err).Code)
		}
	})
}

func TestUnknownExpiredAndRevokedKeysAreRefused(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, account := t.Context(), newScope(t, s).Account
		secret, k, err := s.CreateKey(ctx, store.KeyOptions{Account: account, Mode: store.Test})
		require.NoError(t, err)
		for _, bad := range []string{"", "dv_test_sk_none", secret + " ", strings.ToUpper(secret), secret[:len(secret)-1], k.Hash, k.PublicID} {
			requireRefused(t, s, bad)
		}

		old, _, err := s.CreateKey(ctx, store.KeyOptions{Account: account, Mode: store.Test, ExpiresAt: ptr(time.Now().Add(-time.Second))})
		require.NoError(t, err)
		requireRefused(t, s, old)
		fresh, _, err := s.CreateKey(ctx, store.KeyOptions{Account: account, Mode: store.Test, ExpiresAt: ptr(time.Now().Add(time.Hour))})
		require.NoError(t, err)
		_, err = s.Authenticate(ctx, fresh)
		require.NoError(t, err)

		revoked, err := s.RevokeKey(ctx, k.PublicID)
		require.NoError(t, err)
		again, err := s.RevokeKey(ctx, k.PublicID)
		require.NoError(t, err)
		require.Equal(t, revoked.RevokedAt, again.RevokedAt)
		requireRefused(t, s, secret)
		_, err = s.RevokeKey(ctx, "key_none")
		requireNotFound(t, err)
	})
}

func TestUseOfAKeyIsKeptToTheMinute(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, account := t.Context(), newScope(t, s).Account
		secret, _, err := s.CreateKey(ctx, store.KeyOptions{Account: account, Mode: store.Test})
		require.NoError(t, err)
		use := func() (last time.Time) { // reads, uses and reads again
			k, err := s.Authenticate(ctx, secret)
			require.NoError(t, err)
			s.NoteKeyUse(k)
			require.NoError(t, s.KeepKeyUses(ctx))
			ks, err := s.Keys(ctx, account)
			require.NoError(t, err)
			return *ks[0].LastUsedAt
		}
		began := time.Now().UTC().Truncate(time.Microsecond)
		first := use()
		require.WithinRange(t, first, began, time.Now())
		require.Equal(t, first, use(), "within the minute")
		aged := func(by time.Duration) time.Time {
			at := time.Now().UTC().Truncate(time.Microsecond).Add(-by)
			require.NoError(t, s.Exec(ctx, "UPDATE api_keys SET last_used_at = ?", at))
			return at
		}
		recent := aged(30 * time.Second)
		require.Equal(t, recent, use())
		aged(time.Minute)
		require.WithinRange(t, use(), began, time.Now())
	})
}

func TestUseOfAKeyThatCannotBeKeptStaysNoted(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, account := t.Context(), newScope(t, s).Account
		_, k, err := s.CreateKey(ctx, store.KeyOptions{Account: account, Mode: store.Test})
		require.NoError(t, err)
		s.NoteKeyUse(k)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, s.KeepKeyUses(gone), context.Canceled)
		require.NoError(t, s.KeepKeyUses(ctx))
		ks, err := s.Keys(ctx, account)
		require.NoError(t, err)
		require.NotNil(t, ks[0].LastUsedAt)
	})
}

// TestLaterUseOfAKeyStands keeps in one process what was noted before another's.
func TestLaterUseOfAKeyStands(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, account := t.Context(), newScope(t, s).Account
		_, k, err := s.CreateKey(ctx, store.KeyOptions{Account: account, Mode: store.Test})
		require.NoError(t, err)
		s.NoteKeyUse(k)
		later := time.Now().UTC().Truncate(time.Microsecond).Add(time.Second)
		require.NoError(t, s.Exec(ctx, "UPDATE api_keys SET last_used_at = ?", later))
		require.NoError(t, s.KeepKeyUses(ctx))
		ks, err := s.Keys(ctx, account)
		require.NoError(t, err)
		require.Equal(t, later, *ks[0].LastUsedAt)
	})
}
