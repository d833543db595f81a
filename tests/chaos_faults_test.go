package tests

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// again ends processes in some way and starts them anew.
func (p *plant) again(end func(*running), which ...*process) {
	for _, one := range which {
		end(one.running)
	}
	p.mark()
	for _, one := range which {
		one.start()
	}
}

// aWorker is one of those without an API.
func (p *plant) aWorker() *process {
	workers := p.processes[1:]
	return workers[p.rand.IntN(len(workers))]
}

func killAll(p *plant)    { p.again((*running).kill, p.processes...) }
func killAPI(p *plant)    { p.again((*running).kill, p.processes[0]) }
func killWorker(p *plant) { p.again((*running).kill, p.aWorker()) }
func stopAll(p *plant)    { p.again((*running).stop, p.processes...) }
func stopWorker(p *plant) { p.again((*running).stop, p.aWorker()) }

// pauseAndResume wants nothing to be handed over later than a second after the
// answer.
func pauseAndResume(p *plant) {
	want[types.PausedCampaignEnvelope](p.t, http.StatusOK, read(p.api().PauseCampaign(p.t.Context(), p.campaign.ID)))
	requireStandsStill(p.t, p.mails, time.Now())
	p.mark()
	want[types.ResumedCampaignEnvelope](p.t, http.StatusOK, read(p.api().ResumeCampaign(p.t.Context(), p.campaign.ID)))
}

func restartDatabase(p *plant) { p.restart(storetest.Fast) }
func crashDatabase(p *plant)   { p.restart(storetest.Immediate) }

// restart is no reason for repeats, unless the machine is so busy that leases run
// out meanwhile.
func (p *plant) restart(how storetest.Mode) {
	began := time.Now()
	require.NoError(p.t, p.cluster.Stop(how))
	p.mark()
	require.NoError(p.t, p.cluster.Start())
	if time.Since(began) > lease/2 {
		p.excused += len(p.processes) * repeatsPerKill
	}
}

// stepClock sets the database's clock, which all leases, heartbeats and due times
// go by. The program's own clock is the machine's, which is not ours to set.
func stepClock(by time.Duration) func(*plant) {
	return func(p *plant) {
		p.clock += by
		require.NoError(p.t, p.cluster.StepClock(p.clock))
	}
}

func toDatabase(p *plant) *proxy { return p.toDatabase }
func toCarrier(p *plant) *proxy  { return p.toCarrier }

func cut(which func(*plant) *proxy) func(*plant) {
	return func(p *plant) { which(p).cut() }
}

func silenced(which func(*plant) *proxy) func(*plant) {
	return func(p *plant) { which(p).silence() }
}

// slow makes each piece take longer, for a second.
func slow(which func(*plant) *proxy) func(*plant) {
	return func(p *plant) {
		which(p).delay.Store(int64(30 * time.Millisecond))
		p.wait(time.Second)
		which(p).delay.Store(0)
		p.mark()
	}
}

// garbled changes a bit in each piece, for half a second. Below is TLS: nothing
// else could tell what is garbled from what is not.
func garbled(which func(*plant) *proxy) func(*plant) {
	return func(p *plant) {
		which(p).garble.Store(true)
		p.wait(time.Second / 2)
		which(p).garble.Store(false)
		p.mark()
	}
}

// unreachable lets nothing through for longer than a lease, so that others take
// over from a worker that lives.
func unreachable(which func(*plant) *proxy) func(*plant) {
	return func(p *plant) {
		which(p).gate.Lock()
		p.wait(lease + 2*time.Second)
		which(p).gate.Unlock()
		p.mark()
	}
}

func (p *plant) wait(d time.Duration) {
	began := time.Now()
	p.until(func() bool { return time.Since(began) > d }, "the time to pass")
}

// inMood has the gateway meet some messages in a mood, those of a second at most:
// who meets it may stay away.
func inMood(m mood) func(*plant) {
	return func(p *plant) {
		g := p.gateway
		began, met := time.Now(), g.met.Load()
		g.mood.Store(&m)
		p.until(func() bool {
			n := g.met.Load() - met
			return n > 100 || n > 0 && time.Since(began) > time.Second
		}, "the gateway's mood to pass")
		g.mood.Store(nil)
		p.mark()
	}
}

// killWhileRetrying kills when what was refused for now is due again.
func killWhileRetrying(p *plant) {
	inMood(isBroken)(p)
	p.wait(2 * time.Second)
	killAll(p)
}

// tlsTo puts a bad network before PostgreSQL and gives the address to it. What
// passes there is TLS, which ends before the server, as a Unix socket has none.
func tlsTo(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	cfg, err := pgconn.ParseConfig(dsn)
	require.NoError(t, err)
	p := newProxy(t, func() (net.Conn, error) {
		end, near := net.Pipe()
		go endTLS(near, server.TLS.Certificates, cfg)
		return end, nil
	})
	u := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: p.addr, Path: cfg.Database, RawQuery: "sslmode=require"}
	return p, u.String()
}

// endTLS is the server's side of TLS in PostgreSQL's protocol: the client asks
// with eight bytes, and S means yes.
func endTLS(near net.Conn, certificates []tls.Certificate, cfg *pgconn.Config) {
	defer near.Close()
	var ask [8]byte
	if _, err := io.ReadFull(near, ask[:]); err != nil || ask != [8]byte{0, 0, 0, 8, 4, 210, 22, 47} {
		return
	}
	if _, err := near.Write([]byte("S")); err != nil {
		return
	}
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	far, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer far.Close()
	plain := tls.Server(near, &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12})
	go func() {
		_, _ = io.Copy(plain, far)
		_ = near.Close()
	}()
	_, _ = io.Copy(far, plain)
}

// smallDisk is what to run a program within so that it has the directory, with
// what is in it now, on a disk of its own that goes with it. It takes Linux and the
// right to mount, which some containers lack.
func smallDisk(t *testing.T, dir string) []string {
	unshare := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		unshare = append(unshare, "--user", "--map-root-user")
	}
	size := "size=24m"
	if *chaosLong {
		size = "size=160m"
	}
	try := exec.Command(unshare[0], append(unshare[1:], "mount", "-t", "tmpfs", "-o", size, "tmpfs", dir)...)
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("no disk to fill: %v: %s", err, out)
	}
	const script = `cp -a "$0" "$0.kept" && mount -t tmpfs -o "$1" tmpfs "$0" && cp -a "$0.kept/." "$0" && shift && exec "$@"`
	return append(unshare, "sh", "-c", script, dir, size)
}

// fillDisk leaves no byte of it free until the program could not keep something.
func fillDisk(p *plant) {
	ballast := filepath.Join("/proc", strconv.Itoa(p.processes[0].command.Process.Pid), "root", p.disk, "ballast")
	f, err := os.Create(ballast)
	require.NoError(p.t, err)
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	require.ErrorIs(p.t, err, syscall.ENOSPC)
	require.NoError(p.t, f.Close())
	p.until(func() bool {
		return read(p.api().CreateList(p.t.Context(), types.ListCreate{Name: "One more"})).status >= http.StatusInternalServerError
	}, "the disk to be full")
	p.wait(time.Second)
	require.NoError(p.t, os.Remove(ballast))
	p.mark()
}
