// Package store is the one way to the database. It owns the nouns (account,
// contact, list, segment, template, campaign, chunk, message …), their rules
// and their transactions, on PostgreSQL and on SQLite. It knows neither HTTP
// nor carriers, and its types are not what goes over the wire.
//
// A method is a transaction: nobody outside sees *gorm.DB. Ordinary methods are
// written once in GORM; the few hot statements stand once per dialect, side by
// side. Every method that touches an account's data takes a Scope.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	_ "modernc.org/sqlite" // the SQLite driver: pure Go, so that building needs no C compiler
)

// Store is safe for use by many goroutines. Close it when done.
//
// Everything that writes goes through db; reads that need not see their own
// transaction go through ro. On PostgreSQL both are the same pool. On SQLite db
// is a pool of one connection (SQLite has one writer anyway: queueing for it in
// Go is fair and cannot fail, queueing in SQLite's busy handler is neither) and
// ro holds a few read-only ones, which WAL lets run beside the writer.
//
// Inside a transaction only its own *gorm.DB may be used: a read on db would
// wait for itself for ever on SQLite.
//
// In Once both are one transaction, and what is to be announced waits for its end.
type Store struct {
	db, ro  *gorm.DB
	waiting *[]int64 // within Once: campaigns to announce when it is committed
	*base
}

// base is what a Store has in common with those that take part in Once.
type base struct {
	sql, sqlRO *sql.DB
	pool       *pgxpool.Pool // PostgreSQL only
	path       string        // SQLite only
	lock       *flock.Flock  // SQLite only: held by the process that sends
	claims     sync.Map      // SQLite only: the requests being worked on, see Once
	places     places        // SQLite only: see Reserve
	changes    broadcast
	keyUses    sync.Map               // uses of keys (id → time) to be kept, see NoteKeyUse
	secret     atomic.Pointer[[]byte] // nil until Secret has read it

	open       context.Context // ends with Close
	end        context.CancelFunc
	unfinished sync.WaitGroup // what goes on after its caller was answered, see discard
}

func newBase() *base {
	b := &base{places: places{freeAt: map[string]time.Time{}}}
	b.open, b.end = context.WithCancel(context.Background())
	return b
}

const (
	defaultConnections = 16
	sqliteReaders      = 4
)

// Open connects to "postgres://…" (or "postgresql://…", or a "key=value" DSN)
// or "sqlite:PATH". It does not change the schema: see Migrate. The pool's size
// is the DSN's pool_max_conns, 16 by default.
func Open(ctx context.Context, dsn string) (*Store, error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return openSQLite("sqlite", path)
	}
	return openPostgres(ctx, dsn)
}

func gormConfig() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		NowFunc:                now,
		Logger: logger.NewSlogLogger(slog.Default(), logger.Config{
			LogLevel: logger.Silent, // every error is wrapped and logged once, at the top
		}),
	}
}

func openPostgres(ctx context.Context, dsn string) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse the database address: %w", err)
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = defaultConnections
	}
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "campaigns"
	}
	return openPool(ctx, cfg)
}

func openPool(ctx context.Context, cfg *pgxpool.Config) (*Store, error) {
	cfg.AfterConnect = timesInUTC
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach PostgreSQL: %w", err)
	}
	s := &Store{base: newBase()}
	s.pool = pool
	s.sql = stdlib.OpenDBFromPool(pool)
	s.sqlRO = s.sql
	if s.db, err = gorm.Open(postgres.New(postgres.Config{Conn: s.sql}), gormConfig()); err != nil {
		return nil, errors.Join(fmt.Errorf("open PostgreSQL: %w", err), s.Close())
	}
	s.ro = s.db
	return s, nil
}

// timesInUTC makes the times that are read the same as those that were written:
// by itself pgx gives them in the machine's own zone.
func timesInUTC(_ context.Context, c *pgx.Conn) error {
	c.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// openSQLite keeps times as integers (microseconds), so that they compare, and
// waits for the disk at each commit: what was answered is not lost.
func openSQLite(driver, path string) (*Store, error) {
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, errors.New("open SQLite: name a file, as in sqlite:data/campaigns.db")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	pragmas := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-32768)",
	}, "_time_integer_format": {"unix_micro"}, "_inttotime": {"1"}}
	uri := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas.Encode()
	s := &Store{base: newBase()}
	s.path = path
	var err error
	if s.sql, err = sql.Open(driver, uri+"&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	s.sql.SetMaxOpenConns(1)
	if s.sqlRO, err = sql.Open(driver, uri+"&_pragma=query_only(1)"); err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	s.sqlRO.SetMaxOpenConns(sqliteReaders)
	s.sqlRO.SetMaxIdleConns(sqliteReaders)
	if s.db, err = gorm.Open(sqlite.New(sqlite.Config{DriverName: "sqlite", Conn: s.sql}), gormConfig()); err == nil {
		s.ro, err = gorm.Open(sqlite.New(sqlite.Config{DriverName: "sqlite", Conn: s.sqlRO}), gormConfig())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open SQLite: %w", err), s.Close())
	}
	return s, nil
}

// Close gives every connection back. The Store is of no use afterwards.
func (s *Store) Close() error {
	s.end()
	s.unfinished.Wait()
	var err error
	if s.sqlRO != s.sql {
		err = s.sqlRO.Close()
	}
	err = errors.Join(err, s.sql.Close())
	if s.pool != nil {
		s.pool.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Unlock())
	}
	return err
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.sqlRO.PingContext(ctx) }

// Embedded says whether the database is a file of this process (SQLite).
func (s *Store) Embedded() bool { return s.pool == nil }

// Exclusive makes this process the only one that sends from an SQLite file, for
// as long as the Store is open; it fails when another one does. That is what
// makes it safe to free every lease at start. On PostgreSQL, where any number
// of processes may send, it does nothing.
func (s *Store) Exclusive() error {
	if !s.Embedded() {
		return nil
	}
	l := flock.New(s.path + ".lock")
	ok, err := l.TryLock()
	if err != nil {
		return fmt.Errorf("lock %s: %w", s.path, err)
	}
	if !ok {
		return fmt.Errorf("%s is in use by another process that sends", s.path)
	}
	s.lock = l
	return nil
}

// write runs f in one transaction. What f returns undoes everything.
func (s *Store) write(ctx context.Context, f func(tx *gorm.DB) error) error {
	return s.db.WithContext(ctx).Transaction(f)
}

// read is for what needs no transaction.
func (s *Store) read(ctx context.Context) *gorm.DB { return s.ro.WithContext(ctx) }

// locked makes the next read of tx lock its rows until the transaction ends.
// On SQLite the transaction itself is the lock.
func (s *Store) locked(tx *gorm.DB) *gorm.DB {
	if s.Embedded() {
		return tx
	}
	return tx.Clauses(clause.Locking{Strength: "UPDATE"})
}

// now is the only clock of the nouns: UTC, cut to what both databases keep.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
