package main

import (
	"errors"
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
	return group("accounts", "Create and list accounts, which own keys and data", newAccountsCreate(), newAccountsList())
}

// accountView is an account as programs read it.
type accountView struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

func viewAccount(a store.Account) accountView { return accountView{a.PublicID, a.Name, a.CreatedAt} }

func printAccounts(c *cobra.Command, as ...store.Account) error {
	rows := make([][]string, len(as))
	for i, a := range as {
		rows[i] = []string{a.PublicID, a.Name, when(&a.CreatedAt)}
	}
	return printTable(c.OutOrStdout(), "ID NAME CREATED", rows)
}

func newAccountsCreate() *cobra.Command {
	c := &cobra.Command{
		Use: "create NAME", Short: "Create an account", Args: cobra.ExactArgs(1),
		Example: `  campaigns accounts create "Acme Shoes"
  id=$(campaigns accounts create "Acme Shoes" --json | jq -r .id)`,
	}
	addSettings(c.Flags(), databaseSettings...)
	asJSON := addJSON(c)
	c.RunE = onDatabase(func(cmd *cobra.Command, args []string, st *store.Store) error {
		name := strings.TrimSpace(args[0])
		if name == "" {
			return usageError{errors.New("the name must not be blank")}
		}
		if err := checkName(name); err != nil {
			return err
		}
		a, err := st.CreateAccount(cmd.Context(), name)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), viewAccount(a))
		}
		return printAccounts(cmd, a)
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
