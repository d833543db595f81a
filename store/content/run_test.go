package content

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClockFailsOnlyRendersThatDoMuch(t *testing.T) {
	r := beginRun(nil, false)
	defer r.end()
	r.begun = time.Now().Add(-time.Hour) // as if the machine had stood still
	for range freeSteps {
		require.NoError(t, r.step())
	}
	require.ErrorIs(t, r.step(), errTime)

	kept := beginRun(nil, false)
	defer kept.end()
	kept.begun = r.begun
	require.NoError(t, kept.keep(freeKept))
	require.ErrorIs(t, kept.keep(1), errTime)
}
