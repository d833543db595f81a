package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/campaigns-api/campaigns/store"
)

func newKeys() *cobra.Command {
	return group("keys", "Create, list and revoke API keys", newKeysCreate(), newKeysList(), newKeysRevoke())
}

// keyView is a key as programs read it. Key is the key itself, which can be
// seen only when it is made.
type keyView struct {
	ID        string     `json:"id"`
	Key       string     `json:"key,omitempty"`
	Mode      string     `json:"mode"`
	Name      string     `json:"name"`
	Hint      string     `json:"hint"`
	Status    string     `json:"status"`
	Scopes    []string   `json:"scopes"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`

	LastUsedAt *time.Time `json:"last_used_at,omitempty"` // to the minute
}

func viewKey(k store.Key) keyView {
	return keyView{
		ID: k.PublicID, Mode: k.Mode.String(), Name: k.Name, Hint: k.Hint, Status: keyStatus(k), Scopes: k.Scopes,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, LastUsedAt: k.LastUsedAt,
	}
}

func keyStatus(k store.Key) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked"
	case k.ExpiresAt != nil && !time.Now().Before(*k.ExpiresAt):
		return "expired"
	}
	return "active"
}

func printKeys(c *cobra.Command, ks ...store.Key) error {
	rows := make([][]string, len(ks))
	for i, k := range ks {
		rows[i] = []string{k.PublicID, k.Hint, keyStatus(k), k.Name, when(&k.CreatedAt), when(k.ExpiresAt), when(k.LastUsedAt), strings.Join(k.Scopes, ",")}
	}
	return printTable(c.OutOrStdout(), "ID KEY STATUS NAME CREATED EXPIRES USED SCOPES", rows)
}

// keyFlags are what keys create is told.
type keyFlags struct {
	account, name string
	mode          store.Mode
	public        bool
	readOnly      bool
	scopes        []string
	expires       time.Duration
}

func newKeysCreate() *cobra.Command {
	c := &cobra.Command{
		Use: "create --account ID --mode test|live", Short: "Create a key and show it, this once", Args: cobra.NoArgs,
		Long: `create makes a key for an account and prints it. Only a hash of it is stored, so
it cannot be shown again. A test key sees test data only, and what it sends goes to
the sandbox. A public key reads campaigns and statistics and nothing else.`,
		Example: `  campaigns keys create --account acc_… --mode test
  campaigns keys create --account acc_… --mode live --name "web shop" --scopes campaigns:read,campaigns:write --expires 2160h
  campaigns keys create --account acc_… --mode live --read-only
  campaigns keys create --account acc_… --mode live --public`,
	}
	var f keyFlags
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.account, "account", "", "the account's id, acc_…")
	fl.Func("mode", "whose data it works on: test or live", func(s string) (err error) {
		f.mode, err = store.ParseMode(s)
		return err
	})
	fl.BoolVar(&f.public, "public", false, "a key that may be shown to the public")
	fl.BoolVar(&f.readOnly, "read-only", false, "a key that changes nothing: "+strings.Join(store.ReadScopes, ", "))
	fl.StringVar(&f.name, "name", "", "what it is for, for people")
	fl.StringSliceVar(&f.scopes, "scopes", nil, "narrow it to these, separated by commas: "+strings.Join(store.AllScopes, ", "))
	fl.DurationVar(&f.expires, "expires", 0, "how long it works, such as 720h (default: until revoked)")
	must(c.MarkFlagRequired("account"))
	must(c.MarkFlagRequired("mode"))
	c.MarkFlagsMutuallyExclusive("public", "read-only", "scopes")
	addSettings(fl, databaseSettings...)
	asJSON := addJSON(c)
	c.RunE = onDatabase(func(cmd *cobra.Command, _ []string, st *store.Store) error {
		secret, k, err := f.create(cmd, st)
		if err != nil {
			return err
		}
		if *asJSON {
			v := viewKey(k)
			v.Key = secret
			return printJSON(cmd.OutOrStdout(), v)
		}
		if err := printKeys(cmd, k); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "\n%s\n\nKeep it: it is shown only this once.\n", secret)
		return err
	})
	return c
}

func (f *keyFlags) create(cmd *cobra.Command, st *store.Store) (secret string, k store.Key, err error) {
	if f.expires < 0 {
		return "", k, usageError{errors.New("--expires must lie in the future")}
	}
	if err := checkName(f.name); err != nil {
		return "", k, err
	}
	a, err := st.Account(cmd.Context(), f.account)
	if err != nil {
		return "", k, sentence(err)
	}
	o := store.KeyOptions{Account: a.ID, Mode: f.mode, Public: f.public, Name: f.name, Scopes: f.scopes}
	if f.readOnly {
		o.Scopes = store.ReadScopes
	}
	if f.expires > 0 {
		at := time.Now().UTC().Add(f.expires).Truncate(time.Second)
		o.ExpiresAt = &at
	}
	secret, k, err = st.CreateKey(cmd.Context(), o)
	return secret, k, sentence(err)
}

// sentence is the plain sentence of a failure that the caller caused.
func sentence(err error) error {
	var e *store.Error
	if errors.As(err, &e) {
		return errors.New(e.Message)
	}
	return err
}

func newKeysList() *cobra.Command {
	c := &cobra.Command{
		Use: "list --account ID", Short: "List an account's keys, oldest first, revoked ones too", Args: cobra.NoArgs,
		Example: "  campaigns keys list --account acc_…",
	}
	c.Flags().SortFlags = false
	account := c.Flags().String("account", "", "the account's id, acc_…")
	must(c.MarkFlagRequired("account"))
	addSettings(c.Flags(), databaseSettings...)
	asJSON := addJSON(c)
	c.RunE = onDatabase(func(cmd *cobra.Command, _ []string, st *store.Store) error {
		a, err := st.Account(cmd.Context(), *account)
		if err != nil {
			return sentence(err)
		}
		ks, err := st.Keys(cmd.Context(), a.ID)
		if err != nil {
			return err
		}
		if !*asJSON {
			return printKeys(cmd, ks...)
		}
		views := make([]keyView, len(ks))
		for i, k := range ks {
			views[i] = viewKey(k)
		}
		return printJSON(cmd.OutOrStdout(), views)
	})
	return c
}

func newKeysRevoke() *cobra.Command {
	c := &cobra.Command{
		Use: "revoke KEY_ID", Short: "End a key for good", Args: cobra.ExactArgs(1),
		Long:    "revoke ends a key for good, within two seconds in every process. Revoking it again changes nothing. It takes the key's id (key_…), not the key.",
		Example: "  campaigns keys revoke key_…",
	}
	addSettings(c.Flags(), databaseSettings...)
	asJSON := addJSON(c)
	c.RunE = onDatabase(func(cmd *cobra.Command, args []string, st *store.Store) error {
		k, err := st.RevokeKey(cmd.Context(), args[0])
		if err != nil {
			return sentence(err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), viewKey(k))
		}
		return printKeys(cmd, k)
	})
	return c
}
