// Command campaigns is the Campaigns API in one binary: the server, its workers
// and the tools around them. It alone knows all parts: it reads the
// configuration, opens the database, builds the carriers and runs server and
// delivery side by side. It decides nothing about campaigns: commands about
// accounts and keys call package store, those about contacts are clients of the
// API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes. Commands document any other they use.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run()) }

// run ends early on SIGINT or SIGTERM by ending the commands' context. The
// second signal finds Go's default, which is back before anything can be seen to
// end: it ends the process at once.
func run() int {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		end()
	}()
	cmd, err := newRoot().ExecuteContextC(ctx)
	return report(os.Stderr, cmd, err)
}

// report says what went wrong, if anything, and gives the exit code.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	var failed failure
	var silent exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &silent):
		return int(silent)
	case errors.As(err, &failed):
		fmt.Fprintln(w, "campaigns:", failed)
		return exitFailed
	}
	fmt.Fprintf(w, "campaigns: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
	return exitUsage
}

// failure is the error of a command that was called rightly: see newRoot.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// exitCode ends a command that has already said what there is to say.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError is wrong usage that only the command itself can see.
type usageError struct{ error }
