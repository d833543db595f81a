package tests

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/server"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// inProcess is the whole program within the test's process: for the many tests
// that do not care how a process lives and dies. Without carriers: what is sent
// goes to the sandbox.
type inProcess struct {
	t     *testing.T
	url   string
	store *store.Store
}

// eachInProcess runs f on both databases, with a server that is f's alone.
func eachInProcess(t *testing.T, f func(t *testing.T, s *inProcess)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f(t, startInProcess(t, dsn))
	})
}

func startInProcess(t *testing.T, dsn string) *inProcess {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := serveInProcess(t, dsn, log)
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() {
		// An error says that it never began, which a short test does not wait for.
		if err := delivery.New(s.store, delivery.Options{Log: log, PublicURL: publicURL}).Run(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	parts.Go(func() { delivery.NewImporter(s.store, log).Run(ctx) })
	t.Cleanup(func() {
		stop()
		parts.Wait()
	})
	return s
}

// serveInProcess is the API alone: nothing is sent and no file is worked.
func serveInProcess(t *testing.T, dsn string, log *slog.Logger) *inProcess {
	t.Helper()
	st, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	_, err = st.Migrate(t.Context())
	require.NoError(t, err)
	h, err := server.New(server.Options{Store: st, Log: log, PublicURL: publicURL, RateLimits: true})
	require.NoError(t, err)
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return &inProcess{t, web.URL, st}
}

// account makes one and gives the key of it that store works with.
func (s *inProcess) account(name string) int64 {
	s.t.Helper()
	a, err := s.store.CreateAccount(s.t.Context(), name)
	require.NoError(s.t, err)
	return a.ID
}

// api is a client with a new key.
func (s *inProcess) api(o store.KeyOptions) *api {
	s.t.Helper()
	key, _, err := s.store.CreateKey(s.t.Context(), o)
	require.NoError(s.t, err)
	return newAPI(s.t, s.url, key)
}

// tester is a client of a new account, with a key that may do everything on its
// test data.
func (s *inProcess) tester() *api {
	s.t.Helper()
	return s.api(store.KeyOptions{Account: s.account("Acme"), Mode: store.Test})
}
