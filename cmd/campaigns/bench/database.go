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
	kind    string // postgres or sqlite
	dsn     string
	durable bool // what it has acknowledged survives the end of the machine
	drop    func(context.Context) error
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
		return &database{"sqlite", "sqlite:" + filepath.Join(dir, "bench.db"), true, drop}, nil
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("--database must be sqlite:DIR or postgres://…") // not shown: it may hold a password
	}
	name := "campaigns_bench_" + strings.ToLower(rand.Text())
	d := &database{kind: "postgres", drop: func(ctx context.Context) error {
		return onPostgres(ctx, dsn, func(c *pgx.Conn) error {
			_, err := c.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
			return err
		})
	}}
	u.Path = "/" + name
	d.dsn = u.String()
	err = onPostgres(ctx, dsn, func(c *pgx.Conn) error {
		err := c.QueryRow(ctx, `SELECT bool_and(setting <> 'off') FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')`).Scan(&d.durable)
		if err == nil {
			_, err = c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a database: %w", err)
	}
	return d, nil
}

// onPostgres does something over a connection of its own.
func onPostgres(ctx context.Context, dsn string, do func(*pgx.Conn) error) (err error) {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	return do(c)
}

// meter is nothing for SQLite, which is part of the server. PostgreSQL is asked
// for its log and for its process.
func (d *database) meter(ctx context.Context) (used time.Duration, wal int64, err error) {
	if d.kind == "sqlite" {
		return 0, 0, nil
	}
	err = onPostgres(ctx, d.dsn, func(c *pgx.Conn) (err error) {
		var backend int
		err = c.QueryRow(ctx, "SELECT pg_backend_pid(), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&backend, &wal)
		if err == nil {
			used, err = clusterTime(backend)
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("measure PostgreSQL: %w", err)
	}
	return used, wal, nil
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
