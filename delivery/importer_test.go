package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
)

// upload takes in a file of n contacts.
func (b *bench) upload(n int) store.Import {
	var file strings.Builder
	file.WriteString("email\n")
	for i := range n {
		fmt.Fprintf(&file, "p%d@example.com\n", i)
	}
	im, _, err := b.store.CreateImport(b.t.Context(), b.scope, store.ImportOptions{Format: store.CSV}, strings.NewReader(file.String()))
	require.NoError(b.t, err)
	return im
}

// importer runs an importer and returns what stops it and waits.
func (b *bench) importer(st delivery.ImportStore) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		delivery.NewImporter(st, slog.New(slog.NewTextHandler(b.t.Output(), nil))).Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	b.t.Cleanup(stop)
	return stop
}

// completed waits until an import is.
func (b *bench) completed(im store.Import) store.Import {
	require.EventuallyWithT(b.t, func(t *assertT) {
		var err error
		im, err = b.store.Import(b.t.Context(), b.scope, im.PublicID)
		require.NoError(t, err)
		require.Equal(t, store.ImportCompleted, im.Status)
	}, 30*time.Second, 10*time.Millisecond)
	return im
}

func TestImporterAppliesWhatComesIn(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.importer(b.store)
		require.EqualValues(t, 3, b.completed(b.upload(3)).Created)
		require.EqualValues(t, 3, b.completed(b.upload(3)).Updated)
	})
}

// unsteady is a store that fails every other part.
type unsteady struct {
	*store.Store
	calls atomic.Int64
}

func (u *unsteady) ApplyPart(ctx context.Context, k *store.ImportClaim) (bool, error) {
	if u.calls.Add(1)%2 == 1 {
		return false, errors.New("the database is away")
	}
	return u.Store.ApplyPart(ctx, k)
}

func TestImporterGoesOnAfterAFailure(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.importer(&unsteady{Store: b.store})
		im := b.completed(b.upload(5_000))
		require.EqualValues(t, 5_000, im.Created)
		require.EqualValues(t, 5_000, im.Processed)
	})
}

// patient is a store that says when the first part is applied.
type patient struct {
	*store.Store
	applied chan struct{}
}

func (p *patient) ApplyPart(ctx context.Context, k *store.ImportClaim) (bool, error) {
	done, err := p.Store.ApplyPart(ctx, k)
	select {
	case p.applied <- struct{}{}:
		<-ctx.Done() // the rest is for another
	default:
	}
	return done, err
}

func TestImporterGivesItsClaimBackWhenItEnds(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		im := b.upload(5_000)
		p := &patient{Store: b.store, applied: make(chan struct{}, 1)}
		stop := b.importer(p)
		<-p.applied
		stop()
		k, err := b.store.ClaimImport(t.Context(), store.Scope{}, time.Minute)
		require.NoError(t, err)
		require.NotNil(t, k)
		for done := false; !done; {
			done, err = b.store.ApplyPart(t.Context(), k)
			require.NoError(t, err)
		}
		require.EqualValues(t, 5_000, b.completed(im).Created)
	})
}
