package tests

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// system is what a plant is built of.
type system struct {
	databases   []string // each of these in turn
	processes   []string // their arguments; the first has the API
	ownDatabase bool     // a PostgreSQL that may be stopped
	ownClock    bool     // likewise, with a clock that may be stepped
	farWorkers  int      // so many of the last processes reach it over a network that can be made bad
	farCarrier  bool     // likewise all of them the carrier
	gateway     bool     // the carrier is a gateway by HTTP, else a mail server
	atMostOnce  bool     // the carrier is handed nothing twice
	smallDisk   bool     // SQLite on a disk that can be filled
}

// plant is a system at work: the real program, a database and a carrier.
type plant struct {
	t         *testing.T
	rand      *rand.Rand
	database  string // postgres, sqlite
	people    crowd
	processes []*process
	key       string
	campaign  types.Campaign // as last seen

	cluster    *storetest.Cluster // nil unless it may be stopped
	toDatabase *proxy             // nil unless far
	toCarrier  *proxy             // nil unless far
	mails      *sink.Counter
	gateway    *moody        // nil for a mail server
	disk       string        // "" unless it is small
	clock      time.Duration // how far the database's is off

	since time.Time // the last fault, or its end
	had   int       // messages taken until then

	excused int // repeats that are allowed beyond the scenario's
}

// process is one of the program's, which is started again after it was ended.
type process struct {
	by   *installation
	args []string
	*running
}

func (p *process) start() { p.running = p.by.start(p.args...) }

const (
	lease          = 8 * time.Second
	atOnce         = 16 // messages that one process has on their way
	gatewayTimeout = 2 * time.Second
)

// build starts everything. Its random numbers are those of the seed and n.
func build(t *testing.T, s system, database string, n int) *plant {
	if s.farCarrier && s.gateway && runtime.GOOS != "linux" {
		t.Skip("no authority of ours is believed: the program reads SSL_CERT_FILE on Linux")
	}
	p := &plant{t: t, rand: rand.New(rand.NewPCG(*chaosSeed, uint64(n))), database: database, people: 3000, mails: &sink.Counter{}}
	if *chaosLong {
		p.people = 50_000
	}
	p.mails.Keep = 4 * int(p.people)
	var dsn string
	dsn, p.cluster = s.database(t, database)
	carrier, env := p.carrier(s)
	carrier["at_most_once"] = s.atMostOnce
	near := install(t, dsn, carrier)
	near.env = append(near.env, env...)
	far := near
	if s.farWorkers > 0 {
		p.toDatabase, dsn = tlsTo(t, dsn)
		far = install(t, dsn, carrier)
		far.env = near.env
	}
	p.key = near.liveKey(near.account())
	if s.smallDisk {
		p.disk = filepath.Dir(strings.TrimPrefix(dsn, "sqlite:"))
		near.within = smallDisk(t, p.disk)
	}
	for i, args := range s.processes {
		one := &process{by: near, args: strings.Fields(args)}
		if i >= len(s.processes)-s.farWorkers {
			one.by = far
		}
		one.start()
		p.processes = append(p.processes, one)
	}
	return p
}

// carrier starts the other side of one. It gives the program's configuration and
// what its environment has to say.
func (p *plant) carrier(s system) (config map[string]any, env []string) {
	const perSecond = 1500 // slow enough for a middle
	if !s.gateway {
		config = smtpTo(p.t, p.mails, perSecond)
		if s.farCarrier {
			to := config["address"].(string)
			p.toCarrier = newProxy(p.t, func() (net.Conn, error) { return net.Dial("tcp", to) })
			config["address"] = p.toCarrier.addr
		}
		config["connections"] = atOnce
		return config, nil
	}
	p.gateway = newMoody(p.mails)
	server := httptest.NewUnstartedServer(p.gateway)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of each garbled connection
	p.t.Cleanup(server.Close)
	config = map[string]any{
		"name": "gateway", "type": "http", "channels": []string{"email"}, "rate": perSecond,
		"connections": atOnce, "timeout": gatewayTimeout.String(),
	}
	if !s.farCarrier {
		server.Start()
		config["url"] = server.URL
		return config, nil
	}
	server.StartTLS() // else what is garbled underway is as good as what was sent
	authority := filepath.Join(p.t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(p.t, os.WriteFile(authority, certificate, 0o600))
	p.toCarrier = newProxy(p.t, func() (net.Conn, error) { return net.Dial("tcp", server.Listener.Addr().String()) })
	config["url"] = "https://" + p.toCarrier.addr
	return config, []string{"SSL_CERT_FILE=" + authority}
}

// api is a client of the process that has one.
func (p *plant) api() *api { return p.processes[0].api(p.key) }

// begin sends a campaign to everybody.
func (p *plant) begin() {
	list := p.api().assemble(p.people)
	p.campaign = p.api().newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelEmail, ListID: &list.ID, Body: new("Hi {{first_name}}")})
	p.api().sendWhenReady(p.campaign.ID)
}

