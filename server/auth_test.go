package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// makeKey makes a key of a new account's test data, until a time if one is given.
func makeKey(t *testing.T, st *store.Store, until *time.Time) (secret string, k store.Key) {
	t.Helper()
	a, err := st.CreateAccount(t.Context(), "Acme")
	require.NoError(t, err)
	secret, k, err = st.CreateKey(t.Context(), store.KeyOptions{Account: a.ID, Mode: store.Test, ExpiresAt: until})
	require.NoError(t, err)
	return secret, k
}

// requireRefused wants a key not to work, for what it is.
func requireRefused(t *testing.T, s *Server, secret string) {
	t.Helper()
	_, err := s.authenticate(t.Context(), secret)
	var e *store.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, store.CodeInvalidKey, e.Code)
}

// TestRememberedKeyCostsNoQuery takes the database away between two calls.
func TestRememberedKeyCostsNoQuery(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		st := newServer(t, dsn).Store
		h, err := New(Options{Store: st, Log: slog.New(slog.DiscardHandler), RateLimits: true})
		require.NoError(t, err)
		ask := func(key string) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/lists?limit=0", nil)
			r.Header.Set("X-API-Key", key)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		warm, _ := makeKey(t, st, nil)
		cold, _ := makeKey(t, st, nil)
		require.Equal(t, http.StatusBadRequest, ask(warm))
		require.NoError(t, st.Close())
		require.Equal(t, http.StatusBadRequest, ask(warm), "its key is known, and the rest is its own fault")
		require.GreaterOrEqual(t, ask(cold), http.StatusInternalServerError)
	})
}

func TestRevokedKeyWorksNoLongerThanItIsRemembered(t *testing.T) {
	path := storetest.SQLitePath(t)
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "sqlite:"+path)
		secret, k := makeKey(t, s.Store, nil)
		for range 4 { // being used does not lengthen it
			_, err := s.authenticate(t.Context(), secret)
			require.NoError(t, err)
			_, err = s.Store.RevokeKey(t.Context(), k.PublicID)
			require.NoError(t, err)
			pass(keyMemory / 4)
		}
		requireRefused(t, s, secret)
	})
}

func TestExpiredKeyStopsAtItsSecondThoughRemembered(t *testing.T) {
	path := storetest.SQLitePath(t)
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "sqlite:"+path)
		until := time.Now().Add(keyMemory / 2)
		secret, _ := makeKey(t, s.Store, &until)
		_, err := s.authenticate(t.Context(), secret)
		require.NoError(t, err)
		pass(time.Until(until) - time.Microsecond)
		_, err = s.authenticate(t.Context(), secret)
		require.NoError(t, err)
		pass(time.Microsecond)
		require.Equal(t, 1, s.keys.Len())
		requireRefused(t, s, secret)
	})
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func TestOnlyKeysThatWorkAreRemembered(t *testing.T) {
	s := newServer(t, "sqlite:"+storetest.SQLitePath(t))
	yesterday := time.Now().Add(-24 * time.Hour)
	expired, k := makeKey(t, s.Store, &yesterday)
	revoked, ended := makeKey(t, s.Store, nil)
	_, err := s.Store.RevokeKey(t.Context(), ended.PublicID)
	require.NoError(t, err)
	const made = "dv_test_sk_made_later"
	for _, secret := range []string{"", made, strings.Repeat("x", 10_000), expired, revoked} {
		requireRefused(t, s, secret)
	}
	require.Zero(t, s.keys.Len())

	_, _, err = s.Store.CreateKey(t.Context(), store.KeyOptions{Account: k.AccountID, Mode: store.Test, Secret: made})
	require.NoError(t, err)
	_, err = s.authenticate(t.Context(), made)
	require.NoError(t, err, "nor is it remembered that a key was unknown")
}

func TestMemoryOfKeysIsBounded(t *testing.T) {
	s := newServer(t, "sqlite:"+storetest.SQLitePath(t))
	s.keys = newKeyMemo(2)
	for range 3 {
		secret, k := makeKey(t, s.Store, nil)
		for range 2 {
			got, err := s.authenticate(t.Context(), secret)
			require.NoError(t, err)
			require.Equal(t, k.ID, got.ID)
		}
	}
	require.Equal(t, 2, s.keys.Len())
}
