package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"
)

// reading is what the meters show at one moment.
type reading struct {
	at                     time.Time
	server, database, sink time.Duration // processor time so far
	peak                   uint64        // bytes, the server's most resident memory since the last reset
	wal                    int64         // bytes written to the log so far
}

// meter reads all meters; with reset, the server's memory peak starts anew.
func (s *system) meter(ctx context.Context, reset bool) (r reading, err error) {
	if reset {
		// Linux: 5 resets the peak resident set (proc(5), clear_refs).
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.server.Process.Pid), []byte("5"), 0); err != nil {
			return r, fmt.Errorf("reset the memory peak: %w", err)
		}
	}
	if r.server, err = processorTime(s.server.Process.Pid); err != nil {
		return r, err
	}
	if r.sink, err = processorTime(s.sinks.cmd.Process.Pid); err != nil {
		return r, err
	}
	if r.database, r.wal, err = s.database.meter(ctx); err != nil {
		return r, err
	}
	p, err := procfs.NewProc(s.server.Process.Pid)
	if err != nil {
		return r, err
	}
	status, err := p.NewStatus()
	if err != nil {
		return r, err
	}
	r.peak, r.at = status.VmHWM, time.Now()
	return r, nil
}

func processorTime(pid int) (time.Duration, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	stat, err := p.Stat()
	if err != nil {
		return 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), nil
}

// database is what is measured of the database itself.
type database struct {
	kind string // postgres or sqlite
	dsn  string
}

func newDatabase(dsn string) database {
	if strings.HasPrefix(dsn, "sqlite:") {
		return database{"sqlite", dsn}
	}
	return database{"postgres", dsn}
}

// meter is nothing for SQLite, which is part of the server. PostgreSQL is asked
// for its log; its processor time is that of all its processes on this machine.
func (d database) meter(ctx context.Context) (used time.Duration, wal int64, err error) {
	if d.kind == "sqlite" {
		return 0, 0, nil
	}
	c, err := pgx.Connect(ctx, d.dsn)
	if err != nil {
		return 0, 0, fmt.Errorf("measure PostgreSQL: %w", err)
	}
	defer func() { _ = c.Close(ctx) }()
	if err := c.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").Scan(&wal); err != nil {
		return 0, 0, fmt.Errorf("measure PostgreSQL: %w", err)
	}
	procs, err := procfs.AllProcs()
	if err != nil {
		return 0, 0, err
	}
	for _, p := range procs {
		stat, err := p.Stat()
		if err == nil && (stat.Comm == "postgres" || stat.Comm == "postmaster") {
			used += time.Duration(stat.CPUTime() * float64(time.Second))
			// A backend that has ended is counted with its parent.
			if children := time.Duration(stat.CUTime+stat.CSTime) * time.Second / 100; children > 0 {
				used += children
			}
		}
	}
	return used, wal, nil
}
