package tests

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/campaigns-api/campaigns/"

// TestArrowsPointOneWay holds the packages to the drawing in the architecture:
// whatever `from` leads to, nothing of it may lie in one of `never`.
//
//	cmd → server → gen        server → store        cmd → delivery → store
func TestArrowsPointOneWay(t *testing.T) {
	const echo, kin, gorm = "github.com/labstack/echo", "github.com/getkin/kin-openapi", "gorm.io/"
	for _, arrow := range []struct {
		from   string
		direct bool // look at what from imports itself, not at what that leads to
		never  []string
	}{
		{from: "gen/...", never: []string{module + "server", module + "store", module + "delivery", module + "cmd"}},
		{from: "gen/client", never: []string{echo, kin}}, // its users get neither
		{from: "server/...", never: []string{module + "delivery", module + "cmd"}},
		{from: "server/...", direct: true, never: []string{gorm}}, // nobody outside store sees a *gorm.DB
		{from: "server/contract", never: []string{module + "store", module + "gen"}},
		{from: "store/...", never: []string{module + "server", module + "delivery", module + "gen", module + "cmd", echo, kin}},
		{from: "store", direct: true, never: []string{"net/http"}},
		{from: "store/content", never: []string{gorm, module + "store/migrations"}},
		{from: "delivery/...", never: []string{module + "server", module + "gen", module + "cmd", echo, kin}},
		{from: "delivery/...", direct: true, never: []string{gorm}},
		{from: "cmd/...", never: []string{module + "store/storetest"}}, // tests' own
	} {
		for _, reached := range dependencies(t, arrow.from, arrow.direct) {
			for _, prefix := range arrow.never {
				inside := reached == prefix || strings.HasPrefix(reached, strings.TrimSuffix(prefix, "/")+"/")
				require.False(t, inside, "%s must not lead to %s", arrow.from, reached)
			}
		}
	}
}

// dependencies are the packages that those matching the pattern import, or with
// direct false also the ones behind these.
func dependencies(t *testing.T, pattern string, direct bool) []string {
	t.Helper()
	args := []string{"list", "-deps", "-f", "{{.ImportPath}}", module + pattern}
	if direct {
		args = []string{"list", "-f", `{{join .Imports "\n"}}`, module + pattern}
	}
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	require.NoError(t, err, "go %s", strings.Join(args, " "))
	require.NotEmpty(t, strings.TrimSpace(string(out)), "%s is no package", pattern)
	return strings.Fields(string(out))
}
