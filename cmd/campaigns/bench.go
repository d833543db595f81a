package main

import (
	"io"
	"os"
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

  import             contacts from a CSV file over the API
  import-again       the first of them once more, into a second list
  freeze             the audience of a campaign to all of them
  first              a campaign to all of them over HTTP, until its audience is final
  nothing            a campaign to all of them over a carrier that discards
  smtp, http         a campaign over a carrier of that kind, each recipient exactly once
  …-liquid           the same with a filter and a condition in the content
  http-receipts      with a signed receipt for every message, until all are counted

Processor time and allocations are per message, peak memory and allocations the
server's. first is the time from the answer of send to the first message at the
sink. While messages go out one client reads the campaign's progress, the account's
statistics and a page of messages; the table says how long it waited.

Each run makes a database of its own and drops it afterwards. Linux only: the
meters read /proc.`,
		Example: `  campaigns bench
  campaigns bench --database postgres://localhost/postgres --only smtp --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Binary, err = os.Executable(); err != nil {
				return err
			}
			o.Version, o.Out, o.Progress = versionOrModule(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			o.Terminal = isTerminal(o.Progress)
			return bench.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Database, "database", "sqlite:", "where to make databases: sqlite:DIR (default: in the folder for temporary files) or postgres://… of a role that may")
	f.IntVar(&o.Contacts, "contacts", 1_000_000, "contacts to import, to freeze and to send nothing to")
	f.IntVar(&o.Messages, "messages", 200_000, "messages to send over each carrier that has a sink")
	f.IntVar(&o.Runs, "runs", 1, "run everything so often, and print the medians")
	f.StringSliceVar(&o.Only, "only", nil, "measure only these, and the imports they need: "+strings.Join(bench.Measures(), ", "))
	f.BoolVar(&o.JSON, "json", false, "one line of JSON per measure")
	f.StringVar(&o.History, "history", "", "append what was measured to this file, as a line of JSON")
	c.AddCommand(newBenchSink())
	return c
}

// newBenchSink is the process that bench starts for the far end of a carrier.
func newBenchSink() *cobra.Command {
	return &cobra.Command{
		Use: "sink KIND SECRET", Short: "Take and count messages, for bench", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.ServeSink(cmd.Context(), args[0], args[1], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// isTerminal says whether w shows what is written to it to people.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
