package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/campaigns-api/campaigns/store"
)

// How a chunk is worked. After a crash at most window messages of each chunk in
// work are handed over twice, with the same id. In a lane that hands nothing over
// twice they are unknown instead, also those that were still to go: its window is
// smaller, as far as the messages on their way at once allow.
const (
	window     = 250                    // recipients between what is recorded and what may be handed over
	onceWindow = 50                     // in a lane that hands nothing over twice
	flushEvery = 200 * time.Millisecond // half a window of outcomes is recorded together, or what there is
)

// work is one leased chunk on its way through the carrier. Several goroutines
// send; whichever fills the buffer records it while the others go on.
type work struct {
	e       *Engine
	lane    *lane
	run     *run
	pass    *pass
	content *compiled
	chunk   *store.Chunk
	began   time.Time

	take context.Context // for taking messages: ends with the turn, the pass, the campaign's sending and the engine
	stop context.CancelFunc
	send context.Context // for the carrier: ends with the lease, or when draining takes too long
	drop context.CancelFunc
	keep context.Context // for the ledger: what was handed over is recorded whatever ends

	todo []*store.Recipient // nil: the contact is gone
	ids  []int64            // todo[i] is for contact ids[i]
	at   []int              // and stands at chunk.IDs[at[i]]

	flushing sync.Mutex // one record at a time

	mu      sync.Mutex
	moved   *sync.Cond // the window moved, or the end came
	lapse   *time.Timer
	next    int
	lost    bool
	known   []bool // chunk.IDs[i] has an outcome, recorded or in the buffer
	done    int    // the first place without a recorded outcome
	intent  int    // the first place that may not be handed over yet
	renewed time.Time
	doubt   bool // the last record failed: it may have been kept nevertheless
	buffer  []store.Outcome
}

// workNext claims a chunk of the campaign and works it to its end, or as far as
// it may.
func (e *Engine) workNext(ctx, hard context.Context, l *lane, r *run, p *pass) (worked bool, err error) {
	contents, err := r.contents(ctx, e.store)
	if err != nil {
		return false, fmt.Errorf("prepare the content: %w", err)
	}
	asked, mayGo := time.Now(), l.window
	if l.AtMostOnce {
		mayGo = 0 // before it is recorded what the holder before may have handed over
	}
	soon, cancel := e.soon(ctx)
	defer cancel()
	k, err := e.store.ClaimChunk(soon, r.ID, e.id, e.timing.lease, mayGo)
	if err != nil || k == nil {
		return false, err
	}
	w := e.newWork(ctx, hard, l, r, p, k, asked)
	w.intent = k.Done + mayGo
	defer w.drop()
	defer w.lapse.Stop()
	w.content = contents[k.Variant]
	defer context.AfterFunc(ctx, w.stop)()
	defer context.AfterFunc(p.ctx, w.stop)()
	defer context.AfterFunc(w.take, w.wake)()
	if err = w.load(soon); err == nil {
		w.sendAll()
	} else if mayGo == 0 && k.Intent > k.Done {
		return false, err // kept until the lease ends: to give it back says that nothing of it is on its way
	}
	w.stop()
	return err == nil, errors.Join(err, w.finish(hard))
}

func (e *Engine) newWork(ctx, hard context.Context, l *lane, r *run, p *pass, k *store.Chunk, asked time.Time) *work {
	w := &work{
		e: e, lane: l, run: r, pass: p, chunk: k, began: asked, keep: context.WithoutCancel(ctx),
		known: make([]bool, len(k.IDs)), done: k.Done, renewed: asked,
	}
	for i := range k.Done {
		w.known[i] = true
	}
	w.moved = sync.NewCond(&w.mu)
	w.take, w.stop = context.WithCancel(r.until())
	w.send, w.drop = context.WithCancel(hard)
	w.lapse = time.AfterFunc(e.timing.lease-time.Since(asked), w.lapsed)
	return w
}

// lapsed ends what is on its way: somebody else may take the chunk over now.
func (w *work) lapsed() {
	w.stop()
	w.drop()
}

// wake lets those who wait for the window look again.
func (w *work) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved.Broadcast()
}

