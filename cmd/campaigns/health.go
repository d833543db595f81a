package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
)

// health answers /healthz while the process runs and /readyz while the database
// answers, for a worker, which has no API to ask; and, if the process sends,
// /carriers with how each of them fares. That one is down makes the process
// neither dead nor unready: to start it anew would help nobody.
func health(st *store.Store, engine *delivery.Engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if st.Ping(ctx) != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	if engine != nil {
		mux.HandleFunc("GET /carriers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(engine.Carriers())
		})
	}
	return mux
}
