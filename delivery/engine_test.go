package delivery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

func TestCampaignReachesEveryRecipientOnce(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(3000)
		b.run(b.engine)
		c := b.send()
		p := b.until(c, store.Completed)
		require.EqualValues(t, 3000, p.Total)
		require.EqualValues(t, 3000, p.Sent())
		b.carrier.requireOnce(t, 3000)
		b.requireComplete(c)
	})
}
