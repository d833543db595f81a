package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// request is one to make a list, with a body.
func request(key, body string) store.Request {
	return store.Request{Method: "POST", Path: "/v1/lists", Key: key, Fingerprint: sha256.Sum256([]byte(body))}
}

// listing makes a list once and answers with its id.
func listing(t *testing.T, s *store.Store, sc store.Scope, r store.Request) (id string, replayed bool, err error) {
	t.Helper()
	answer, replayed, err := s.Once(t.Context(), sc, r, func(tx *store.Store) ([]byte, store.Ending) {
		l, err := tx.CreateList(t.Context(), sc, store.List{Name: "Friends"})
		if err != nil {
			return nil, store.Failed
		}
		return []byte(l.PublicID), store.Done
	})
	return string(answer), replayed, err
}

func countLists(t *testing.T, s *store.Store, sc store.Scope) int {
	t.Helper()
	ls, _, err := s.Lists(t.Context(), sc, "", store.Page{Limit: 100})
	require.NoError(t, err)
	return len(ls)
}

func TestRepeatGetsTheFirstAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		first, replayed, err := listing(t, s, sc, request("a", "x"))
		require.NoError(t, err)
		require.False(t, replayed)
		again, replayed, err := listing(t, s, sc, request("a", "x"))
		require.NoError(t, err)
		require.True(t, replayed)
		require.Equal(t, first, again)
		require.Equal(t, 1, countLists(t, s, sc))

		_, _, err = listing(t, s, sc, request("a", "y"))
		require.Equal(t, store.CodeMismatch, failure(t, err).Code)
		require.Equal(t, 1, countLists(t, s, sc))
	})
}

func TestRequestsAreApart(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		live := store.Scope{Account: sc.Account, Mode: store.Live}
		elsewhere := request("a", "x")
		elsewhere.Path = "/v1/segments"
		for _, of := range []struct {
			sc store.Scope
			r  store.Request
		}{{sc, request("a", "x")}, {sc, request("b", "x")}, {sc, elsewhere}, {live, request("a", "x")}, {newScope(t, s), request("a", "x")}} {
			_, replayed, err := listing(t, s, of.sc, of.r)
			require.NoError(t, err)
			require.False(t, replayed)
		}
	})
}

func TestRefusalIsKeptAndItsChangeUndone(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, err := s.CreateContact(t.Context(), sc, store.Contact{Phone: ptr("+4915112345678")})
		require.NoError(t, err)
		calls := 0
		for i := range 2 {
			answer, replayed, err := s.Once(t.Context(), sc, request("a", "x"), func(tx *store.Store) ([]byte, store.Ending) {
				calls++
				_, err := tx.CreateList(t.Context(), sc, store.List{Name: "Friends"})
				require.NoError(t, err)
				_, err = tx.CreateContact(t.Context(), sc, store.Contact{Phone: ptr("+4915112345678")}) // and a statement that fails
				require.Equal(t, map[string]string{"/phone": store.CodeValidation}, fields(t, err))
				return []byte("no"), store.Refused
			})
			require.NoError(t, err)
			require.Equal(t, "no", string(answer))
			require.Equal(t, i == 1, replayed)
		}
		require.Equal(t, 1, calls)
		require.Zero(t, countLists(t, s, sc))
	})
}

func TestFailureLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		answer, replayed, err := s.Once(t.Context(), sc, request("a", "x"), func(tx *store.Store) ([]byte, store.Ending) {
			_, err := tx.CreateList(t.Context(), sc, store.List{Name: "Friends"})
			require.NoError(t, err)
			return []byte("broken"), store.Failed
		})
		require.NoError(t, err)
		require.Equal(t, "broken", string(answer))
		require.False(t, replayed)
		require.Panics(t, func() {
			_, _, _ = s.Once(t.Context(), sc, request("a", "x"), func(*store.Store) ([]byte, store.Ending) { panic("a bug") })
		})
		gone, cancel := context.WithCancel(t.Context())
		_, _, err = s.Once(gone, sc, request("a", "x"), func(tx *store.Store) ([]byte, store.Ending) {
			_, err := tx.CreateList(gone, sc, store.List{Name: "Friends"})
			cancel() // the caller has gone away; nothing was promised yet
			return nil, map[bool]store.Ending{true: store.Done, false: store.Failed}[err == nil]
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, countLists(t, s, sc))

		// As if for the first time, once PostgreSQL has seen that the caller is gone.
		require.Eventually(t, func() bool {
			_, replayed, err = listing(t, s, sc, request("a", "y"))
			var e *store.Error
			return !errors.As(err, &e) || e.Code != store.CodeInProgress
		}, time.Minute, 10*time.Millisecond)
		require.NoError(t, err)
		require.False(t, replayed)
	})
}

