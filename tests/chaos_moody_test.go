package tests

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
)

// moody is a carrier's other side. It takes every message, but for the time of
// a mood.
type moody struct {
	take    http.Handler
	mood    atomic.Pointer[mood] // nil for none
	met     atomic.Int64         // messages met in a mood
	untold  atomic.Int64         // taken without saying so: each of them has to be repeated
	refused atomic.Int64         // for good
}

type mood func(g *moody, w http.ResponseWriter, r *http.Request)

func newMoody(c *sink.Counter) *moody { return &moody{take: sink.HTTP(c)} }

func (g *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m := g.mood.Load(); m != nil {
		g.met.Add(1)
		(*m)(g, w, r)
		return
	}
	g.take.ServeHTTP(w, r)
}

// swallow takes a message and keeps the answer to itself.
func (g *moody) swallow(r *http.Request) {
	g.untold.Add(1)
	g.take.ServeHTTP(httptest.NewRecorder(), r)
}

func hangs(g *moody, _ http.ResponseWriter, r *http.Request) {
	g.swallow(r)
	<-r.Context().Done()
}

func answersLate(g *moody, w http.ResponseWriter, r *http.Request) {
	<-time.After(gatewayTimeout / 2)
	g.take.ServeHTTP(w, r)
}

func dropsWhatItTook(g *moody, _ http.ResponseWriter, r *http.Request) {
	g.swallow(r)
	panic(http.ErrAbortHandler)
}

func answersGarbage(g *moody, w http.ResponseWriter, r *http.Request) {
	g.swallow(r)
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = c.Write([]byte("\x00\xff no HTTP\r\n\r\n"))
	_ = c.Close()
}

func isBusy(_ *moody, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
}

func isBroken(_ *moody, w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusBadGateway)
}

func refuses(g *moody, w http.ResponseWriter, _ *http.Request) {
	g.refused.Add(1)
	w.WriteHeader(http.StatusUnprocessableEntity)
}
