package delivery

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/content"
)

// run is one active campaign as this process sees it.
type run struct {
	store.Active           // as first seen; state gives what may have changed
	throttle     *throttle // the campaign's; nil for none

	mu     sync.Mutex
	now    store.Active
	ctx    context.Context // ends when the campaign stops sending
	cancel context.CancelFunc

	account atomic.Pointer[throttle] // the account's; nil for none

	born  time.Time
	fresh atomic.Int64 // nanoseconds after born until which messages may be handed over

	// A claim that finds nothing is not repeated until there is news.
	news, barren atomic.Int64

	compiling sync.Mutex
	compiled  []*compiled
}

// compiled is a variant's content, ready to render.
type compiled struct {
	subject, body *content.Template
	html          bool
	attributes    bool // reads attributes, which cost a column
}

func newRun(c store.Active, reserve reserve) *run {
	r := &run{Active: c, born: time.Now()}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.barren.Store(-1)
	if c.Throttle != nil {
		r.throttle = newThrottle(reserve, fmt.Sprint("campaign ", c.ID), float64(*c.Throttle))
	}
	return r
}

// throttled says whether there is a bound on the campaign or its account.
func (r *run) throttled() bool { return r.throttle != nil || r.account.Load() != nil }

// waitTurn waits until campaign, account and carrier may each have one more
// message handed over, in this order; false when ctx ends first.
func (r *run) waitTurn(ctx context.Context, l *lane) bool {
	return r.throttle.wait(ctx) && r.account.Load().wait(ctx) && l.throttle.wait(ctx)
}

// slowest is the lower of the bounds on campaign and account.
func (r *run) slowest() float64 {
	rate := math.Inf(1)
	for _, t := range []*throttle{r.throttle, r.account.Load()} {
		if t != nil {
			rate = min(rate, t.perSecond())
		}
	}
	return rate
}

// contents are compiled once; what fails now is tried again the next time.
func (r *run) contents(ctx context.Context, st Store) ([]*compiled, error) {
	r.compiling.Lock()
	defer r.compiling.Unlock()
	if r.compiled != nil {
		return r.compiled, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cs, err := st.Contents(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	out := make([]*compiled, len(cs))
	for i, c := range cs {
		k := &compiled{html: c.ContentType == store.HTML}
		if k.body, err = content.Compile(c.Body, k.html); err != nil {
			return nil, fmt.Errorf("compile the body: %w", err)
		}
		if k.subject, err = content.Compile(c.Subject, false); err != nil {
			return nil, fmt.Errorf("compile the subject: %w", err)
		}
		reads := append(k.body.Variables(), k.subject.Variables()...)
		k.attributes = slices.Contains(reads, "attributes")
		out[i] = k
	}
	r.compiled = out
	return out, nil
}

// see takes what the database said of the campaign at that time.
func (r *run) see(c store.Active, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = c
	if c.Status != store.Sending {
		r.fresh.Store(0)
		r.cancel()
		return
	}
	r.fresh.Store(int64(at.Add(staleAfter).Sub(r.born)))
	if r.ctx.Err() != nil {
		r.ctx, r.cancel = context.WithCancel(context.Background())
	}
}

// leave ends the run: the campaign is active no more, or the engine stops.
func (r *run) leave() {
	r.see(store.Active{}, r.born)
}

func (r *run) state() store.Active {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// until ends when the campaign stops sending.
func (r *run) until() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx
}

// sending says whether the campaign was last seen sending.
func (r *run) sending() bool { return r.fresh.Load() > 0 }

// maySend says whether a message may be handed over now: the campaign is
// sending, and that was read lately.
func (r *run) maySend() bool { return int64(time.Since(r.born)) < r.fresh.Load() }

// stir makes the senders look for a chunk again.
func (r *run) stir() { r.news.Add(1) }

// ready says whether it is worth looking for a chunk.
func (r *run) ready() bool { return r.sending() && r.barren.Load() != r.news.Load() }

// runs are the active campaigns, by key.
type runs struct {
	reserve reserve

	mu       sync.Mutex
	m        map[int64]*run
	accounts map[int64]*throttle // of those that have a bound
}

// all are the runs, by key ascending.
func (rs *runs) all() []*run {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	all := make([]*run, 0, len(rs.m))
	for _, r := range rs.m {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *run) int { return int(a.ID - b.ID) })
	return all
}

// update takes the campaigns that were active at that time. Those that are not
// among them any more leave.
func (rs *runs) update(active []store.Active, at time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	old := rs.m
	rs.m = make(map[int64]*run, len(active))
	bounds := rs.accounts
	rs.accounts = map[int64]*throttle{}
	for _, c := range active {
		r := old[c.ID]
		if r == nil {
			r = newRun(c, rs.reserve)
		}
		delete(old, c.ID)
		r.account.Store(rs.bound(c, bounds))
		r.see(c, at)
		rs.m[c.ID] = r
	}
	for _, r := range old {
		r.leave()
	}
}

// bound is the throttle of a campaign's account, the same for all of its live
// campaigns.
func (rs *runs) bound(c store.Active, old map[int64]*throttle) *throttle {
	if c.Mode != store.Live || c.AccountRate == 0 {
		return nil
	}
	t := rs.accounts[c.Account]
	if t == nil {
		if t = old[c.Account]; t == nil {
			t = newThrottle(rs.reserve, store.AccountThrottle(c.Account), c.AccountRate)
		}
		t.set(c.AccountRate)
		rs.accounts[c.Account] = t
	}
	return t
}

// watch keeps the runs as the database has them: at each notification, and by a
// poll. One goroutine reads, so that what it stores last is the newest.
func (e *Engine) watch(ctx context.Context, changes <-chan int64) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	e.refresh(ctx, nil)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			e.refresh(ctx, nil)
		case id := <-changes:
			e.heed(ctx, id, changes)
		}
	}
	e.runs.update(nil, time.Now()) // stopping: hand over nothing more
}

// heed acts on notifications: id, and whatever else has come meanwhile.
func (e *Engine) heed(ctx context.Context, id int64, changes <-chan int64) {
	campaigns := map[int64]bool{}
	for more := true; more; {
		if id == 0 {
			e.wake.fold.raise()
		} else {
			campaigns[id] = true
		}
		select {
		case id = <-changes:
		default:
			more = false
		}
	}
	if len(campaigns) > 0 {
		e.wake.build.raise()
		e.refresh(ctx, campaigns)
	}
}

func (e *Engine) activeCampaigns(ctx context.Context) ([]store.Active, error) {
	ctx, cancel := e.soon(ctx)
	defer cancel()
	return e.store.ActiveCampaigns(ctx)
}

// refresh reads the active campaigns and tells the lanes. There is news of the
// campaigns named, of all if none is.
func (e *Engine) refresh(ctx context.Context, news map[int64]bool) {
	at := time.Now()
	active, err := e.activeCampaigns(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.log.Error("could not read the active campaigns", "error", err)
		}
		return
	}
	e.runs.update(active, at)
	all := e.runs.all()
	for _, r := range all {
		if news == nil || news[r.ID] {
			r.stir()
		}
	}
	for _, l := range e.lanes {
		l.serve(all)
	}
}