// TestRacingRequestsHaveOneEffect races two processes on PostgreSQL, and one
// with itself on SQLite.
func TestRacingRequestsHaveOneEffect(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		one, two := open(t, dsn), open(t, dsn)
		_, err := one.Migrate(t.Context())
		require.NoError(t, err)
		if one.Embedded() {
			two = one
		}
		sc := newScope(t, one)
		var worked, busy, given atomic.Int32
		var racers errgroup.Group
		for i := range 20 {
			racers.Go(func() error {
				_, replayed, err := listing(t, []*store.Store{one, two}[i%2], sc, request("a", "x"))
				var e *store.Error
				switch {
				case errors.As(err, &e) && e.Code == store.CodeInProgress:
					busy.Add(1)
				case err != nil:
					return err
				case replayed:
					given.Add(1)
				default:
					worked.Add(1)
				}
				return nil
			})
		}
		require.NoError(t, racers.Wait())
		require.EqualValues(t, 1, worked.Load())
		require.EqualValues(t, 19, busy.Load()+given.Load())
		require.Equal(t, 1, countLists(t, one, sc))
	})
}

func TestRequestInWorkIsTold(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, _, err := s.Once(t.Context(), sc, request("a", "x"), func(*store.Store) ([]byte, store.Ending) {
			for _, body := range []string{"x", "y"} {
				_, _, err := listing(t, s, sc, request("a", body))
				require.Equal(t, store.CodeInProgress, failure(t, err).Code)
			}
			return nil, store.Done
		})
		require.NoError(t, err)
	})
}

func TestRequestIsForgottenAfterItsWindow(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, _, err := listing(t, s, sc, request("a", "x"))
		require.NoError(t, err)
		require.NoError(t, s.ForgetAnswers(t.Context()))
		_, replayed, err := listing(t, s, sc, request("a", "x"))
		require.NoError(t, err)
		require.True(t, replayed)

		require.NoError(t, s.Exec(t.Context(), "UPDATE idempotency_keys SET created_at = ?", time.Now().UTC().Add(-store.IdempotencyWindow)))
		_, replayed, err = listing(t, s, sc, request("a", "y")) // also before it is swept away
		require.NoError(t, err)
		require.False(t, replayed)
		require.Equal(t, 2, countLists(t, s, sc))

		require.NoError(t, s.Exec(t.Context(), "UPDATE idempotency_keys SET created_at = ?", time.Now().UTC().Add(-store.IdempotencyWindow)))
		require.NoError(t, s.ForgetAnswers(t.Context()))
		n, err := s.Count(t.Context(), "SELECT count(*) FROM idempotency_keys")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

func TestChangeIsAnnouncedOnceItIsCommitted(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 1)
		c := b.draft()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.Listen(ctx, func(err error) { t.Error(err) })
		changes, unsubscribe := s.Changes()
		defer unsubscribe()
		_, _, err := s.Once(ctx, b.sc, request("a", "x"), func(tx *store.Store) ([]byte, store.Ending) {
			_, err := tx.UpdateCampaign(ctx, b.sc, c.PublicID, func(c *store.Campaign) error {
				c.Name = "Summer"
				return nil
			})
			require.NoError(t, err)
			require.Empty(t, changes)
			return nil, store.Done
		})
		require.NoError(t, err)
		if s.Embedded() { // on PostgreSQL it is the database that holds a notification back
			require.Equal(t, c.ID, <-changes)
		}
	})
}

func TestRepeatedImportIsTheFirst(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		r := request("a", "x")
		o := store.ImportOptions{Format: store.CSV, Request: &r}
		const file = "phone\n+4915112345678\n"
		_, _, err := s.CreateImport(t.Context(), sc, o, strings.NewReader("colour\nred\n"))
		require.Error(t, err, "what was refused is not kept: the file may be mended")
		first, repeated, err := s.CreateImport(t.Context(), sc, o, strings.NewReader(file))
		require.NoError(t, err)
		require.False(t, repeated)
		work(t, s)
		again, repeated, err := s.CreateImport(t.Context(), sc, o, strings.NewReader(file))
		require.NoError(t, err)
		require.True(t, repeated)
		require.Equal(t, first.PublicID, again.PublicID)
		require.EqualValues(t, 1, again.Created, "as far as it is by now")
		ims, _, err := s.Imports(t.Context(), sc, store.Page{})
		require.NoError(t, err)
		require.Len(t, ims, 1)
		other := request("a", "y")
		_, _, err = s.CreateImport(t.Context(), sc, store.ImportOptions{Format: store.CSV, Request: &other}, strings.NewReader(file))
		require.Equal(t, store.CodeMismatch, failure(t, err).Code)
	})
}

