package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// What an outage may cost: the messages on their way, and the trouble it takes to
// know of it.
const (
	concurrency = 16
	threshold   = 11
)

// outage is what a carrier in trouble saw.
type outage struct {
	mu     sync.Mutex
	down   error // nil: it works
	failed map[string]int
	taken  map[string]int
}

// strikes makes the carrier fail, after so many messages, with the error.
func (b *bench) strikes(after int, trouble error) *outage {
	o := &outage{failed: map[string]int{}, taken: map[string]int{}}
	b.carrier.answers(func(ctx context.Context, m *delivery.Outgoing, _ int) error {
		pause(ctx, time.Millisecond)
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.taken) == after {
			o.down = trouble
		}
		if o.down != nil {
			o.failed[m.To]++
			return o.down
		}
		o.taken[m.To]++
		return nil
	})
	return o
}

// ends lets the carrier work again.
func (o *outage) ends() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = nil
	o.taken["struck"] = 1 // so that it does not strike again
}

// cost is how many messages failed, and how many times all of them together.
func (o *outage) cost() (messages, attempts int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.failed {
		attempts += n
	}
	return len(o.failed), attempts
}

func (o *outage) requireOnce(t *testing.T, n int) {
	t.Helper()
	o.mu.Lock()
	taken := maps.Clone(o.taken)
	o.mu.Unlock()
	delete(taken, "struck")
	require.Len(t, taken, n)
	for to, times := range taken {
		require.Equal(t, 1, times, to)
	}
}

func (b *bench) down() bool { return b.engine.Carriers()[0].Down }

// TestOutageCostsAFewMessagesAnAttempt lets the carrier go down in the middle of
// a campaign, for as long as many probes take.
func TestOutageCostsAFewMessagesAnAttempt(t *testing.T) {
	const n = 10_000
	for name, trouble := range map[string]error{
		"no answer":   errors.New("dial carrier.internal: connection refused"),
		"unavailable": &delivery.Deferred{Code: "503", Text: "closed", Carrier: true},
	} {
		t.Run(name, func(t *testing.T) {
			eachBench(t, func(t *testing.T, b *bench) {
				b.contacts(n)
				var log bytes.Buffer
				b.engine = b.newEngineWith(b.store, delivery.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
				b.engine.Hurry(8*time.Second, 30*time.Second, 300*time.Millisecond)
				stop := b.run(b.engine)
				o := b.strikes(4000, trouble)
				c := b.send()
				b.eventually(func() bool {
					messages, attempts := o.cost()
					return attempts >= messages+4
				}, "it is not tried again")
				o.ends()
				b.completes(c)
				messages, attempts := o.cost()
				t.Logf("%d messages failed, %d times in all", messages, attempts)
				require.LessOrEqual(t, messages, concurrency+threshold)
				require.LessOrEqual(t, attempts-messages, 8, "one at a time, and ever more seldom")
				o.requireOnce(t, n)
				require.EqualValues(t, n, b.requireComplete(c).Sent())
				again := 0
				for _, m := range b.messages(c) {
					again += m.Attempts - 1
				}
				require.Equal(t, attempts, again, "the ledger knows of each")
				stop()
				require.Equal(t, 1, strings.Count(log.String(), "carrier is down"))
				require.Equal(t, 1, strings.Count(log.String(), "carrier is back"))
			})
		})
	}
}

// TestCarrierThatIsDownIsTriedOnceAMinute runs in the time of a bubble. The
// database's is another, by which no retry falls due here.
func TestCarrierThatIsDownIsTriedOnceAMinute(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + storetest.SQLitePath(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dsn)
		b.contacts(1000)
		b.run(b.engine)
		trouble := errors.New("dial carrier.internal: connection refused")
		o := b.strikes(100, trouble)
		b.send()
		b.eventually(b.down)
		state := b.engine.Carriers()[0]
		require.Equal(t, "hand", state.Name)
		require.Equal(t, trouble.Error(), state.Reason)
		require.WithinDuration(t, time.Now(), state.Since, time.Second)
		require.WithinDuration(t, time.Now().Add(2*time.Second), state.Probe, time.Second+100*time.Millisecond)
		pause(t.Context(), time.Minute)
		_, before := o.cost()
		pause(t.Context(), 10*time.Minute)
		_, attempts := o.cost()
		t.Logf("%d times in ten minutes", attempts-before)
		require.LessOrEqual(t, attempts-before, 3*10)
		require.GreaterOrEqual(t, attempts-before, 10)
		o.ends()
		pause(t.Context(), time.Minute+time.Second)
		require.Equal(t, delivery.CarrierState{Name: "hand"}, b.engine.Carriers()[0])
	})
}

