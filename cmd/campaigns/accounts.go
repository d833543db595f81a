package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/campaigns-api/campaigns/store"
)

const maxName = 200 // characters

// checkName refuses a name that would not fit a line of a table.
func checkName(name string) error {
	if utf8.RuneCountInString(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return usageError{errors.New("the name must have at most 200 characters, and no control characters")}
	}
	return nil
}

func newAccounts() *cobra.Command {
	return group("accounts", "Create, list and change accounts, which own keys and data", newAccountsCreate(), newAccountsList(), newAccountsUpdate())
}

// accountView is an account as programs read it.
type accountView struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Rate      float64   `json:"rate"` // messages per second, 0 for no bound
	CreatedAt time.Time `json:"created_at"`
}

func viewAccount(a store.Account) accountView {
	return accountView{a.PublicID, a.Name, a.Rate, a.CreatedAt}
}

func printAccounts(c *cobra.Command, as ...store.Account) error {
	rows := make([][]string, len(as))
	for i, a := range as {
		rate := "-"
		if a.Rate > 0 {
			rate = strconv.FormatFloat(a.Rate, 'f', -1, 64)
		}
		rows[i] = []string{a.PublicID, a.Name, rate, when(&a.CreatedAt)}
	}
	return printTable(c.OutOrStdout(), "ID NAME RATE CREATED", rows)
}

// addRate is the flag that bounds an account.
func addRate(c *cobra.Command) *float64 {
	return c.Flags().Float64("rate", 0, "messages per second of all its live campaigns, over all processes; 0 for no bound")
}

// checkRate takes what SetAccountRate can hold to. A bound of less than one a
// second would make a change wait for what was taken before.
func checkRate(rate float64) error {
	if rate != 0 && (math.IsNaN(rate) || rate < 1 || rate > 1e6) {
		return usageError{errors.New("the rate must be 0 (no bound) or 1 to 1000000 messages per second")}
	}
	return nil
}

func newAccountsCreate() *cobra.Command {
	c := &cobra.Command{
		Use: "create NAME", Short: "Create an account", Args: cobra.ExactArgs(1),
		Example: `  campaigns accounts create "Acme Shoes"
  campaigns accounts create "Acme Shoes" --rate 50
  id=$(campaigns accounts create "Acme Shoes" --json | jq -r .id)`,
	}
	addSettings(c.Flags(), databaseSettings...)
	rate, asJSON := addRate(c), addJSON(c)
	c.RunE = onDatabase(func(cmd *cobra.Command, args []string, st *store.Store) error {
		name := strings.TrimSpace(args[0])
		if name == "" {
			return usageError{errors.New("the name must not be blank")}
		}
		if err := errors.Join(checkName(name), checkRate(*rate)); err != nil {
			return err
		}
		a, err := st.CreateAccount(cmd.Context(), name)
		if err == nil && *rate > 0 { // nothing is sent in between: the account has no key
			a, err = st.SetAccountRate(cmd.Context(), a.PublicID, *rate)
		}
		if err != nil {
			return err
		}
		return showAccount(cmd, a, *asJSON)
	})
	return c
}

func showAccount(c *cobra.Command, a store.Account, asJSON bool) error {
	if asJSON {
		return printJSON(c.OutOrStdout(), viewAccount(a))
	}
	return printAccounts(c, a)
}

func newAccountsUpdate() *cobra.Command {
	c := &cobra.Command{
		Use: "update ID", Short: "Bound how fast an account sends", Args: cobra.ExactArgs(1),
		Long: `Bound how fast an account sends: all its live campaigns together, over all
processes. Processes that are sending heed it within a second.`,
		Example: "  campaigns accounts update acc_01m85wjb4z… --rate 50\n  campaigns accounts update acc_01m85wjb4z… --rate 0   # no bound",
	}
	addSettings(c.Flags(), databaseSettings...)
	rate, asJSON := addRate(c), addJSON(c)
	must(c.MarkFlagRequired("rate"))
	c.RunE = onDatabase(func(cmd *cobra.Command, args []string, st *store.Store) error {
		if err := checkRate(*rate); err != nil {
			return err
		}
		a, err := st.SetAccountRate(cmd.Context(), args[0], *rate)
		if err != nil {
			return err
		}
		return showAccount(cmd, a, *asJSON)
	})
	return c
}

func newAccountsList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List all accounts, oldest first", Args: cobra.NoArgs,
		Example: "  campaigns accounts list\n  campaigns accounts list --json",
	}
	addSettings(c.Flags(), databaseSettings...)
	asJSON := addJSON(c)
	c.RunE = onDatabase(func(cmd *cobra.Command, _ []string, st *store.Store) error {
		as, err := st.Accounts(cmd.Context())
		if err != nil {
			return err
		}
		if !*asJSON {
			return printAccounts(cmd, as...)
		}
		views := make([]accountView, len(as))
		for i, a := range as {
			views[i] = viewAccount(a)
		}
		return printJSON(cmd.OutOrStdout(), views)
	})
	return c
}