// load reads who is left of the chunk. Only one that was held before can have
// outcomes beyond its cursor.
func (w *work) load(ctx context.Context) (err error) {
	w.ids = w.chunk.IDs[w.done:]
	if w.chunk.Epoch > 1 {
		if w.ids, err = w.e.store.Unrecorded(ctx, w.run.ID, w.ids); err != nil {
			return err
		}
	}
	if w.lane.AtMostOnce {
		w.forsake()
	}
	found, err := w.e.store.Recipients(ctx, w.ids, w.content.attributes, make([]store.Recipient, 0, len(w.ids)))
	if err != nil {
		return err
	}
	w.todo, w.at = make([]*store.Recipient, len(w.ids)), make([]int, len(w.ids))
	i, f := 0, 0
	for place, id := range w.chunk.IDs {
		if i == len(w.ids) || w.ids[i] != id {
			w.known[place] = true // recorded, or about to be
			continue
		}
		w.at[i] = place
		if f < len(found) && found[f].ID == id {
			w.todo[i], f = &found[f], f+1
		}
		i++
	}
	if w.advance() > w.done || w.intent == w.done { // the window is to be where the work is
		w.flush()
	}
	return nil
}

// forsake gives those up whom the holder before may have handed over.
func (w *work) forsake() {
	for len(w.ids) > 0 && w.chunk.Intent > 0 && w.ids[0] <= w.chunk.IDs[w.chunk.Intent-1] {
		w.buffer = append(w.buffer, store.Outcome{
			Contact: w.ids[0], Status: store.MessageUnknown, Code: store.CodeInterrupted, Text: store.TextInterrupted,
		})
		w.ids = w.ids[1:]
	}
}

// advance is the first place without an outcome.
func (w *work) advance() int {
	d := w.done
	for d < len(w.known) && w.known[d] {
		d++
	}
	return d
}

// sendAll hands messages over from as many goroutines as the lane has slots, for
// a probe from one, until the chunk is through or must stop; a further one records
// what waits too long.
func (w *work) sendAll() {
	var senders, clock sync.WaitGroup
	over := make(chan struct{})
	clock.Go(func() { w.tick(over) })
	n := min(w.lane.Concurrency, len(w.ids))
	if w.pass.probe {
		n = min(n, 1)
	}
	for range n {
		senders.Go(w.sender)
	}
	senders.Wait()
	close(over)
	clock.Wait()
}

func (w *work) sender() {
	for {
		i, ok := w.message()
		if !ok {
			return
		}
		o := w.e.handOver(w.send, w.lane, w.pass, w.run, w.content, w.ids[i], w.todo[i])
		<-w.lane.slots
		w.e.again(&o, 1, 0)
		if w.record(i, o) {
			w.flush()
		}
	}
}

// message gives the next message to hand over, with a slot of the lane. It waits
// for the window, for the throttles and for a slot, in this order, so that
// nobody waits with a token or a slot in hand. A message that is given but may go
// no more stays without an outcome: whoever holds the chunk next finds it.
func (w *work) message() (i int, ok bool) {
	if i, ok = w.reserve(); !ok || !w.run.waitTurn(w.take, w.lane) {
		return 0, false
	}
	for {
		select {
		case w.lane.slots <- struct{}{}:
		case <-w.take.Done():
			return 0, false
		}
		fresh, over := w.look()
		if fresh && !over {
			return i, true
		}
		<-w.lane.slots
		if over || !w.refreshed() {
			return 0, false
		}
	}
}

// reserve gives the next place in the window.
func (w *work) reserve() (i int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.over() && w.next < len(w.ids) {
		if i = w.next; w.at[i] < w.intent {
			w.next++
			return i, true
		}
		w.moved.Wait()
	}
	return 0, false
}

// look says whether the last record is young enough to hand a message over (the
// fence guards the ledger, not the carrier), and whether nothing more may go.
func (w *work) look() (fresh, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fresh(), w.over()
}

// refreshed waits for the next record; false when nothing more may go.
func (w *work) refreshed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.fresh() && !w.over() {
		w.moved.Wait()
	}
	return !w.over()
}

func (w *work) fresh() bool { return time.Since(w.renewed) < w.e.timing.lease/3 }

