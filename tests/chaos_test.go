package tests

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// The crash contract (README, "What it promises") under faults: the real program
// sends a campaign while something is done to it, and then everybody's message is
// counted. `make chaos` does the same for longer and prints what it saw.
var (
	chaosLong = flag.Bool("chaos", false, "do each fault many times to a big campaign")
	chaosSeed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "when the faults come")
)

// What a kill may cost: as many repeats as one process may have handed over and
// not yet recorded, a window for each of its senders and a batch of further attempts.
const (
	repeatsPerKill  = 250 * 4
	repeatsOfFailed = 200
	unknownPerKill  = 50 * 4 // instead, where nobody may get two
)

// scenario is a system and what is done to it in the middle of a campaign.
type scenario struct {
	name    string
	system  system
	fault   func(*plant)
	times   int // in the bounded form
	often   int // in the long one; few where the carrier is in trouble, which it is left alone for longer each time
	repeats int // that one fault may cause, apart from those that the carrier itself provokes; or unknowns
}

// Systems. A worker is a process that sends and has no API.
var (
	one      = system{databases: []string{"postgres", "sqlite"}, processes: []string{"serve"}}
	alone    = system{databases: []string{"postgres"}, processes: []string{"serve --workers=false", "worker"}}
	many     = system{databases: []string{"postgres"}, processes: []string{"serve --workers=false", "worker", "worker", "worker"}}
	oneOnce  = system{databases: []string{"postgres", "sqlite"}, processes: []string{"serve"}, atMostOnce: true}
	manyOnce = system{databases: []string{"postgres"}, processes: many.processes, atMostOnce: true}
	beside   = system{databases: []string{"postgres"}, processes: []string{"serve", "worker"}, ownDatabase: true}
	far      = system{databases: []string{"postgres"}, processes: []string{"serve --workers=false", "worker"}, ownDatabase: true, farWorkers: 1}
	partly   = system{databases: []string{"postgres"}, processes: []string{"serve --workers=false", "worker", "worker"}, ownDatabase: true, farWorkers: 1}
	mailing  = system{databases: []string{"postgres"}, processes: []string{"serve"}, farCarrier: true}
	posting  = system{databases: []string{"postgres"}, processes: []string{"serve"}, farCarrier: true, gateway: true}
	withMood = system{databases: []string{"postgres", "sqlite"}, processes: []string{"serve"}, gateway: true}
	clocked  = system{databases: []string{"postgres"}, processes: []string{"serve", "worker"}, ownClock: true}
	onDisk   = system{databases: []string{"sqlite"}, processes: []string{"serve"}, smallDisk: true}
)

var scenarios = []scenario{
	{"the only process is killed", one, killAll, 2, 50, repeatsPerKill},
	{"the only process is stopped", one, stopAll, 2, 20, 0},
	{"the API is killed", alone, killAPI, 2, 50, 0},
	{"the only worker is killed", alone, killWorker, 2, 50, repeatsPerKill},
	{"one of three workers is killed", many, killWorker, 2, 50, repeatsPerKill},
	{"API and three workers are killed", many, killAll, 1, 50, 3 * repeatsPerKill},
	{"one of three workers is stopped", many, stopWorker, 2, 20, 0},
	{"the only process is killed, nobody may get two", oneOnce, killAll, 2, 50, unknownPerKill},
	{"the only process is stopped, nobody may get two", oneOnce, stopAll, 1, 20, 0},
	{"one of three workers is killed, nobody may get two", manyOnce, killWorker, 2, 50, unknownPerKill},
	{"the campaign is paused and resumed", many, pauseAndResume, 2, 20, 0},

	{"PostgreSQL is restarted", beside, restartDatabase, 1, 10, 0},
	{"PostgreSQL is killed", beside, crashDatabase, 1, 10, 0},
	{"connections to PostgreSQL are cut", far, cut(toDatabase), 3, 50, 0},
	{"connections to PostgreSQL lead nowhere", far, silenced(toDatabase), 1, 10, repeatsPerKill},
	{"connections to PostgreSQL are slow", far, slow(toDatabase), 1, 10, 0},
	{"connections to PostgreSQL are garbled", far, garbled(toDatabase), 2, 20, 0},
	{"one worker of two cannot reach PostgreSQL", partly, unreachable(toDatabase), 1, 3, repeatsPerKill},
	{"PostgreSQL's clock goes an hour forward", clocked, stepClock(time.Hour), 1, 10, 2 * repeatsPerKill},
	{"PostgreSQL's clock goes an hour back", clocked, stepClock(-time.Hour), 1, 10, 0},
	{"the disk is full", onDisk, fillDisk, 1, 10, 0},

	{"connections to the mail server are cut", mailing, cut(toCarrier), 3, 50, atOnce},
	{"connections to the mail server are slow", mailing, slow(toCarrier), 1, 10, 0},
	{"connections to the gateway are cut", posting, cut(toCarrier), 3, 50, 2 * atOnce},
	{"connections to the gateway are garbled", posting, garbled(toCarrier), 1, 3, 2 * atOnce},
	{"the gateway hangs", withMood, inMood(hangs), 1, 3, 0},
	{"the gateway answers late", withMood, inMood(answersLate), 1, 10, 0},
	{"the gateway takes and drops", withMood, inMood(dropsWhatItTook), 1, 3, 0},
	{"the gateway answers garbage", withMood, inMood(answersGarbage), 1, 3, 0},
	{"the gateway is busy", withMood, inMood(isBusy), 1, 3, 0},
	{"the gateway is broken", withMood, inMood(isBroken), 1, 3, 0},
	{"the only process is killed at second attempts", withMood, killWhileRetrying, 1, 10, repeatsPerKill + repeatsOfFailed},
	{"the gateway refuses", withMood, inMood(refuses), 1, 10, 0},
}

