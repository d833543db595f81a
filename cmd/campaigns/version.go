package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is the contract's version and the commit, as `make build` stamps it.
var version string

// versionOrModule is the module's version where nothing was stamped: `go install`.
func versionOrModule() string {
	if built, ok := debug.ReadBuildInfo(); ok && version == "" {
		return built.Main.Version
	}
	return version
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		Args:    cobra.NoArgs,
		Example: "  campaigns version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "campaigns %s (%s, %s/%s)\n", versionOrModule(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