func (w *work) over() bool { return w.take.Err() != nil || w.pass.over.Load() || !w.run.maySend() }

// record takes an outcome and says whether it is time to write.
func (w *work) record(i int, o store.Outcome) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buffer = append(w.buffer, o)
	w.known[w.at[i]] = true
	return len(w.buffer) >= w.lane.window/2
}

// tick records what waits, renews the lease and ends the turn, until over.
func (w *work) tick(over <-chan struct{}) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		w.mu.Lock()
		due := len(w.buffer) > 0 || time.Since(w.renewed) > w.e.timing.lease/6
		w.moved.Broadcast() // whoever waits looks at the campaign's status again
		w.mu.Unlock()
		if w.turnOver() {
			w.stop()
		}
		if due {
			w.flush()
		}
	}
}

// turnOver says whether to give the chunk back. A throttled campaign has a
// goroutine of its own, which nobody else awaits.
func (w *work) turnOver() bool {
	took := time.Since(w.began)
	return took > longestTurn || took > turn && !w.run.throttled() && w.lane.awaited()
}

// flush records the buffer, moves the window and renews the lease. When the
// database does not answer the outcomes stay, for the next flush.
func (w *work) flush() {
	if !w.flushing.TryLock() {
		return // the one at work is soon followed by another
	}
	defer w.flushing.Unlock()
	if err := w.write(w.e.timing.lease); err != nil {
		w.e.log.Warn("could not record outcomes; trying again", "campaign", w.run.PublicID, "error", err)
	}
}

// write is the one call of RecordChunk; one goroutine at a time makes it.
func (w *work) write(lease time.Duration) error {
	w.mu.Lock()
	n, done, doubt, lost := len(w.buffer), w.advance(), w.doubt, w.lost
	outcomes := w.buffer[:n:n]
	w.mu.Unlock()
	if lost {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.keep, w.e.timing.lease)
	defer cancel()
	asked := time.Now()
	var held bool
	var err error
	if doubt {
		outcomes, err = w.unrecorded(ctx, outcomes)
	}
	if err == nil {
		held, err = w.e.store.RecordChunk(ctx, w.chunk, store.Record{
			Carrier: w.lane.Name, Outcomes: outcomes, Done: done, Intent: done + w.lane.window, Lease: lease,
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.moved.Broadcast()
	w.doubt = err != nil
	switch {
	case err != nil:
		return err
	case held:
		w.buffer = w.buffer[n:]
		w.done, w.intent, w.renewed = done, done+w.lane.window, asked
		w.lapse.Reset(w.e.timing.lease - time.Since(asked))
	default:
		w.lost = true
		w.stop()
		w.drop()
		if len(outcomes) > 0 {
			w.e.log.Warn("lost the lease of a chunk: some messages may go twice", "campaign", w.run.PublicID, "chunk", w.chunk.N, "messages", len(outcomes))
		}
	}
	return nil
}

// unrecorded leaves out the outcomes that a record kept although it failed.
func (w *work) unrecorded(ctx context.Context, outcomes []store.Outcome) ([]store.Outcome, error) {
	ids := make([]int64, len(outcomes))
	for i := range outcomes {
		ids[i] = outcomes[i].Contact
	}
	open, err := w.e.store.Unrecorded(ctx, w.run.ID, ids)
	if err != nil {
		return nil, err
	}
	left := make([]store.Outcome, 0, len(open))
	for i := range outcomes {
		if len(left) < len(open) && outcomes[i].Contact == open[len(left)] {
			left = append(left, outcomes[i])
		}
	}
	return left, nil
}

// finish records the rest and gives the chunk up.
func (w *work) finish(hard context.Context) error {
	return insist(hard, func() error {
		if err := w.write(0); err != nil {
			return fmt.Errorf("record the end of chunk %d: %w", w.chunk.N, err)
		}
		return nil
	})
}

// insist tries until it succeeds, a last time when hard is done: what was handed
// over must not be forgotten, else it is handed over again.
func insist(hard context.Context, try func() error) error {
	for rest := 20 * time.Millisecond; ; rest = min(2*rest, time.Second) {
		last := hard.Err() != nil
		err := try()
		if err == nil || last {
			return err
		}
		pause(hard, rest)
	}
}
