package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/campaigns-api/campaigns/store"
)

const (
	defaultConcurrency = 16
	sendersPerLane     = 4 // chunks worked at once

	// A sender gives its chunk back after a turn, if another campaign has none,
	// and after longestTurn in any case: contacts are read when a turn begins, so
	// that is how late an opt-out may be heeded.
	turn        = time.Second
	longestTurn = 10 * time.Second
)

// lane is a carrier at work. Its senders take chunks in turn over accounts and,
// within an account, over campaigns, so that neither a big campaign nor a busy
// account holds up another. Slots bound what is on its way at once. No lane
// waits for another.
type lane struct {
	Lane
	mode     store.Mode
	slots    chan struct{}
	window   int       // recipients of a chunk that may be handed over and not yet recorded
	throttle *throttle // nil for none
	wake     chan struct{}
	start    func(*solo) // starts the goroutine of a throttled campaign
	breaker  *breaker

	mu    sync.Mutex
	turns turns
	solos map[int64]*solo
}

// solo is a campaign of a lane that is throttled, or whose account is. It has a
// goroutine of its own: it waits most of the time, and no sender should wait
// with it.
type solo struct {
	*run
	wake signal
	over chan struct{} // closed when nothing throttles it any more
}

func (e *Engine) newLane(l Lane, mode store.Mode) *lane {
	if l.Concurrency == 0 {
		l.Concurrency = defaultConcurrency
	}
	out := &lane{
		Lane: l, mode: mode, slots: make(chan struct{}, l.Concurrency), wake: make(chan struct{}, sendersPerLane),
		turns: turns{inside: map[int64]int{}, held: map[*run]int{}}, solos: map[int64]*solo{},
		breaker: newBreaker(l.Name, e.log, &e.timing),
	}
	out.window = window
	if l.AtMostOnce {
		out.window = min(max(onceWindow, 2*l.Concurrency), window)
	}
	if l.Rate > 0 {
		out.throttle = newThrottle(e.reserve, "carrier "+l.Name, l.Rate)
	}
	return out
}

// serves says whether the lane's carrier is one for the campaign's messages.
func (l *lane) serves(m store.Mode, c store.Channel) bool {
	return l.mode == m && slices.Contains(l.Channels, c)
}

// serve takes the campaigns that are active now, by key ascending.
func (l *lane) serve(all []*run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var mine []*run
	old := l.solos
	l.solos = map[int64]*solo{}
	for _, r := range all {
		switch {
		case !l.serves(r.Mode, r.Channel):
		case r.throttled():
			l.solos[r.ID] = l.solo(old[r.ID], r)
		case r.sending():
			mine = append(mine, r)
		}
	}
	for id, s := range old {
		if l.solos[id] != s {
			close(s.over)
		}
	}
	l.turns.set(mine)
	for range sendersPerLane {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// solo wakes the goroutine of a throttled campaign, or starts it.
func (l *lane) solo(s *solo, r *run) *solo {
	if s != nil && s.run == r {
		s.wake.raise()
		return s
	}
	s = &solo{r, newSignal(), make(chan struct{})}
	l.start(s)
	return s
}

// next gives a sender the next campaign, nil when there is none to look at. The
// sender leaves it when it is done.
func (l *lane) next() *run {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.turns.next()
	if r != nil {
		l.turns.held[r]++
	}
	return r
}

func (l *lane) leave(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turns.held[r]--; l.turns.held[r] == 0 {
		delete(l.turns.held, r)
	}
}

// awaited says whether a campaign that may have work has no sender.
func (l *lane) awaited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range l.turns.of {
		for _, r := range of {
			if l.turns.held[r] == 0 && r.ready() {
				return true
			}
		}
	}
	return false
}

// startLane starts a lane's senders. ctx: take no more; hard: drop what is on
// its way.
func (e *Engine) startLane(ctx, hard context.Context, l *lane, wg *sync.WaitGroup) {
	l.start = func(s *solo) {
		wg.Go(func() { e.serveAlone(ctx, hard, l, s) })
	}
	for range sendersPerLane {
		wg.Go(func() { e.serveInTurn(ctx, hard, l) })
	}
	wg.Go(func() { e.revive(ctx, hard, l) })
	wg.Go(func() {
		e.loop(ctx, "retry", pollEvery, nil, func(ctx context.Context) error { return e.retry(ctx, hard, l) })
	})
}

// serveInTurn is one sender: it works a chunk of whichever campaign is next.
func (e *Engine) serveInTurn(ctx, hard context.Context, l *lane) {
	for ctx.Err() == nil {
		p := l.breaker.enter(ctx, nil)
		if p == nil {
			return
		}
		if r := l.next(); r != nil {
			e.serveRun(ctx, hard, l, r, p)
			l.leave(r)
			continue
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		}
	}
}

// ended says whether another goroutine, or none, works the campaign from now on.
func (s *solo) ended() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// serveAlone works the chunks of one throttled campaign, for as long as it is
// active and throttled.
func (e *Engine) serveAlone(ctx, hard context.Context, l *lane, s *solo) {
	for ctx.Err() == nil {
		p := l.breaker.enter(ctx, s.over)
		if p == nil || s.ended() {
			return
		}
		if s.ready() {
			e.serveRun(ctx, hard, l, s.run, p)
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.over:
		case <-s.wake:
		}
	}
}

// serveRun claims and works one chunk. Without one there is nothing to look for
// until there is news, and perhaps the campaign is at its end.
func (e *Engine) serveRun(ctx, hard context.Context, l *lane, r *run, p *pass) {
	news := r.news.Load()
	worked, err := e.workNext(ctx, hard, l, r, p)
	switch {
	case err != nil:
		r.barren.Store(news) // until the next poll
	case worked:
		r.stir() // there may be another, and whoever worked the last one ends the campaign
	default:
		r.barren.Store(news)
		err = e.settle(ctx, r)
	}
	if err != nil && ctx.Err() == nil {
		e.log.Error("could not work a chunk", "campaign", r.PublicID, "carrier", l.Name, "error", err)
	}
}

// served are the campaigns that the lane sends for now.
func (l *lane) served() (rs []*run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range l.turns.of {
		rs = append(rs, of...)
	}
	for _, s := range l.solos {
		if s.sending() {
			rs = append(rs, s.run)
		}
	}
	return rs
}

// turns hands out campaigns: account after account, and within an account
// campaign after campaign.
type turns struct {
	accounts []int64
	of       map[int64][]*run
	at       int
	inside   map[int64]int
	held     map[*run]int // senders at work on it
}

// set replaces the campaigns and keeps everybody's place. all is sorted by key.
func (t *turns) set(all []*run) {
	t.of = map[int64][]*run{}
	t.accounts = t.accounts[:0]
	for _, r := range all {
		if t.of[r.Account] == nil {
			t.accounts = append(t.accounts, r.Account)
		}
		t.of[r.Account] = append(t.of[r.Account], r)
	}
	for a := range t.inside {
		if t.of[a] == nil {
			delete(t.inside, a)
		}
	}
}

// next is nil when no campaign is worth looking at.
func (t *turns) next() *run {
	for range t.accounts {
		account := t.accounts[t.at%len(t.accounts)]
		t.at++
		of := t.of[account]
		for range of {
			r := of[t.inside[account]%len(of)]
			t.inside[account]++
			if r.ready() {
				return r
			}
		}
	}
	return nil
}
