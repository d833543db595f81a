package tests

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// clock is a gateway that only notes when messages come, and from whom.
type clock struct {
	url string

	mu   sync.Mutex
	at   []time.Time
	from map[string]int
}

func newClock(t *testing.T) *clock {
	t.Helper()
	c := &clock{from: map[string]int{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *clock) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
	c.from[r.Header.Get("X-Worker")]++
}

func (c *clock) came() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.at)
}

// sincePerSecond is how fast messages came, those before the n-th left out.
func (c *clock) sincePerSecond(n int) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.at[n:]
	return float64(len(at)-1) / at[len(at)-1].Sub(at[0]).Seconds()
}

// attend says, when it is asked, whether this machine has let nobody wait for
// long until then.
func attend(t *testing.T) (keptUp func() bool) {
	const every, late = 5 * time.Millisecond, 20 * time.Millisecond
	stop, kept := make(chan struct{}), make(chan bool, 1)
	go func() {
		ok := true
		tick := time.NewTicker(every)
		defer tick.Stop()
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-stop:
				kept <- ok
				return
			case <-tick.C:
				ok = ok && time.Since(last) < every+late
			}
		}
	}()
	t.Cleanup(func() { close(stop) })
	return func() bool {
		stop <- struct{}{}
		return <-kept
	}
}

// workers are processes that send to the clock, each under a name of its own.
// The program that serves the API sends nothing.
func (c *clock) workers(t *testing.T, dsn string, n, rate int) (i *installation, serving *running) {
	t.Helper()
	for k := range n {
		i = install(t, dsn, map[string]any{
			"name": "clock", "type": "http", "channels": []string{"sms"}, "url": c.url, "rate": rate,
			"headers": map[string]string{"X-Worker": strconv.Itoa(k)},
		})
		i.start("worker")
	}
	db := behind(t, dsn)
	eventually(t, func() bool {
		var alive int
		err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM workers").Scan(&alive)
		return err == nil && alive == n
	}, "workers")
	return i, i.start("serve", "--workers=false")
}

func TestThrottlesHoldOverAllProcesses(t *testing.T) {
	t.Parallel()
	const perSecond = 100
	for name, x := range map[string]struct {
		workers   int
		people    crowd // whom a campaign goes to
		campaigns int
		throttle  *types.Throttle
		carrier   int
		account   int // to begin with
		senders   int // workers that have to take part
	}{
		"campaign": {workers: 3, people: 1200, campaigns: 1, throttle: &types.Throttle{MessagesPerSecond: perSecond}, senders: 2},
		// One chunk, which only one of them can hold.
		"small campaign": {workers: 3, people: 1000, campaigns: 1, throttle: &types.Throttle{MessagesPerSecond: perSecond}, senders: 1},
		"carrier":        {workers: 2, people: 200, campaigns: 6, carrier: perSecond, senders: 2},
		"account":        {workers: 3, people: 1200, campaigns: 1, account: 5, senders: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := newClock(t)
			i, server := gateway.workers(t, storetest.PostgresURL(t), x.workers, x.carrier)
			account := i.account("--rate", strconv.Itoa(x.account))
			a := server.api(i.liveKey(account))
			list := a.assemble(x.people)
			keptUp := attend(t)
			for range x.campaigns {
				a.sendWhenReady(a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi"), Throttle: x.throttle}).ID)
			}
			from := 0
			if x.account > 0 {
				eventually(t, func() bool { return gateway.came() > 2 }, "a beginning")
				var changed struct{ Rate float64 }
				i.run(&changed, "accounts", "update", account, "--rate", strconv.Itoa(perSecond))
				require.InDelta(t, perSecond, changed.Rate, 0)
				from = gateway.came() + 50 // by then all know
			}
			all := int(x.people) * x.campaigns
			eventually(t, func() bool { return gateway.came() == all }, "all messages")
			rate := gateway.sincePerSecond(from)
			attended := keptUp()
			t.Logf("%d messages at %.2f a second, by %v; the machine kept up: %v", all-from, rate, gateway.from, attended)
			require.Less(t, rate, 1.05*perSecond)
			require.GreaterOrEqual(t, len(gateway.from), x.senders)
			if attended {
				require.Greater(t, rate, 0.95*perSecond)
			}
		})
	}
}
