package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := group("campaigns", "Create messaging campaigns and send them",
		newServe(), newWorker(), newMigrate(), newAccounts(), newKeys(), newContacts(), newBench(), newVersion())
	root.Long = `campaigns is a Campaigns API server and the tools around it.

  campaigns serve --dev    try it: made-up contacts, a demo key, nothing leaves this machine
  campaigns serve          the API and the workers that send, as configured
  campaigns worker         workers alone, beside other processes on one PostgreSQL

Every setting may stand in a YAML file (--config), in the environment
(CAMPAIGNS_LISTEN, CAMPAIGNS_DATABASE …) or be given as a flag; a flag wins over
the environment, the environment over the file. docs/configuration.md lists them.`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentFlags().SortFlags = false
	root.PersistentFlags().String(configFlag, "", "configuration file, YAML (default: the environment's CAMPAIGNS_CONFIG)")
	tellFailures(root)
	return root
}

// group is a command that only has others below it; alone it prints its help.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(below...)
	return c
}

// tellFailures lets report tell what a command's work returns from what cobra
// returns before it begins: wrong usage.
func tellFailures(c *cobra.Command) {
	if work := c.RunE; work != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			err := work(cmd, args)
			var usage usageError
			if err == nil || errors.As(err, &usage) {
				return err
			}
			return failure{err}
		}
	}
	for _, below := range c.Commands() {
		tellFailures(below)
	}
}