func TestNothingIsLostAndRepeatsAreFew(t *testing.T) {
	t.Parallel()
	var seen results
	t.Cleanup(seen.print) // once the parallel ones are through
	for n, s := range scenarios {
		for _, database := range s.system.databases {
			t.Run(strings.ReplaceAll(s.name, " ", "-")+"/"+database, func(t *testing.T) {
				t.Parallel()
				seen.add(build(t, s.system, database, n).run(s))
			})
		}
	}
}

// TestCancelTakesEffectInAllProcesses kills one of them just before. What it had
// in hand may have gone or not: only that is unknown, and only then.
func TestCancelTakesEffectInAllProcesses(t *testing.T) {
	t.Parallel()
	p := build(t, many, "postgres", len(scenarios))
	p.begin()
	p.until(func() bool { return p.mails.Total() > len(p.people.reachable())/3 }, "a third of the mails")
	p.aWorker().kill()
	a := p.api()
	want[types.CancelledCampaignEnvelope](t, http.StatusOK, read(a.CancelCampaign(t.Context(), p.campaign.ID)))
	requireStandsStill(t, p.mails, time.Now())
	eventually(t, func() bool { return len(a.messages(p.campaign.ID, nil)) == int(p.people) }, "everybody to stand in the ledger")
	done := a.campaign(p.campaign.ID)
	require.Positive(t, done.Progress.Cancelled)
	require.LessOrEqual(t, done.Progress.Unknown, int64(repeatsPerKill))
	require.LessOrEqual(t, p.mails.Total()-p.mails.Distinct(), repeatsPerKill)
	taken := p.ids()
	for _, m := range a.requireLedger(done) {
		switch m.Status {
		case types.MessageStatusSent:
			require.True(t, taken[m.ID], m.ID)
		case types.MessageStatusUnknown:
		default:
			require.False(t, taken[m.ID], "%s is %s", m.ID, m.Status)
		}
	}
}

// result is what one scenario came to.
type result struct {
	scenario, database                                string
	times, messages, lost, repeated, unknown, allowed int
	recovered                                         []time.Duration
}

type results struct {
	mu  sync.Mutex
	all []result
}

func (rs *results) add(r result) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.all = append(rs.all, r)
}

// print writes the table of the long form.
func (rs *results) print() {
	if !*chaosLong {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "fault (seed %d)\tdatabase\ttimes\tmessages\tlost\trepeated\tunknown\tallowed\trecovered after: median\tat most\n", *chaosSeed)
	for _, r := range rs.all {
		slices.Sort(r.recovered)
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%v\n", r.scenario, r.database, r.times, r.messages, r.lost, r.repeated, r.unknown, r.allowed,
			r.recovered[len(r.recovered)/2].Round(time.Millisecond), r.recovered[len(r.recovered)-1].Round(time.Millisecond))
	}
	_ = w.Flush()
}

// database makes an empty one.
func (s system) database(t *testing.T, kind string) (dsn string, c *storetest.Cluster) {
	switch {
	case kind == "sqlite":
		return "sqlite:" + storetest.SQLitePath(t), nil
	case s.ownClock:
		c = storetest.NewClusterWithClock(t)
		return c.URL(), c
	case s.ownDatabase:
		c = storetest.NewCluster(t)
		return c.URL(), c
	default:
		return storetest.PostgresURL(t), nil
	}
}
