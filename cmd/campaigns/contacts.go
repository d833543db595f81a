package main

import "github.com/spf13/cobra"

func newContacts() *cobra.Command {
	return group("contacts", "Work with contacts through the API", newContactsImport())
}
