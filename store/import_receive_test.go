package store

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store/storetest"
)

func migrated(t *testing.T, dsn string) (*Store, Scope) {
	t.Helper()
	s, err := Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	a, err := s.CreateAccount(t.Context(), "Acme")
	require.NoError(t, err)
	return s, Scope{Account: a.ID, Mode: Live}
}

func TestUploadThatStandsStillIsGivenUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s, sc := migrated(t, dsn)
		body, w := io.Pipe()
		uploaded := make(chan error, 1)
		go func() {
			_, _, err := s.CreateImport(t.Context(), sc, ImportOptions{Format: NDJSON}, body)
			uploaded <- err
		}()
		_, err := io.WriteString(w, strings.Repeat("{}\n", 300_000))
		require.NoError(t, err)

		// As if nothing had come since.
		require.NoError(t, s.db.Model(&Import{}).Where("true").Update("lease_until", now().Add(-time.Second)).Error)
		k, err := s.ClaimImport(t.Context(), Scope{}, time.Minute)
		require.NoError(t, err)
		require.Nil(t, k)
		var parts int64
		require.NoError(t, s.db.Model(&importPart{}).Count(&parts).Error)
		require.Zero(t, parts)
		ims, _, err := s.Imports(t.Context(), sc, Page{})
		require.NoError(t, err)
		require.Equal(t, ImportFailed, ims[0].Status)
		require.Equal(t, "UNAVAILABLE", *ims[0].ErrorCode)
		require.NotNil(t, ims[0].CompletedAt)

		require.NoError(t, w.Close())
		require.ErrorContains(t, <-uploaded, "given up")
	})
}

func TestPartsAreGoneOnceApplied(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s, sc := migrated(t, dsn)
		_, _, err := s.CreateImport(t.Context(), sc, ImportOptions{Format: NDJSON}, strings.NewReader(strings.Repeat("{}\n", 2*partRecords+1)))
		require.NoError(t, err)
		var parts int64
		require.NoError(t, s.db.Model(&importPart{}).Count(&parts).Error)
		require.EqualValues(t, 3, parts)
		k, err := s.ClaimImport(t.Context(), Scope{}, time.Minute)
		require.NoError(t, err)
		for done := false; !done; {
			done, err = s.ApplyPart(t.Context(), k)
			require.NoError(t, err)
		}
		require.NoError(t, s.db.Model(&importPart{}).Count(&parts).Error)
		require.Zero(t, parts)
	})
}

// peopleReader makes rows of contacts as it is read.
type peopleReader struct {
	next, total int
	rest        []byte
	peak        *uint64
}

func (r *peopleReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.next == r.total {
			return 0, io.EOF
		}
		if r.next%5000 == 0 {
			watchHeap(r.peak)
		}
		i := r.next
		r.next++
		r.rest = fmt.Appendf(r.rest[:0], "customer-%d,+4479%08d,user%d@example.com,Ada,Lovelace,GB,vip|lisbon,gold,%d\n", i, i, i, i%90)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func peopleFile(total int, peak *uint64) io.Reader {
	return io.MultiReader(
		strings.NewReader("external_id,phone,email,first_name,last_name,country,tags,attributes.plan,attributes.age\n"),
		&peopleReader{total: total, peak: peak})
}

func watchHeap(peak *uint64) {
	if peak == nil {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*peak = max(*peak, m.HeapAlloc)
}

func TestImportTakesBoundedMemory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s, sc := migrated(t, dsn)
		rows := 100_000 // 8 MB
		if testing.Short() {
			rows = 10_000 // under the race detector SQLite, which is Go, takes a minute for the whole
		}
		var before, peak uint64
		runtime.GC()
		watchHeap(&before)
		_, _, err := s.CreateImport(t.Context(), sc, ImportOptions{Format: CSV}, peopleFile(rows, &peak))
		require.NoError(t, err)
		k, err := s.ClaimImport(t.Context(), Scope{}, time.Minute)
		require.NoError(t, err)
		for done := false; !done; watchHeap(&peak) {
			done, err = s.ApplyPart(t.Context(), k)
			require.NoError(t, err)
		}
		require.Less(t, peak, before+64<<20)
	})
}

// BenchmarkImport takes a file in and applies it: new contacts with three
// identifiers each, into a list.
func BenchmarkImport(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{
		"postgres": storetest.PostgresURL,
		"sqlite":   func(t testing.TB) string { return "sqlite:" + storetest.SQLitePath(t) },
	} {
		b.Run(name, func(b *testing.B) { benchmarkImport(b, dsn(b)) })
	}
}

func benchmarkImport(b *testing.B, dsn string) {
	ctx := b.Context()
	s, err := Open(ctx, dsn)
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	_, err = s.Migrate(ctx)
	require.NoError(b, err)
	a, err := s.CreateAccount(ctx, "Acme")
	require.NoError(b, err)
	sc := Scope{Account: a.ID, Mode: Live}
	l, err := s.CreateList(ctx, sc, List{Name: "Everybody"})
	require.NoError(b, err)
	b.ResetTimer()
	_, _, err = s.CreateImport(ctx, sc, ImportOptions{Format: CSV, List: l.PublicID}, peopleFile(b.N, nil))
	require.NoError(b, err)
	received := b.Elapsed()
	k, err := s.ClaimImport(ctx, Scope{}, time.Minute)
	require.NoError(b, err)
	for done := false; !done; {
		done, err = s.ApplyPart(ctx, k)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)/received.Seconds(), "received/s")
}
