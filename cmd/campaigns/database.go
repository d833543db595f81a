package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/sethvargo/go-retry"
	"github.com/spf13/cobra"

	"github.com/campaigns-api/campaigns/store"
)

const (
	databasePatience = time.Minute      // how long a server waits at its start for a database that is away
	connectTimeout   = 10 * time.Second // of one attempt
)

// databaseSettings are those of commands that work on the database.
var databaseSettings = []string{"database", "log.level", "log.format"}

// onDatabase makes the work of a command that needs the database, with the
// schema up to date, and nothing else that runs.
func onDatabase(work func(cmd *cobra.Command, args []string, st *store.Store) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, faults := readConfig(cmd.Flags())
		if err := faults.err(); err != nil {
			return err
		}
		newLogger(cfg.Log, cmd.ErrOrStderr())
		st, err := openDatabase(cmd.Context(), cfg.Database)
		if err != nil {
			return err
		}
		defer func() { _ = st.Close() }()
		if _, err := st.Migrate(cmd.Context()); err != nil {
			return err
		}
		return work(cmd, args, st)
	}
}

func openDatabase(ctx context.Context, dsn string) (*store.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return store.Open(ctx, dsn)
}

// awaitDatabase opens the database, and waits a while for one that is away:
// after a power cut or in a fresh deployment it may start later than we do.
func awaitDatabase(ctx context.Context, dsn string, log *slog.Logger) (*store.Store, error) {
	pauses := retry.WithMaxDuration(databasePatience, retry.WithCappedDuration(5*time.Second, retry.NewExponential(500*time.Millisecond)))
	return retry.DoValue(ctx, pauses, func(ctx context.Context) (*store.Store, error) {
		st, err := openDatabase(ctx, dsn)
		if isAway(err) {
			log.Warn("the database is away; trying again", "error", err)
			err = retry.RetryableError(err)
		}
		return st, err
	})
}

// isAway tells a database that may come (no connection, starting up, shutting
// down, out of connections) from one that says no.
func isAway(err error) bool {
	var answer interface{ SQLState() string } // PostgreSQL's
	var network *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &answer):
		return strings.HasPrefix(answer.SQLState(), "57P") || strings.HasPrefix(answer.SQLState(), "53")
	case errors.As(err, &network), errors.As(err, &name), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return true
	}
	return false
}
