package delivery

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// throttle bounds how many messages go out a second, in all processes together;
// a nil one bounds nothing. It takes places in time from the ledger, some at
// once, and gives them out when their time comes.
type throttle struct {
	reserve  reserve
	name     string
	rate     atomic.Uint64 // float64 bits
	changed  signal
	turn     chan struct{} // whoever has it owns what follows
	next     time.Time     // the first place in hand
	step     time.Duration // from one to the next
	left     int
	batch    int // how many to take at once
	consumed bool
}

// reserve takes places: see store.Reserve.
type reserve func(ctx context.Context, name string, perSecond float64, n int) (first time.Duration, err error)

const (
	// Places are taken for this long at most, so that those a process has taken and
	// cannot use are few.
	placesFor = 100 * time.Millisecond

	// A place is void so long after its time: what is late may not come in a heap. In
	// any second at most a twentieth more than the rate goes out.
	placeVoid = 50 * time.Millisecond

	reserveAgain = 200 * time.Millisecond // when the database did not answer
)

func newThrottle(r reserve, name string, perSecond float64) *throttle {
	t := &throttle{reserve: r, name: name, changed: newSignal(), turn: make(chan struct{}, 1), batch: 1}
	t.rate.Store(math.Float64bits(perSecond))
	return t
}

func (t *throttle) perSecond() float64 { return math.Float64frombits(t.rate.Load()) }

// set changes the rate; places taken at another one are given up.
func (t *throttle) set(perSecond float64) {
	if t.rate.Swap(math.Float64bits(perSecond)) != math.Float64bits(perSecond) {
		t.changed.raise()
	}
}

// wait waits for a place; false when ctx ends first.
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
	for ctx.Err() == nil {
		t.expire()
		if t.left == 0 {
			t.refill(ctx)
		} else if t.await(ctx) {
			t.left, t.next = t.left-1, t.next.Add(t.step)
			return true
		}
	}
	return false
}

// expire gives up places whose time is over, and takes fewer from then on.
func (t *throttle) expire() {
	if late := time.Since(t.next) - placeVoid; late > 0 && t.left > 0 {
		n := min(t.left, 1+int(late/t.step))
		t.left, t.next = t.left-n, t.next.Add(time.Duration(n)*t.step)
		t.batch, t.consumed = max(1, t.batch/2), false
	}
}

// refill takes places, more of them as long as all are used.
func (t *throttle) refill(ctx context.Context) {
	if t.consumed {
		t.batch *= 2
	}
	rate := t.perSecond()
	t.batch = min(t.batch, max(1, int(rate*placesFor.Seconds())))
	first, err := t.reserve(ctx, t.name, rate, t.batch)
	if err != nil {
		pause(ctx, reserveAgain)
		return
	}
	t.next, t.left, t.consumed = time.Now().Add(first), t.batch, true
	t.step = time.Duration(float64(time.Second) / rate)
}

// await waits for the time of the first place; false when ctx ends or the rate
// changes before.
func (t *throttle) await(ctx context.Context) bool {
	timer := time.NewTimer(time.Until(t.next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.changed:
		t.left = 0
		return false
	case <-timer.C:
		return true
	}
}
