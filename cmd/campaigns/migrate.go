package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newMigrate() *cobra.Command {
	c := &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema up to date",
		Long: `migrate brings the database's schema up to date and says what it did. Any number
of processes may do so at once. It waits up to a minute for a database that is
away. Every command on the database does the same before its work, so migrate is
for deployments that want it as a step of its own.`,
		Args: cobra.NoArgs,
		Example: `  campaigns migrate --database postgres://campaigns@db.example/campaigns
  campaigns migrate --config campaigns.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, faults := readConfig(cmd.Flags())
			if err := faults.err(); err != nil {
				return err
			}
			st, err := awaitDatabase(cmd.Context(), cfg.Database, newLogger(cfg.Log, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			applied, err := st.Migrate(cmd.Context())
			if err != nil {
				return err
			}
			if len(applied) == 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "The schema is up to date.")
			}
			for _, v := range applied {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "applied migration %d\n", v)
			}
			return err
		},
	}
	addSettings(c.Flags(), databaseSettings...)
	return c
}
