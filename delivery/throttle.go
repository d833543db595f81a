package delivery

import (
	"context"

	"golang.org/x/time/rate"
)

// throttle bounds how many messages go out a second; a nil one bounds nothing.
// One goroutine at a time waits for a token: of several that stop waiting
// together, only the last in line would give its token back.
type throttle struct {
	limiter *rate.Limiter
	turn    chan struct{}
}

func newThrottle(perSecond float64) *throttle {
	return &throttle{rate.NewLimiter(rate.Limit(perSecond), burst(perSecond)), make(chan struct{}, 1)}
}

// burst lets a limiter wake up rarely at high rates and stay exact at low ones.
func burst(perSecond float64) int { return max(1, int(perSecond/50)) }

func (t *throttle) set(perSecond float64) {
	if t.limiter.Limit() != rate.Limit(perSecond) {
		t.limiter.SetLimit(rate.Limit(perSecond))
		t.limiter.SetBurst(burst(perSecond))
	}
}

func (t *throttle) perSecond() float64 { return float64(t.limiter.Limit()) }

// wait takes a token; false when ctx ends first.
func (t *throttle) wait(ctx context.Context) bool {
	if t == nil {
		return true
	}
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-t.turn }()
	return t.limiter.Wait(ctx) == nil
}
