package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"

	"modernc.org/sqlite"
)

// OpenHeard opens an SQLite file and hears every statement that is run on it.
func OpenHeard(path string, hear func(query string)) (*Store, error) {
	name := fmt.Sprint("heard", heardDrivers.Add(1))
	sql.Register(name, heardDriver{hear})
	return openSQLite(name, path)
}

var heardDrivers atomic.Int64

type heardDriver struct{ hear func(query string) }

func (d heardDriver) Open(name string) (driver.Conn, error) {
	c, err := (&sqlite.Driver{}).Open(name)
	return heardConn{c, d.hear}, err
}

type heardConn struct {
	driver.Conn
	hear func(query string)
}

func (c heardConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.hear(query)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c heardConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.hear(query)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c heardConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.hear(query)
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c heardConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

var placeholder = regexp.MustCompile(`\?(\d*)`)

// QueryPlan is what SQLite would do for a statement, whatever its arguments.
func (s *Store) QueryPlan(ctx context.Context, query string) (steps []string, err error) {
	n := 0
	for i, numbered := range placeholder.FindAllStringSubmatch(query, -1) {
		if k, err := strconv.Atoi(numbered[1]); err == nil {
			n = max(n, k)
		} else {
			n = i + 1
		}
	}
	rows, err := s.sql.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, make([]any, n)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, rows.Err()
}
