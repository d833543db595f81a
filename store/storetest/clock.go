package storetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// faketime is where distributions put libfaketime: Debian, Red Hat.
var faketime = []string{"/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib64/faketime/libfaketime.so.1"}

var errNoFaketime = errors.New("no libfaketime to step PostgreSQL's clock with (Debian, Ubuntu: apt-get install faketime)")

// NewClusterWithClock is NewCluster with a clock that StepClock can step. It needs
// libfaketime; where that is not installed, t is skipped, or fails when CI is set.
func NewClusterWithClock(t testing.TB) *Cluster {
	t.Helper()
	return ownCluster(t, func() (*Cluster, error) {
		for _, pattern := range faketime {
			if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
				return newCluster(found[0])
			}
		}
		return nil, errNoFaketime
	})
}

// StepClock sets the server's clock so far off the machine's, at once and for all
// its sessions. What measures how long something takes is not touched.
func (c *Cluster) StepClock(by time.Duration) error {
	if c.library == "" {
		return errors.New("step PostgreSQL's clock: it is the machine's")
	}
	// Renamed, as the server reads it at any time.
	next := c.clockFile() + ".next"
	if err := os.WriteFile(next, fmt.Appendf(nil, "%+d", int(by.Seconds())), 0o644); err != nil {
		return fmt.Errorf("step PostgreSQL's clock: %w", err)
	}
	return os.Rename(next, c.clockFile())
}

func (c *Cluster) clockFile() string { return filepath.Join(c.dir, "clock") }
