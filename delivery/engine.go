// Package delivery sends campaigns: it freezes audiences, works chunks, hands
// messages to carriers and records what became of them. It decides when and how
// to send; what is true of a campaign is decided in package store, and how a
// message leaves this machine by each Carrier. It knows nothing of the API: the
// two meet in the database.
//
// Any number of engines may work on one PostgreSQL; on SQLite there is one.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.jetify.com/typeid/v2"

	"github.com/campaigns-api/campaigns/store"
)

// Store is what the engine needs of the ledger; package store documents each
// method. It is an interface so that tests can make it fail.
type Store interface {
	Embedded() bool
	FreeLeases(ctx context.Context) error
	Listen(ctx context.Context, broken func(error))
	Changes() (changes <-chan int64, stop func())
	Heartbeat(ctx context.Context, w store.Worker) error
	BuryWorkers(ctx context.Context, ended func(process string) bool) (ids []string, err error)
	Retire(ctx context.Context, id string) error
	Unsubscriber(ctx context.Context) (store.Unsubscriber, error)

	ActiveCampaigns(ctx context.Context) ([]store.Active, error)
	Contents(ctx context.Context, campaign int64) ([]store.Content, error)
	RunSchedule(ctx context.Context) (changed int, err error)
	FreezePage(ctx context.Context, campaign int64) (more bool, err error)
	Settle(ctx context.Context, campaign int64) (settled bool, err error)

	ClaimChunk(ctx context.Context, campaign int64, worker string, lease time.Duration, window int) (*store.Chunk, error)
	Unrecorded(ctx context.Context, campaign int64, contacts []int64) ([]int64, error)
	Recipients(ctx context.Context, ids []int64, attributes bool, buf []store.Recipient) ([]store.Recipient, error)
	RecordChunk(ctx context.Context, k *store.Chunk, r store.Record) (held bool, err error)

	Reserve(ctx context.Context, throttle string, perSecond float64, n int) (first time.Duration, err error)

	ClaimRetries(ctx context.Context, campaign int64, worker string, limit int, lease time.Duration, lapsed bool) ([]store.Retry, error)
	LoseRetries(ctx context.Context, campaign int64, carrier string) error
	RecordRetries(ctx context.Context, campaign int64, carrier string, rs []store.Retry, outcomes []*store.Outcome) error

	AddReceipts(ctx context.Context, carrier string, rs []store.Receipt) error
	FoldReceipts(ctx context.Context) (n int, dropped []store.Receipt, err error)

	ForgetAnswers(ctx context.Context) error
	Upkeep(ctx context.Context, retention time.Duration) (store.Dropped, error)
}

var _ Store = (*store.Store)(nil)

// Options is how an Engine works.
type Options struct {
	Log          *slog.Logger
	PublicURL    string        // where unsubscribe links lead, without a slash at the end
	Lanes        []Lane        // the carriers of live messages
	RetryMaxAge  time.Duration // a soft failure is final this long after the first attempt; default 6 h
	DrainTimeout time.Duration // how long messages on their way may take at the end; default 20 s
	Retention    time.Duration // messages are dropped this long after their campaign's end; 0: never
}

// Lane is a carrier with the channels it serves and how fast it may be used.
type Lane struct {
	Name        string
	Carrier     Carrier
	Channels    []store.Channel
	Concurrency int     // messages on their way at once; default 16
	Rate        float64 // messages per second over all processes, 0 for no bound

	// AtMostOnce hands no message over again that may have left: what a process
	// had in hand that is gone, and what got no answer, is recorded as unknown.
	// All processes must agree on it.
	AtMostOnce bool
}

// The rhythm of the engine. The polls are the belt to the notifications' braces.
const (
	pollEvery     = 500 * time.Millisecond // look for changed campaigns
	scheduleEvery = 250 * time.Millisecond
	receiptsEvery = 50 * time.Millisecond
	forgetEvery   = time.Minute // answers kept for repeated calls
	staleAfter    = time.Second // no hand-over this long after the status could last be read
	upkeepEvery   = time.Hour
	errorPause    = time.Second // between tries of what fails
	patience      = time.Minute // with the database, where no lease is at stake
)

// timing is what tests make shorter.
type timing struct {
	lease      time.Duration // of a chunk; no hand-over in the last two thirds of it
	retryLease time.Duration // of a batch of retries, likewise
	firstWait  time.Duration // before a second attempt, and before a carrier that is down is tried again, about
}

// Engine sends. Make one with New, run it once.
type Engine struct {
	timing  timing
	store   Store
	opts    Options
	id      string
	process string // see thisProcess
	log     *slog.Logger
	links   store.Unsubscriber
	sandbox *Sandbox
	lanes   []*lane
	runs    runs
	wake    struct{ build, fold signal }
	beat    atomic.Int64 // when the last heartbeat was kept, Unix nanoseconds
}

