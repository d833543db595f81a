package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"
)

// database is where one run's data lives: made for it and gone with it.
type database struct {
	kind string // postgres or sqlite
	dsn  string
	drop func(context.Context) error
}

// newDatabase makes an empty one where dsn says: a file in the folder of
// sqlite:DIR, or a database beside that of postgres://….
func newDatabase(ctx context.Context, dsn string) (*database, error) {
	if parent, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		dir, err := os.MkdirTemp(parent, "campaigns-bench-")
		if err != nil {
			return nil, err
		}
		drop := func(context.Context) error { return os.RemoveAll(dir) }
		return &database{"sqlite", "sqlite:" + filepath.Join(dir, "bench.db"), drop}, nil
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("--database must be sqlite:DIR or postgres://…") // not shown: it may hold a password
	}
	name := "campaigns_bench_" + strings.ToLower(rand.Text())
	if err := execute(ctx, dsn, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		return nil, fmt.Errorf("make a database: %w", err)
	}
	u.Path = "/" + name
	drop := func(ctx context.Context) error { return execute(ctx, dsn, "DROP DATABASE "+name+" WITH (FORCE)") }
	return &database{"postgres", u.String(), drop}, nil
}

func execute(ctx context.Context, dsn, sql string) (err error) {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	_, err = c.Exec(ctx, sql)
	return err
}

// meter is nothing for SQLite, which is part of the server. PostgreSQL is asked
// for its log and for its process.
func (d *database) meter(ctx context.Context) (used time.Duration, wal int64, err error) {
	if d.kind == "sqlite" {
		return 0, 0, nil
	}
	c, err := pgx.Connect(ctx, d.dsn)
	if err != nil {
		return 0, 0, fmt.Errorf("measure PostgreSQL: %w", err)
	}
	defer func() { _ = c.Close(ctx) }()
	var backend int
	if err := c.QueryRow(ctx, "SELECT pg_backend_pid(), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&backend, &wal); err != nil {
		return 0, 0, fmt.Errorf("measure PostgreSQL: %w", err)
	}
	used, err = clusterTime(backend)
	return used, wal, err
}

// clusterTime is the processor time of all processes of the PostgreSQL that the
// backend belongs to; 0 where they are out of sight, on another machine or in a
// container.
func clusterTime(backend int) (used time.Duration, err error) {
	p, err := procfs.NewProc(backend)
	if err != nil {
		return 0, nil //nolint:nilerr // out of sight
	}
	own, err := p.Stat()
	if err != nil || own.Comm != "postgres" {
		return 0, err
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		stat, err := p.Stat()
		switch {
		case err != nil: // it has ended
		case stat.PID == own.PPID: // counts its children that have ended, too
			used += ticks(stat.UTime+stat.STime) + ticks(uint(stat.CUTime+stat.CSTime))
		case stat.PPID == own.PPID:
			used += ticks(stat.UTime + stat.STime)
		}
	}
	return used, nil
}
