package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"
)

// Exec changes the database behind the store's back: tests make rows old with it
// instead of waiting.
func (s *Store) Exec(ctx context.Context, query string, args ...any) error {
	return s.db.WithContext(ctx).Exec(query, args...).Error
}

// MigrateTo brings the schema to an earlier version than the last.
func (s *Store) MigrateTo(ctx context.Context, version int64) error {
	p, release, err := s.migrator(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = p.UpTo(ctx, version)
	return err
}

// Count runs a query that gives one number.
func (s *Store) Count(ctx context.Context, query string, args ...any) (n int, err error) {
	return n, s.db.WithContext(ctx).Raw(query, args...).Scan(&n).Error
}

// OpenExplained opens a PostgreSQL that explains, as a superuser may ask it to,
// each statement after it ran.
func OpenExplained(ctx context.Context, dsn string, notice func(text string) error) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"session_preload_libraries": "auto_explain", "auto_explain.log_level": "notice", "auto_explain.log_format": "json",
		"auto_explain.log_min_duration": "0", "auto_explain.log_analyze": "on", "auto_explain.log_buffers": "on", "auto_explain.log_timing": "off",
	} {
		cfg.ConnConfig.RuntimeParams[name] = value
	}
	cfg.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if strings.HasPrefix(n.Message, "duration:") {
			if err := notice(n.Message); err != nil {
				panic(err)
			}
		}
	}
	return openPool(ctx, cfg)
}

// Names runs a query that gives texts.
func (s *Store) Names(ctx context.Context, query string) (names []string, err error) {
	return names, s.db.WithContext(ctx).Raw(query).Scan(&names).Error
}

// Reconnect ends the connections to PostgreSQL that are idle.
func (s *Store) Reconnect() { s.pool.Reset() }

// Hold runs a query in a transaction that stays open until it is given back.
func (s *Store) Hold(ctx context.Context, query string) (giveBack func(), err error) {
	tx, err := s.sql.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, query)
	return func() { _ = tx.Rollback() }, err
}

// Plans makes PostgreSQL explain every read of the tables from now on, in the
// transaction that reads, and keeps what it says.
func (s *Store) Plans(tables ...string) (plans *[]string, err error) {
	plans = new([]string)
	return plans, s.ro.Callback().Query().After("gorm:query").Register("explain", func(db *gorm.DB) {
		if db.Error != nil || !slices.Contains(tables, db.Statement.Table) {
			return
		}
		rows, err := db.Statement.ConnPool.QueryContext(db.Statement.Context, "EXPLAIN "+db.Statement.SQL.String(), db.Statement.Vars...)
		if db.AddError(err) != nil {
			return
		}
		defer func() { _ = db.AddError(rows.Close()) }()
		var plan strings.Builder
		for rows.Next() {
			var line string
			_ = db.AddError(rows.Scan(&line))
			plan.WriteString(line + "\n")
		}
		_ = db.AddError(rows.Err())
		*plans = append(*plans, plan.String())
	})
}

// ScanPostgresIDs reads an array as PostgreSQL writes it.
func ScanPostgresIDs(array string) (ids []int64, err error) {
	s := &Store{base: &base{pool: &pgxpool.Pool{}}}
	err = s.idsScan(&ids).(sql.Scanner).Scan(array)
	return ids, err
}