// New makes an engine.
func New(st Store, o Options) *Engine {
	if o.RetryMaxAge == 0 {
		o.RetryMaxAge = 6 * time.Hour
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 20 * time.Second
	}
	e := &Engine{
		timing: timing{lease: 8 * time.Second, retryLease: 30 * time.Second, firstWait: 2 * time.Second},
		store:  st, opts: o, id: typeid.MustGenerate("wrk").String(), process: thisProcess(), log: o.Log,
	}
	e.wake.build, e.wake.fold = newSignal(), newSignal()
	e.runs.reserve = e.reserve
	e.sandbox = NewSandbox(e.receive)
	e.lanes = append(e.lanes, e.newLane(Lane{Name: sandboxName, Carrier: e.sandbox, Channels: store.Channels}, store.Test))
	for _, l := range o.Lanes {
		e.lanes = append(e.lanes, e.newLane(l, store.Live))
	}
	return e
}

// Run sends until ctx ends; then it starts nothing new, finishes what is on its
// way, gives the rest back and returns. An error means that it never began.
func (e *Engine) Run(ctx context.Context) (err error) {
	if e.store.Embedded() { // the only process: no lease can be alive
		if err := e.store.FreeLeases(ctx); err != nil {
			return err
		}
	}
	if e.links, err = e.store.Unsubscriber(ctx); err != nil {
		return err
	}
	if err := e.heartbeat(ctx); err != nil {
		return err
	}
	// What is on its way is recorded and answered for even when ctx is done.
	late, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var tail sync.WaitGroup
	tail.Go(func() {
		if err := e.sandbox.Run(late); err != nil {
			e.log.Error("sandbox receipts lost", "error", err)
		}
	})
	hard, stop := context.WithCancel(late)
	defer stop()
	drained := make(chan struct{})
	tail.Go(func() {
		if timeout(ctx, e.opts.DrainTimeout, drained) {
			stop()
		}
	})

	var work sync.WaitGroup
	for _, l := range e.lanes {
		e.startLane(ctx, hard, l, &work)
	}
	e.startLoops(ctx, &work)
	work.Wait()
	close(drained)
	end()
	tail.Wait()
	return nil
}

// timeout waits until so long after the end of ctx; false if done comes first.
func timeout(ctx context.Context, after time.Duration, done <-chan struct{}) bool {
	select {
	case <-done:
		return false
	case <-ctx.Done():
	}
	t := time.NewTimer(after)
	defer t.Stop()
	select {
	case <-done:
		return false
	case <-t.C:
		return true
	}
}

// startLoops starts all that is not sending itself.
func (e *Engine) startLoops(ctx context.Context, wg *sync.WaitGroup) {
	changes, unsubscribe := e.store.Changes()
	wg.Go(func() {
		defer unsubscribe()
		e.watch(ctx, changes)
	})
	wg.Go(func() {
		e.store.Listen(ctx, func(err error) { e.log.Warn("notifications are cut; polling", "error", err) })
	})
	wg.Go(func() {
		e.loop(ctx, "heartbeat", store.HeartbeatEvery, nil, e.heartbeat)
		e.retire(ctx)
	})
	wg.Go(func() { e.loop(ctx, "schedule", scheduleEvery, nil, e.schedule) })
	wg.Go(func() { e.loop(ctx, "freeze audiences", pollEvery, e.wake.build, e.freeze) })
	wg.Go(func() { e.loop(ctx, "fold receipts", receiptsEvery, e.wake.fold, e.fold) })
	wg.Go(func() { e.loop(ctx, "settle", pollEvery, nil, e.settleAll) })
	wg.Go(func() {
		e.loop(ctx, "forget old answers", forgetEvery, nil, func(ctx context.Context) error { return inTime(ctx, e.store.ForgetAnswers) })
	})
	wg.Go(func() { e.loop(ctx, "drop what is old", upkeepEvery, nil, e.upkeep) })
}

// loop runs one pass whenever the tick or the wake-up comes, until ctx ends.
func (e *Engine) loop(ctx context.Context, what string, every time.Duration, wake signal, pass func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := pass(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("could not "+what, "error", err)
			pause(ctx, errorPause)
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-wake:
		}
	}
}

// soon bounds what the database is asked: a connection can go silent without
// breaking, and whoever waited for it would wait until the network gives up.
func (e *Engine) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.timing.lease)
}

// reserve is the throttles' way to the ledger.
func (e *Engine) reserve(ctx context.Context, throttle string, perSecond float64, n int) (time.Duration, error) {
	ctx, cancel := e.soon(ctx)
	defer cancel()
	return e.store.Reserve(ctx, throttle, perSecond, n)
}

// inTime is the same for what may take long.
func inTime(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return ask(ctx)
}

