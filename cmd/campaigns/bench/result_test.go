package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMediansAreOfEachFigureAlone(t *testing.T) {
	run := func(perSecond, first, p99 float64) []Result {
		return []Result{
			{Name: "import", MessagesPerSecond: 10 * perSecond},
			{Name: "http", MessagesPerSecond: perSecond, FirstMessage: &first, Reads: &Reads{Messages: quantiles{P99: p99}}},
		}
	}
	got := medians([][]Result{run(3, 10, 200), run(1, 30, 100), run(2, 20, 300)})
	require.Len(t, got, 2)
	require.Equal(t, []any{"import", 20.0}, []any{got[0].Name, got[0].MessagesPerSecond})
	require.Equal(t, []any{"http", 2.0, 20.0, 200.0}, []any{got[1].Name, got[1].MessagesPerSecond, *got[1].FirstMessage, got[1].Reads.Messages.P99})
}

func TestQuantilesAreOfWhatWasSeen(t *testing.T) {
	var took []time.Duration
	for i := range 101 {
		took = append(took, time.Duration(100-i)*time.Millisecond)
	}
	require.Equal(t, quantiles{Count: 101, P50: 50, P99: 99}, quantilesOf(took))
	require.Equal(t, quantiles{Count: 1, P50: 7, P99: 7}, quantilesOf([]time.Duration{7 * time.Millisecond}))
	require.Zero(t, quantilesOf(nil))
}
