package delivery_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
)

// withNumber is the name of a process like this one with another number.
func withNumber(t *testing.T, n int) string {
	t.Helper()
	place, ok := strings.CutSuffix(delivery.ThisProcess(), "/"+strconv.Itoa(os.Getpid()))
	if !ok {
		t.Skip("processes have no names here")
	}
	return place + "/" + strconv.Itoa(n)
}

// endedProcess is the name of one that was and is no more.
func endedProcess(t *testing.T) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "true")
	require.NoError(t, c.Run())
	return withNumber(t, c.Process.Pid)
}

func TestLeasesOfAProcessThatHasEndedAreNotAwaited(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		b.contacts(1500)
		require.NoError(t, b.store.Heartbeat(ctx, store.Worker{ID: "wrk_dead", Channels: []store.Channel{store.SMS}, Process: endedProcess(t)}))
		c := b.send()
		for more := true; more; {
			var err error
			more, err = b.store.FreezePage(ctx, c.ID)
			require.NoError(t, err)
		}
		for k := new(store.Chunk); k != nil; {
			var err error
			k, err = b.store.ClaimChunk(ctx, c.ID, "wrk_dead", time.Hour, 250)
			require.NoError(t, err)
		}
		b.run(b.engine)
		b.completes(c)
		b.carrier.requireOnce(t, 1500)
	})
}

func TestOnlyAProcessThatIsSurelyGoneHasEnded(t *testing.T) {
	require.True(t, delivery.Ended(endedProcess(t)))
	require.False(t, delivery.Ended(delivery.ThisProcess()))
	require.False(t, delivery.Ended(withNumber(t, os.Getppid())))
	require.False(t, delivery.Ended("another-boot/"+endedProcess(t)))
	require.False(t, delivery.Ended(""))
	require.False(t, delivery.Ended(withNumber(t, 0)+"x"))
}
