package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

func eachBench(b *testing.B, f func(b *testing.B, s *store.Store)) {
	for name, dsn := range map[string]func() string{
		"postgres": func() string { return storetest.PostgresURL(b) },
		"sqlite":   func() string { return "sqlite:" + storetest.SQLitePath(b) },
	} {
		b.Run(name, func(b *testing.B) {
			s := open(b, dsn())
			_, err := s.Migrate(b.Context())
			require.NoError(b, err)
			f(b, s)
		})
	}
}

// BenchmarkFoldReceipts takes 100,000 receipts in and folds them.
func BenchmarkFoldReceipts(b *testing.B) {
	const n = 100_000
	eachBench(b, func(b *testing.B, s *store.Store) {
		shop := newShop(b, s, n)
		for b.Loop() {
			b.StopTimer()
			c := shop.sending()
			rs := make([]store.Receipt, 0, n)
			for range n / 1000 {
				k := shop.claim(c)
				shop.record(k, len(k.IDs), outcomes(store.MessageSent, k.IDs...)...)
				for _, id := range k.IDs {
					rs = append(rs, store.Receipt{CampaignID: c.ID, ContactID: id, Status: store.MessageDelivered})
				}
			}
			b.StartTimer()
			for len(rs) > 0 {
				require.NoError(b, s.AddReceipts(b.Context(), "hand", rs[:500]))
				rs = rs[500:]
			}
			added := b.Elapsed()
			shop.fold()
			b.ReportMetric(n/added.Seconds(), "added/s")
			b.ReportMetric(n/(b.Elapsed()-added).Seconds(), "folded/s")
			require.EqualValues(b, n, shop.progress(c).Delivered)
		}
	})
}
