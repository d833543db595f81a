package tests

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store/storetest"
)

// BenchmarkProgram runs `campaigns bench` on both databases, one after the
// other, and passes on what it prints. BENCH_ARGS are further arguments, as in
// BENCH_ARGS="--contacts 100000 --json". Run it with -benchtime 1x: `make bench`.
func BenchmarkProgram(b *testing.B) {
	path, err := binary()
	require.NoError(b, err)
	for name, dsn := range map[string]func(testing.TB) string{
		"postgres": storetest.PostgresURL,
		"sqlite":   func(t testing.TB) string { return "sqlite:" + storetest.SQLitePath(t) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				args := append([]string{"bench", "--database", dsn(b)}, strings.Fields(os.Getenv("BENCH_ARGS"))...)
				run := exec.CommandContext(b.Context(), path, args...)
				run.Stdout, run.Stderr = os.Stdout, os.Stderr
				require.NoError(b, run.Run())
			}
		})
	}
}
