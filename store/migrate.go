package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings the schema up to date, with the installation's secret, and
// returns the versions it applied.
// Any number of processes may call it at once: they wait for each other.
func (s *Store) Migrate(ctx context.Context) (applied []int64, err error) {
	p, release, err := s.migrator(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare the migrations: %w", err)
	}
	defer release()
	rs, err := p.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate the schema: %w", err)
	}
	for _, r := range rs {
		applied = append(applied, r.Source.Version)
	}
	return applied, s.makeSecret(ctx)
}

// migrator uses a session's advisory lock on PostgreSQL, a file lock on SQLite.
func (s *Store) migrator(ctx context.Context) (*goose.Provider, func(), error) {
	if s.Embedded() {
		dir, err := fs.Sub(migrations, "migrations/sqlite")
		if err != nil {
			return nil, nil, err
		}
		l := flock.New(s.path + ".migrate.lock")
		if _, err := l.TryLockContext(ctx, 50*time.Millisecond); err != nil {
			return nil, nil, err
		}
		p, err := goose.NewProvider(goose.DialectSQLite3, s.sql, dir)
		return p, func() { _ = l.Unlock() }, err
	}
	dir, err := fs.Sub(migrations, "migrations/postgres")
	if err != nil {
		return nil, nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, nil, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, s.sql, dir, goose.WithSessionLocker(locker))
	return p, func() {}, err
}
