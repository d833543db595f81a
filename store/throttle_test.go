package store_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

func TestPlacesFollowEachOtherWhoeverTakesThem(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		var last atomic.Int64
		began := time.Now()
		together(t, 8, func(ctx context.Context, _ int) error {
			for range 10 {
				first, err := s.Reserve(ctx, "carrier x", 100, 5)
				if err != nil {
					return err
				}
				for at := int64(time.Since(began) + first); ; {
					if was := last.Load(); was >= at || last.CompareAndSwap(was, at) {
						break
					}
				}
			}
			return nil
		})
		// 400 places at 100 a second: the last five begin 3.95 s after the first.
		require.GreaterOrEqual(t, time.Duration(last.Load()), 3900*time.Millisecond)
		first, err := s.Reserve(t.Context(), "carrier y", 100, 1)
		require.NoError(t, err)
		require.LessOrEqual(t, first, time.Duration(0), "another bound")
	})
}

func TestBoundBeginsAnewWhenTheDatabasesClockWentBack(t *testing.T) {
	s := open(t, storetest.PostgresURL(t))
	ctx := t.Context()
	_, err := s.Migrate(ctx)
	require.NoError(t, err)
	_, err = s.Reserve(ctx, "carrier x", 1000, 100)
	require.NoError(t, err)
	require.NoError(t, s.Exec(ctx, "UPDATE throttles SET free_at = free_at + interval '1 hour'"))
	first, err := s.Reserve(ctx, "carrier x", 1000, 100)
	require.NoError(t, err)
	require.LessOrEqual(t, first, time.Duration(0))
	second, err := s.Reserve(ctx, "carrier x", 1000, 100)
	require.NoError(t, err)
	require.Greater(t, second, first)
}

func TestRateOfAnAccountIsKept(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		a, err := s.CreateAccount(t.Context(), "Acme")
		require.NoError(t, err)
		require.Zero(t, a.Rate)
		a, err = s.SetAccountRate(t.Context(), a.PublicID, 12.5)
		require.NoError(t, err)
		as, err := s.Accounts(t.Context())
		require.NoError(t, err)
		require.Equal(t, []store.Account{a}, as)
		require.InDelta(t, 12.5, a.Rate, 0)
		_, err = s.SetAccountRate(t.Context(), "acc_nobody", 1)
		require.Equal(t, store.CodeNotFound, failure(t, err).Code)
	})
}
