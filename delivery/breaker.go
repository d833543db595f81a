package delivery

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/campaigns-api/campaigns/store"
)

// A lane stops when most of its last hand-overs had trouble with the carrier.
const (
	lookBack = 20
	tooMuch  = 11
)

// How long a lane rests before a probe: twice as long after each that fails, from
// timing.firstWait to longestRest, each about; longer if the carrier wishes, but
// no longer than longestWish.
const (
	longestRest = 40 * time.Second
	longestWish = time.Hour
)

// breaker stops a lane while its carrier is down, so that an outage costs a few
// messages an attempt and not all of them. The lane's senders hand over by a pass
// that they share. When trouble with the carrier ends it they give their chunks
// back and wait; one goroutine, see Engine.revive, lets single messages probe, each
// by a pass of its own, until one gets through.
type breaker struct {
	carrier string
	log     *slog.Logger
	timing  *timing
	shared  atomic.Pointer[pass] // nil while the lane is stopped
	stopped signal

	mu     sync.Mutex
	goes   chan struct{} // closed when the lane goes on; nil while it does
	since  time.Time     // when it stopped or went on
	reason string
	rests  int // without a calm in between
	next   time.Time
}

// pass allows hand-overs until it is over, and learns from each of them.
type pass struct {
	probe bool
	over  atomic.Bool     // set before ctx ends
	ctx   context.Context // ends soon after the pass is over
	end   context.CancelFunc
	last  atomic.Uint32 // the last hand-overs, a bit each: set for trouble
	found error         // by a probe that is over: why it failed
}

func newPass(probe bool) *pass {
	p := &pass{probe: probe}
	p.ctx, p.end = context.WithCancel(context.Background())
	return p
}

func newBreaker(carrier string, log *slog.Logger, t *timing) *breaker {
	b := &breaker{carrier: carrier, log: log, timing: t, stopped: newSignal()}
	b.shared.Store(newPass(false))
	return b
}

// enter gives the lane's pass and waits for it while the lane is stopped; nil when
// ctx or gone ends first.
func (b *breaker) enter(ctx context.Context, gone <-chan struct{}) *pass {
	for {
		if p := b.shared.Load(); p != nil {
			return p
		}
		b.mu.Lock()
		goes := b.goes
		b.mu.Unlock()
		if goes == nil {
			continue // it went on in between
		}
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return nil
		case <-goes:
		}
	}
}

// learn takes the carrier's answer to a hand-over. A probe is over with it.
func (b *breaker) learn(p *pass, err error) {
	trouble := ofCarrier(err)
	switch {
	case p.probe:
		if trouble {
			p.found = err
		}
		p.over.Store(true)
		p.end()
	case p.count(trouble) && p.over.CompareAndSwap(false, true):
		b.stop(err)
		p.end()
	}
}

// ofCarrier says whether an answer is trouble that speaks of the carrier and not
// of the message: the next message would fare no better.
func ofCarrier(err error) bool {
	if err == nil {
		return false // before there is anything to allocate
	}
	var rejected *Rejected
	var deferred *Deferred
	switch {
	case errors.As(err, &rejected):
		return false
	case errors.As(err, &deferred):
		return deferred.Carrier
	}
	return true
}

// count says whether there is too much trouble. While there is none it writes
// nothing, so that the senders do not get in each other's way.
func (p *pass) count(trouble bool) bool {
	for {
		old := p.last.Load()
		last := old << 1 & (1<<lookBack - 1)
		if trouble {
			last |= 1
		}
		if last == old || p.last.CompareAndSwap(old, last) {
			return trouble && bits.OnesCount32(last) >= tooMuch
		}
	}
}

// stop stops the lane.
func (b *breaker) stop(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.since) > 2*longestRest { // a carrier that comes and goes finds ever less patience
		b.rests = 0
	}
	b.shared.Store(nil)
	b.goes, b.since, b.reason = make(chan struct{}), now, printable(err.Error(), maxCarrierText)
	b.rest(err)
	b.log.Warn("carrier is down: hand-over stops", "carrier", b.carrier, "reason", b.reason, "probe_in", b.next.Sub(now).Round(time.Millisecond))
	b.stopped.raise()
}

// rest sets the time of the next probe.
func (b *breaker) rest(err error) {
	b.rests++
	wait := backoff(b.rests, b.timing.firstWait, longestRest)
	var deferred *Deferred
	if errors.As(err, &deferred) {
		wait = max(wait, min(deferred.RetryAfter, longestWish))
	}
	b.next = time.Now().Add(wait)
}

// judge says whether the lane goes on after a probe. One that nobody used, or that
// our own end broke off, says nothing: there is another soon.
func (b *breaker) judge(p *pass) (goes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !p.over.Load():
		b.next = time.Now().Add(pollEvery)
	case p.found != nil:
		b.reason = printable(p.found.Error(), maxCarrierText)
		b.rest(p.found)
	default:
		b.log.Info("carrier is back: hand-over goes on", "carrier", b.carrier, "after", time.Since(b.since).Round(time.Millisecond))
		b.shared.Store(newPass(false))
		close(b.goes)
		b.goes, b.since, b.reason, b.next = nil, time.Now(), "", time.Time{}
		return true
	}
	return false
}

// untilProbe is how long the lane is still to rest.
func (b *breaker) untilProbe() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.next)
}

// CarrierState is how a carrier fares, as this process sees it.
type CarrierState struct {
	Name   string    `json:"name"`
	Down   bool      `json:"down"`             // nothing is handed over to it but probes
	Since  time.Time `json:"since,omitzero"`   // when it went down; zero if it is not
	Reason string    `json:"reason,omitempty"` // the last trouble, without secrets
	Probe  time.Time `json:"probe,omitzero"`   // when it is tried again, about
}

// Carriers are the carriers of live messages.
func (e *Engine) Carriers() []CarrierState {
	all := []CarrierState{}
	for _, l := range e.lanes {
		if l.mode == store.Live {
			all = append(all, l.breaker.state())
		}
	}
	return all
}

func (b *breaker) state() CarrierState {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := CarrierState{Name: b.carrier, Down: b.goes != nil}
	if s.Down {
		s.Since, s.Reason, s.Probe = b.since, b.reason, b.next
	}
	return s
}

// revive waits for the lane to stop and brings it back.
func (e *Engine) revive(ctx, hard context.Context, l *lane) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.breaker.stopped:
		}
		for goes := false; !goes; {
			pause(ctx, l.breaker.untilProbe())
			if ctx.Err() != nil {
				return
			}
			p := newPass(true)
			e.probe(ctx, hard, l, p)
			goes = l.breaker.judge(p)
			p.end()
		}
	}
}

// probe hands one message over: a retry that is due, so that a long outage makes no
// more of them, or else the next of a chunk. The campaigns are taken in random
// order: one whose messages alone fail must not keep the lane stopped.
func (e *Engine) probe(ctx, hard context.Context, l *lane, p *pass) {
	runs := l.served()
	rand.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
	for _, r := range runs {
		if _, err := e.retryRun(ctx, hard, l, r, p); err != nil && ctx.Err() == nil {
			e.log.Error("could not probe with a retry", "campaign", r.PublicID, "carrier", l.Name, "error", err)
		}
		if !p.over.Load() && r.ready() {
			e.serveRun(ctx, hard, l, r, p)
		}
		if p.over.Load() || ctx.Err() != nil {
			return
		}
	}
}
