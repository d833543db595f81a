//go:build contract

package tests

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/server"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// What others' tools find of the running server; `make contract` installs them
// into tests/contract and runs this. On each database they get a server in
// development mode of their own, first for the stories, which want its data as it
// is made, then for Schemathesis, which leaves nothing as it was.

func TestServerKeepsTheContractAsOthersReadIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		r := install(t, dsn).start("serve", "--dev", "--rate-limits=false")
		tellStories(t, r.url)
		runSchemathesis(t, r.url)
		r.stop()
	})
}

// tellStories runs the Arazzo files against the server.
func tellStories(t *testing.T, url string) {
	t.Helper()
	inContract(t, "sh", "-c", `exec node_modules/.bin/redocly respect stories/*.arazzo.yaml "$@"`, "stories",
		"--server", "campaigns="+url, "--input", "key="+server.DemoKey, "--input", "segment=seg_abc123",
		"--input", "later="+time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339),
		"--input", "repeat=story-of-the-spring-promo")
}

// runSchemathesis makes calls of every operation by itself, then walks along the
// links. A walk may end early by chance, so walks go on for half a minute.
func runSchemathesis(t *testing.T, url string) {
	t.Helper()
	run := []string{"run", "../../openapi.yaml", "--url", url, "--phases"}
	inContract(t, ".venv/bin/st", append(run, "examples,coverage,fuzzing")...)
	inContract(t, ".venv/bin/st", append(run, "stateful", "--max-time", "30")...)
}

// inContract runs a tool with the settings in tests/contract, lets it speak for
// itself and wants it to be content.
func inContract(t *testing.T, program string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir = "contract"
	c.Env = append(os.Environ(), "CAMPAIGNS_KEY="+server.DemoKey,
		"PYTHONDONTWRITEBYTECODE=1", "HYPOTHESIS_STORAGE_DIRECTORY="+t.TempDir())
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	require.NoError(t, c.Run(), program)
}