// during is a reader that calls f in the middle of a file large enough to be
// kept in parts.
type during struct {
	*strings.Reader
	f func()
}

func (d *during) Read(p []byte) (int, error) {
	if f := d.f; f != nil && d.Len() < int(d.Size())/4 {
		d.f = nil
		f()
	}
	return d.Reader.Read(p)
}

func TestImportThatIsComingInIsInProgress(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		r := request("a", "x")
		o := store.ImportOptions{Format: store.CSV, Request: &r}
		file := people(0, 60_000)
		asked, broken := false, errors.New("broken off")
		_, _, err := s.CreateImport(t.Context(), sc, o, &failing{during{strings.NewReader(file), func() {
			_, _, err := s.CreateImport(t.Context(), sc, o, strings.NewReader(file))
			require.Equal(t, store.CodeInProgress, failure(t, err).Code)
			asked = true
		}}, broken})
		require.ErrorIs(t, err, broken)
		require.True(t, asked)
		_, repeated, err := s.CreateImport(t.Context(), sc, o, strings.NewReader(file))
		require.NoError(t, err, "one that broke off was never made")
		require.False(t, repeated)
	})
}

// failing ends with an error where the file does.
type failing struct {
	during
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.during.Read(p)
	if err != nil {
		err = f.err
	}
	return n, err
}

// TestUploadWhosePlaceARepeatTookIsNoImport goes on with an upload that had stood
// still for too long, and been repeated.
func TestUploadWhosePlaceARepeatTookIsNoImport(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		r := request("a", "x")
		o := store.ImportOptions{Format: store.CSV, Request: &r}
		body, w := io.Pipe()
		uploaded := make(chan error, 1)
		go func() {
			_, _, err := s.CreateImport(t.Context(), sc, o, body)
			uploaded <- err
		}()
		_, err := io.WriteString(w, people(0, 15_000)) // a part, and the beginning of another
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			begun, _, err := s.Imports(t.Context(), sc, store.Page{})
			return err == nil && len(begun) == 1 && begun[0].Bytes > 0
		}, time.Minute, time.Millisecond)
		require.NoError(t, s.Exec(t.Context(), "UPDATE imports SET lease_until = ?", time.Now().UTC().Add(-time.Second)))
		made, repeated, err := s.CreateImport(t.Context(), sc, o, strings.NewReader(people(0, 1)))
		require.NoError(t, err)
		require.False(t, repeated)
		require.NoError(t, w.Close())
		require.ErrorContains(t, <-uploaded, "given up")

		again, repeated, err := s.CreateImport(t.Context(), sc, o, strings.NewReader(people(0, 1)))
		require.NoError(t, err, "the failure of the first is not the second's")
		require.True(t, repeated)
		require.Equal(t, made.PublicID, again.PublicID)
	})
}

func TestImportThatAProcessLeftBehindIsMadeAnew(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		r := request("a", "x")
		o := store.ImportOptions{Format: store.CSV, Request: &r}
		left, _, err := s.CreateImport(t.Context(), sc, o, strings.NewReader(people(0, 1)))
		require.NoError(t, err)
		require.NoError(t, s.Exec(t.Context(), "UPDATE imports SET status = 'receiving', lease_until = ?", time.Now().UTC().Add(-time.Second)))
		made, repeated, err := s.CreateImport(t.Context(), sc, o, strings.NewReader(people(0, 1)))
		require.NoError(t, err)
		require.False(t, repeated)
		require.NotEqual(t, left.PublicID, made.PublicID)
	})
}

// TestRepeatBesideAnUploadThatBreaksOff repeats a call as long as its first
// upload, which is about to be discarded, is in its way.
func TestRepeatBesideAnUploadThatBreaksOff(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		file := "email\n" + strings.Repeat("ana@example.com\n", 50_000) // more than a part
		for i := range 20 {
			r := request(strconv.Itoa(i), "x")
			o := store.ImportOptions{Format: store.CSV, Request: &r}
			broken := errors.New("broken off")
			begun, ended := make(chan struct{}), make(chan error)
			go func() {
				body := io.MultiReader(strings.NewReader(file), readerFunc(func([]byte) (int, error) { close(begun); return 0, broken }))
				_, _, err := s.CreateImport(t.Context(), sc, o, body)
				ended <- err
			}()
			<-begun
			for made := false; !made; {
				_, _, err := s.CreateImport(t.Context(), sc, o, strings.NewReader("email\n"))
				if made = err == nil; !made {
					require.Equal(t, store.CodeInProgress, failure(t, err).Code, "%v", err)
				}
			}
			require.ErrorIs(t, <-ended, broken)
		}
	})
}