// run sends a campaign, does the fault to it at random moments, and holds what
// came of it to the contract.
func (p *plant) run(s scenario) result {
	p.begin()
	times := s.times
	switch {
	case *chaosLong:
		times = s.often
	case testing.Short():
		times = 1
	}
	r := result{scenario: s.name, database: p.database, messages: len(p.people.reachable())}
	for _, moment := range p.moments(times) {
		p.until(func() bool { return p.mails.Total() >= moment }, "the moment for a fault")
		if p.through() {
			break
		}
		p.mark()
		s.fault(p)
		p.until(func() bool { return p.mails.Total() > p.had || p.through() }, "the first message after the fault")
		r.recovered = append(r.recovered, time.Since(p.since))
		r.times++
	}
	require.NotZero(p.t, r.times, "it was through before anything happened to it")
	p.until(p.through, "the campaign to be completed")
	p.judge(&r, s.system.atMostOnce, r.times*s.repeats+p.excused)
	return r
}

// moments are when faults come, in messages taken until then.
func (p *plant) moments(n int) (all []int) {
	end := len(p.people.reachable())
	for range n {
		all = append(all, end/20+p.rand.IntN(end*3/4))
	}
	slices.Sort(all)
	return all
}

// mark says that the time to recover, and its messages, count from now.
func (p *plant) mark() { p.since, p.had = time.Now(), p.mails.Total() }

// until polls, and meanwhile holds the campaign to what its progress promises.
func (p *plant) until(condition func() bool, what string) {
	p.t.Helper()
	var looked time.Time
	eventually(p.t, func() bool {
		if time.Since(looked) > 50*time.Millisecond {
			p.look()
			looked = time.Now()
		}
		return condition()
	}, what)
}

// look reads the campaign, if anybody answers.
func (p *plant) look() {
	p.t.Helper()
	got := read(p.api().GetCampaign(p.t.Context(), p.campaign.ID))
	if got.err != nil || got.status >= http.StatusInternalServerError {
		return
	}
	p.campaign = want[types.CampaignEnvelope](p.t, http.StatusOK, got).Data
	requireAddsUp(p.t, p.campaign)
}

func (p *plant) through() bool { return completed(p.campaign) }

// judge holds the ledger, the statistics and what the carrier took to the
// contract: so many repeats at most, or so many of whom it is unknown whether they
// got one, where nobody may get two.
func (p *plant) judge(r *result, atMostOnce bool, allowed int) {
	done := p.api().campaign(p.campaign.ID)
	pr, reachable, refused := done.Progress, len(p.people.reachable()), 0
	if p.gateway != nil {
		refused, allowed = int(p.gateway.refused.Load()), allowed+int(p.gateway.untold.Load())
	}
	taken := p.ids()
	r.allowed, r.unknown = allowed, int(pr.Unknown)
	r.repeated = p.mails.Total() - p.mails.Distinct()
	r.lost = reachable - int(pr.Sent+pr.Failed+pr.Unknown)
	for _, m := range p.api().requireLedger(done) {
		switch {
		case m.Status == types.MessageStatusSent && !taken[m.ID]:
			r.lost++
		case m.Status == types.MessageStatusUnknown:
			require.Contains(p.t, []string{"interrupted", "no_answer"}, m.Error.Code)
		}
	}
	p.t.Logf("seed %d: %+v", *chaosSeed, *r)
	require.Zero(p.t, r.lost, "messages are lost")
	require.EqualValues(p.t, p.people, pr.Total)
	require.EqualValues(p.t, refused, pr.Failed)
	require.Equal(p.t, pr.Sent+pr.Unknown, p.api().statistics().TotalMessagesSent)
	if atMostOnce {
		require.Zero(p.t, r.repeated, "somebody got two")
		require.LessOrEqual(p.t, r.unknown, allowed)
	} else {
		require.Zero(p.t, r.unknown)
		require.LessOrEqual(p.t, r.repeated, allowed)
		require.Len(p.t, taken, reachable-refused, "somebody got nothing")
	}
}

// ids are those of the messages that were taken: each for one recipient, however
// often that got it.
func (p *plant) ids() map[string]bool {
	all, of := map[string]bool{}, map[string]string{}
	messages := p.mails.Messages()
	require.Len(p.t, messages, p.mails.Total())
	for _, m := range messages {
		id := idOf(p.t, m)
		if _, known := of[m.To]; !known {
			of[m.To] = id
		}
		require.Equal(p.t, of[m.To], id, "%s got it under two ids", m.To)
		all[id] = true
	}
	require.Len(p.t, all, len(of), "an id stands for two recipients")
	return all
}

// idOf is the message's id as it stood on the wire.
func idOf(t *testing.T, m sink.Message) string {
	t.Helper()
	if m.Data[0] == '{' {
		var body struct{ ID string }
		require.NoError(t, json.Unmarshal(m.Data, &body))
		return body.ID
	}
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	require.NoError(t, err)
	id, _, _ := strings.Cut(strings.Trim(parsed.Header.Get("Message-ID"), "<>"), "@")
	return id
}
