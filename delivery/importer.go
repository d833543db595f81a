package delivery

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/campaigns-api/campaigns/store"
)

// ImportStore is what the importer needs of the store, which documents each
// method. It is an interface so that tests can make it fail.
type ImportStore interface {
	Changes() (changes <-chan int64, stop func())
	ClaimImport(ctx context.Context, after store.Scope, lease time.Duration) (*store.ImportClaim, error)
	ApplyPart(ctx context.Context, k *store.ImportClaim) (done bool, err error)
	ReleaseImport(ctx context.Context, k *store.ImportClaim) error
}

var _ ImportStore = (*store.Store)(nil)

const (
	importLease    = 8 * time.Second
	importTurn     = 2 * time.Second // an import is worked this long before one of another account has its turn
	releaseTimeout = 5 * time.Second // to give a claim back at the end; it runs out by itself otherwise
)

// Importer applies imports, one at a time. Any number of them may run on one
// PostgreSQL; on SQLite there is one.
type Importer struct {
	store ImportStore
	log   *slog.Logger
	last  store.Scope // whose turn it was
}

// NewImporter makes an importer; run it once.
func NewImporter(st ImportStore, log *slog.Logger) *Importer {
	return &Importer{store: st, log: log}
}

// Run applies imports until ctx ends. The part that is being applied then is
// undone; whoever claims the import next goes on with it.
func (i *Importer) Run(ctx context.Context) {
	changes, stop := i.store.Changes()
	defer stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		worked, err := i.pass(ctx)
		if err != nil && ctx.Err() == nil {
			i.log.Error("could not apply an import", "error", err)
		}
		if worked && err == nil {
			continue
		}
		for woken := false; !woken; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				woken = true
			case id := <-changes:
				woken = id == 0
			}
		}
	}
}

// pass gives one import its turn. worked is false when there was none.
func (i *Importer) pass(ctx context.Context) (worked bool, err error) {
	k, err := i.store.ClaimImport(ctx, i.last, importLease)
	if k == nil {
		return false, err
	}
	i.last = k.Scope
	for began := time.Now(); time.Since(began) < importTurn; {
		done, err := i.store.ApplyPart(ctx, k)
		if err != nil {
			return true, i.release(ctx, k, err)
		}
		if done {
			i.log.Info("done with an import", "import", k.PublicID)
			return true, nil
		}
	}
	return true, i.release(ctx, k, nil)
}

// release gives the claim back, also when ctx is done, and adds to the error.
func (i *Importer) release(ctx context.Context, k *store.ImportClaim, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return errors.Join(err, i.store.ReleaseImport(ctx, k))
}