func TestCarriersWishToRestIsHonoured(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + storetest.SQLitePath(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dsn)
		b.contacts(1000)
		b.run(b.engine)
		o := b.strikes(100, &delivery.Deferred{Code: "429", Carrier: true, RetryAfter: 10 * time.Minute})
		c := b.send()
		b.eventually(b.down)
		pause(t.Context(), time.Second)
		before := b.carrier.total()
		pause(t.Context(), 9*time.Minute)
		require.Equal(t, before, b.carrier.total(), "nothing came")
		o.ends()
		b.eventually(func() bool { return b.progress(c).Queued() <= concurrency+threshold }, "only retries wait longer")
	})
}

// TestTroubleWithMessagesStopsNobody has a carrier that takes no message at the
// first attempt, which is about the messages.
func TestTroubleWithMessagesStopsNobody(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(300)
		b.carrier.answers(func(_ context.Context, m *delivery.Outgoing, times int) error {
			switch {
			case m.To[len(m.To)-1] == '3':
				return &delivery.Rejected{Code: "550"}
			case times == 1:
				return &delivery.Deferred{Code: "451", Text: "greylisted"}
			}
			return nil
		})
		b.run(b.engine)
		c := b.send()
		b.eventually(func() bool {
			require.False(t, b.down())
			return len(b.carrier.seen()) == 300
		}, "all get their first attempt")
		b.completes(c)
	})
}

// TestStoppedLaneHoldsUpNobody looks at what must go on while a carrier is down:
// another lane, the verbs, and the end.
func TestStoppedLaneHoldsUpNobody(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(500)
		sms := newHandCarrier()
		down := b.lane()
		down.Channels = []store.Channel{store.Email}
		b.engine = b.newEngine(b.store, down, delivery.Lane{Name: "sms", Carrier: sms, Channels: []store.Channel{store.SMS}})
		stop := b.run(b.engine)
		o := b.strikes(100, errors.New("connection refused"))
		mail := func(c *store.Campaign) { c.Channel = store.Email }
		c, other := b.send(mail), b.send(mail, func(c *store.Campaign) { c.Throttle = ptr(10_000) })
		b.eventually(b.down)
		b.completes(b.send())
		sms.requireOnce(t, 500)

		b.do(c, (*store.Campaign).Pause)
		b.do(c, (*store.Campaign).Resume)
		b.do(other, (*store.Campaign).Cancel)
		p := b.requireComplete(other)
		require.Zero(t, p.Unknown)
		asked := time.Now()
		stop()
		t.Logf("the end took %v", time.Since(asked))
		require.Len(t, b.messages(c), int(b.progress(c).Sent()), "all the rest waits")

		o.ends()
		b.run(b.newEngine(b.store, down))
		b.completes(c)
		b.requireComplete(c)
	})
}

// TestMailServerThatIsStartedAgainGetsTheRest stops a real server in the middle.
func TestMailServerThatIsStartedAgainGetsTheRest(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		const n = 10_000
		b.contacts(n)
		var mails sink.Counter
		server := startSink(t, "127.0.0.1:0", &mails)
		lane := delivery.Lane{
			Name: "mail", Carrier: newTestSMTP(t, server.addr, func(cfg *delivery.SMTPConfig) { cfg.Connections = concurrency }),
			Channels: []store.Channel{store.Email}, Concurrency: concurrency, Rate: 4000,
		}
		b.engine = b.newEngine(b.store, lane)
		b.run(b.engine)
		c := b.send(func(c *store.Campaign) { c.Channel = store.Email })
		b.eventually(func() bool { return mails.Total() > 3000 })
		server.stop()
		b.eventually(b.down)
		require.Contains(t, b.engine.Carriers()[0].Reason, "smtp: ")
		before := mails.Total()
		require.Less(t, before, n)
		startSink(t, server.addr, &mails)
		b.completes(c)
		p := b.requireComplete(c)
		require.EqualValues(t, n, p.Sent())
		require.Equal(t, n, mails.Distinct(), "all got it")
		require.LessOrEqual(t, mails.Total()-n, concurrency, "what was taken when the answer got lost")
		again := 0
		for _, m := range b.messages(c) {
			again += min(m.Attempts-1, 1)
		}
		t.Logf("%d needed another attempt, %d got two mails", again, mails.Total()-n)
		require.Positive(t, again)
		require.LessOrEqual(t, again, 2*(concurrency+threshold), "a server that is being stopped still takes some")
	})
}

// runningSink is a mail server that can be stopped.
type runningSink struct {
	addr string
	stop func()
}

func startSink(t *testing.T, addr string, c *sink.Counter) runningSink {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sink.ServeSMTP(ctx, l, c) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return runningSink{l.Addr().String(), stop}
}
