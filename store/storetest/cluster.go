package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a PostgreSQL server with a data directory of its own. It listens
// on a socket in a directory that only its user may enter, and on no network.
// It is for one goroutine at a time.
//
// A commit is in the operating system's hands when it is acknowledged
// (synchronous_commit is on) but not on the disk (fsync is off): it survives
// every end of the server, not the machine's. Settings may change that.
type Cluster struct {
	programs string // directory
	settings []string
	dir      string // everything the cluster writes
	user     *syscall.Credential
	library  string // that gives the server its clock; "" for the machine's own
	log      *os.File
	guard    *exec.Cmd
	leash    io.WriteCloser // the guard's standard input
	server   *process       // nil while stopped
}

// Mode is how a server is made to stop.
type Mode syscall.Signal

const (
	// Fast ends every session, writes everything out and stops: what a service
	// manager does.
	Fast = Mode(syscall.SIGINT)
	// Immediate drops everything: a crash. The next Start recovers.
	Immediate = Mode(syscall.SIGQUIT)
)

const (
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

// NewCluster returns a running cluster that is t's alone, so that t may stop it.
// It is removed when t ends. Settings, such as "fsync=on", win over what the
// package sets. TEST_DATABASE_URL does not matter here; where PostgreSQL is not
// installed, t is skipped, or fails when CI is set.
func NewCluster(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	return ownCluster(t, func() (*Cluster, error) { return newCluster("", settings...) })
}

func ownCluster(t testing.TB, create func() (*Cluster, error)) *Cluster {
	t.Helper()
	c, err := create()
	need(t, err)
	t.Cleanup(func() {
		if err := c.remove(); err != nil {
			t.Errorf("remove the cluster: %v", err)
		}
	})
	return c
}

// newCluster makes and starts a cluster, its server under a library for its clock
// unless that is "". The caller need not remove it: it goes when this process does.
func newCluster(library string, settings ...string) (_ *Cluster, err error) {
	programs, err := findPrograms(os.Getenv("PATH"), packaged)
	if err != nil {
		return nil, err
	}
	user, err := serverUser()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "campaigns-pg-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	c := &Cluster{programs: programs, settings: settings, dir: dir, user: user}
	if err := c.watch(); err != nil {
		return nil, errors.Join(fmt.Errorf("watch over PostgreSQL: %w", err), os.RemoveAll(dir))
	}
	err = c.initialize()
	if c.library = library; err == nil && library != "" {
		err = c.StepClock(0)
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// initialize makes the data directory: half a second.
func (c *Cluster) initialize() (err error) {
	if c.user != nil {
		if err := os.Chown(c.dir, int(c.user.Uid), int(c.user.Gid)); err != nil {
			return fmt.Errorf("hand the directory to the server's user: %w", err)
		}
	}
	p, err := c.launch("initdb", "--pgdata="+c.data(), "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if err != nil {
		return err
	}
	<-p.exited
	if p.err != nil {
		return fmt.Errorf("initdb: %w\n%s", p.err, c.output())
	}
	return nil
}

// URL is the postgres:// URL of the database "postgres", as the superuser. It
// stays the same over stops and starts.
func (c *Cluster) URL() string {
	return "postgres://postgres@/postgres?host=" + url.QueryEscape(c.dir)
}

// Start starts a stopped cluster and returns when it takes connections, or an
// error with the server's log when it does not within a minute.
func (c *Cluster) Start() error {
	if c.server != nil {
		return errors.New("start PostgreSQL: it runs already")
	}
	args := []string{
		"-D", c.data(), "-k", c.dir,
		"-c", "listen_addresses=",
		"-c", "max_connections=300",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_wal_size=1GB",
		// Files in the data directory, so that nothing stays behind in /dev/shm.
		"-c", "dynamic_shared_memory_type=mmap",
		// So that SQL which leans on the server's time zone is found out.
		"-c", "timezone=Asia/Kathmandu",
	}
	for _, s := range c.settings {
		args = append(args, "-c", s) // the last one holds
	}
	p, err := c.launch("postgres", args...)
	if err != nil {
		return err
	}
	c.server = p
	if err := c.awaitReady(); err != nil {
		return errors.Join(fmt.Errorf("start PostgreSQL: %w\n%s", err, c.output()), c.Stop(Immediate))
	}
	return nil
}

func (c *Cluster) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.server.exited:
			return fmt.Errorf("it ended: %w", c.server.err)
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

// Stop stops a running cluster and returns when the server is gone.
func (c *Cluster) Stop(how Mode) error {
	p := c.server
	if p == nil {
		return errors.New("stop PostgreSQL: it does not run")
	}
	c.server = nil
	if err := p.Signal(syscall.Signal(how)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("PostgreSQL did not stop within %v\n%s", stopTimeout, c.output()), p.Kill())
	}
}

// Restart stops the cluster and starts it again.
func (c *Cluster) Restart(how Mode) error {
	if err := c.Stop(how); err != nil {
		return err
	}
	return c.Start()
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// output is what the programs have said so far, for an error's text.
func (c *Cluster) output() string {
	b, err := os.ReadFile(c.log.Name())
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(b)
}
