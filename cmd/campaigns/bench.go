package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/campaigns-api/campaigns/cmd/campaigns/bench"
)

func newBench() *cobra.Command {
	o := bench.Options{}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure import, audience and sending on this machine",
		Long: `Measure the whole program on this machine: a server, a database, and sinks that
take and count messages, each a process of its own.

  import        contacts from a CSV file over the API
  import-again  the first of them once more, into a second list
  freeze        the audience of a campaign to all of them
  smtp, http    a campaign over a carrier of that kind, each recipient exactly once

Processor time is per message, peak memory the server's. The database must be
empty and this run's own; by default it is an SQLite file that goes afterwards.
Linux only: the meters read /proc.`,
		Example: `  campaigns bench
  campaigns bench --database postgres://localhost/scratch --only smtp --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Binary, err = os.Executable(); err != nil {
				return err
			}
			o.Out, o.Progress = cmd.OutOrStdout(), progressOn(cmd.ErrOrStderr())
			if o.Database == "" {
				dir, err := os.MkdirTemp("", "campaigns-bench-")
				if err != nil {
					return err
				}
				defer func() { _ = os.RemoveAll(dir) }()
				o.Database = "sqlite:" + filepath.Join(dir, "bench.db")
			}
			return bench.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Database, "database", "", "an empty database for this run: sqlite:PATH or postgres://…")
	f.IntVar(&o.Contacts, "contacts", 1_000_000, "contacts to import and to freeze")
	f.IntVar(&o.Mails, "mails", 200_000, "messages to send over each carrier")
	f.StringSliceVar(&o.Only, "only", nil, "measure only these: "+strings.Join(bench.Measures, ", "))
	f.BoolVar(&o.JSON, "json", false, "one line of JSON per measure")
	c.AddCommand(newBenchSinks())
	return c
}

// newBenchSinks is the process that bench starts for the far ends of the carriers.
func newBenchSinks() *cobra.Command {
	return &cobra.Command{
		Use: "sinks", Short: "Take and count messages, for bench", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.ServeSinks(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// progressOn writes progress for people, and nothing into a file or a pipe.
func progressOn(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return w
		}
	}
	return io.Discard
}