// pause waits, but no longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// signal wakes a loop; several wake-ups before it looks are one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// heartbeat keeps this worker on the register and frees what those held that are
// known to have ended.
func (e *Engine) heartbeat(ctx context.Context) error {
	ctx, cancel := e.soon(ctx)
	defer cancel()
	var channels []store.Channel
	for _, l := range e.lanes {
		if l.mode == store.Live {
			channels = append(channels, l.Channels...)
		}
	}
	at := time.Now()
	if err := e.store.Heartbeat(ctx, store.Worker{ID: e.id, Channels: channels, Process: e.process}); err != nil {
		return err
	}
	e.beat.Store(at.UnixNano())
	buried, err := e.store.BuryWorkers(ctx, ended)
	if err != nil {
		return err
	}
	if len(buried) > 0 {
		e.log.Info("took over from workers that have ended", "workers", buried)
	}
	return nil
}

// retire takes this worker off the register when it stops.
func (e *Engine) retire(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.timing.lease)
	defer cancel()
	if err := e.store.Retire(ctx, e.id); err != nil {
		e.log.Warn("could not retire", "error", err)
	}
}

// schedule starts what is due. After an outage this worker shows that it lives
// before it judges which channels are served.
func (e *Engine) schedule(ctx context.Context) error {
	if time.Since(time.Unix(0, e.beat.Load())) > 2*store.HeartbeatEvery {
		if err := e.heartbeat(ctx); err != nil {
			return err
		}
	}
	return inTime(ctx, func(ctx context.Context) error {
		_, err := e.store.RunSchedule(ctx)
		return err
	})
}

// fold takes receipts until none is due.
func (e *Engine) fold(ctx context.Context) error {
	for ctx.Err() == nil {
		var n int
		var dropped []store.Receipt
		err := inTime(ctx, func(ctx context.Context) (err error) {
			n, dropped, err = e.store.FoldReceipts(ctx)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
		for _, r := range dropped {
			e.log.Debug("dropped a receipt: its carrier had no such message", "carrier", r.Carrier, "message", r.MessageID(), "received_at", r.ReceivedAt)
		}
	}
	return nil
}

// freeze builds the audiences of all campaigns that are sending, page by page in
// turn, so that a big one does not hold up a small one, also not one that is sent
// meanwhile.
func (e *Engine) freeze(ctx context.Context) (failed error) {
	for more := true; more && failed == nil && ctx.Err() == nil; {
		active, err := e.activeCampaigns(ctx)
		if err != nil {
			return err
		}
		more = false
		for _, c := range active {
			if c.Status != store.Sending || c.Built {
				continue
			}
			var unfinished bool
			err := inTime(ctx, func(ctx context.Context) (err error) {
				unfinished, err = e.store.FreezePage(ctx, c.ID)
				return err
			})
			if err != nil { // which must not hold up the others
				failed = errors.Join(failed, fmt.Errorf("campaign %d: %w", c.ID, err))
			}
			more = more || unfinished
		}
	}
	return failed
}

// settleAll ends what has nothing left: the belt for what a crash left behind
// between a chunk's end and its campaign's.
func (e *Engine) settleAll(ctx context.Context) error {
	var failed error
	for _, r := range e.runs.all() {
		failed = errors.Join(failed, e.settle(ctx, r))
	}
	return failed
}

func (e *Engine) settle(ctx context.Context, r *run) error {
	if c := r.state(); c.Status == store.Cancelled || c.Status == store.Sending && c.Built {
		return inTime(ctx, func(ctx context.Context) error {
			_, err := e.store.Settle(ctx, r.ID)
			return err
		})
	}
	return nil
}

// upkeep drops what is of no use any more.
func (e *Engine) upkeep(ctx context.Context) error {
	d, err := e.store.Upkeep(ctx, e.opts.Retention)
	if d != (store.Dropped{}) {
		e.log.Info("dropped what is old", "partitions", d.Partitions, "messages", d.Messages, "import_errors", d.ImportErrors)
	}
	return err
}

// receive takes the sandbox's receipts.
func (e *Engine) receive(ctx context.Context, batch []Receipt) error {
	rs := make([]store.Receipt, 0, len(batch))
	for _, b := range batch {
		campaign, contact, round, ok := store.ParseMessageID(b.MessageID)
		if !ok {
			continue
		}
		r := store.Receipt{CampaignID: campaign, ContactID: contact, Round: round, Status: receiptStatus[b.Status], NotBefore: b.NotBefore}
		if b.Code != "" {
			r.Code, r.Text = &b.Code, &b.Text
		}
		rs = append(rs, r)
	}
	return e.store.AddReceipts(ctx, sandboxName, rs)
}

var receiptStatus = map[string]store.MessageStatus{
	"delivered": store.MessageDelivered, "failed": store.MessageFailed, "unknown": store.MessageUnknown,
}
