package store_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

func newLists(t testing.TB, s *store.Store, sc store.Scope, n int) {
	t.Helper()
	for i := range n {
		newList(t, s, sc, fmt.Sprint("List ", i))
	}
}

// cursorOf makes more lists than a page holds and returns the first page's cursor.
func cursorOf(t testing.TB, s *store.Store, sc store.Scope) string {
	t.Helper()
	newLists(t, s, sc, 3)
	_, next, err := s.Lists(t.Context(), sc, "", store.Page{Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, next)
	return next
}

func TestPageIsTwentyUnlessAskedOtherwise(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		newLists(t, s, sc, 21)
		for limit, wanted := range map[int]int{0: 20, 1: 1, 21: 21, 100: 21} {
			rows, next, err := s.Lists(ctx, sc, "", store.Page{Limit: limit})
			require.NoError(t, err)
			require.Len(t, rows, wanted)
			require.Equal(t, wanted < 21, next != "")
			require.Equal(t, "List 20", rows[0].Name, "newest first")
		}
	})
}

func TestPagingNeitherSkipsNorRepeatsWhileRowsComeAndGo(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		newLists(t, s, sc, 30)
		before, _, err := s.Lists(ctx, sc, "", store.Page{Limit: 100})
		require.NoError(t, err)

		gone := map[string]bool{}
		remove := func(i int) {
			require.NoError(t, s.DeleteList(ctx, sc, before[i].PublicID))
			gone[before[i].PublicID] = true
		}
		seen := map[string]int{}
		p := store.Page{Limit: 7}
		for n := 0; n == 0 || p.Cursor != ""; n++ {
			var rows []store.List
			rows, p.Cursor, err = s.Lists(ctx, sc, "", p)
			require.NoError(t, err)
			for _, l := range rows {
				seen[l.PublicID]++
			}
			newLists(t, s, sc, 2)
			if n < 3 {
				remove(n*7 + 6) // the row that the cursor stands on
				remove(29 - n)  // one that is still to come
				remove(n * 7)   // one that has come
			}
		}
		for _, l := range before {
			if !gone[l.PublicID] {
				require.Equal(t, 1, seen[l.PublicID], l.Name)
			}
		}
		for id, n := range seen {
			require.Equal(t, 1, n, id)
		}
	})
}

func TestCursorServesOnlyTheListThatGaveIt(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		next := cursorOf(t, s, sc)
		_, _, err := s.Lists(ctx, sc, "", store.Page{Cursor: next})
		require.NoError(t, err)

		l := newList(t, s, sc, "L")
		p := store.Page{Cursor: next}
		for name, try := range map[string]func() error{
			"another account": func() error { _, _, err := s.Lists(ctx, newScope(t, s), "", p); return err },
			"the other mode": func() error {
				_, _, err := s.Lists(ctx, store.Scope{Account: sc.Account, Mode: store.Live}, "", p)
				return err
			},
			"segments":    func() error { _, _, err := s.Segments(ctx, sc, "", p); return err },
			"templates":   func() error { _, _, err := s.Templates(ctx, sc, store.TemplateFilter{}, p); return err },
			"contacts":    func() error { _, _, err := s.Contacts(ctx, sc, store.ContactFilter{}, p); return err },
			"of a list":   func() error { _, _, err := s.Contacts(ctx, sc, store.ContactFilter{List: l}, p); return err },
			"campaigns":   func() error { _, _, err := s.Campaigns(ctx, sc, store.CampaignFilter{}, p); return err },
			"with search": func() error { _, _, err := s.Lists(ctx, sc, "list", store.Page{Cursor: next + "A"}); return err },
		} {
			require.Equal(t, store.CodeInvalidCursor, failure(t, try()).Code, name)
		}
	})
}

func TestAlteredCursorIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		next := cursorOf(t, s, sc)
		raw, err := base64.RawURLEncoding.DecodeString(next)
		require.NoError(t, err)

		altered := []string{"x", " ", "é", next + "=", next + "\n", next[1:], next[:len(next)-1], next + next, "AAAAAAAAAAAAAAAAAAAAAA"}
		for i := range raw {
			b := append([]byte(nil), raw...)
			b[i] ^= 1
			altered = append(altered, base64.RawURLEncoding.EncodeToString(b))
		}
		for _, cursor := range altered {
			_, _, err := s.Lists(ctx, sc, "", store.Page{Cursor: cursor})
			require.Equal(t, store.CodeInvalidCursor, failure(t, err).Code, cursor)
		}
	})
}

func TestCursorIsGoodInEveryProcess(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		_, err := s.Migrate(t.Context())
		require.NoError(t, err)
		sc := newScope(t, s)
		next := cursorOf(t, s, sc)
		rows, _, err := open(t, dsn).Lists(t.Context(), sc, "", store.Page{Cursor: next})
		require.NoError(t, err)
		require.Len(t, rows, 2)
	})
}

func TestMembersOfAListPageNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		var want []string
		for i := range 5 {
			c := newContact(t, s, sc, store.Contact{ExternalID: ptr(strconv.Itoa(i))})
			newContact(t, s, sc, store.Contact{ExternalID: ptr(fmt.Sprint("outside ", i))})
			want = append([]string{c.PublicID}, want...)
		}
		l := newList(t, s, sc, "L", want...)
		var got []string
		p := store.Page{Limit: 2}
		for first := true; first || p.Cursor != ""; first = false {
			rows, next, err := s.Contacts(ctx, sc, store.ContactFilter{List: l}, p)
			require.NoError(t, err)
			for _, c := range rows {
				got = append(got, c.PublicID)
			}
			p.Cursor = next
		}
		require.Equal(t, want, got)
	})
}

// TestPageNeedsNoWriter turns a page in a process that has just started, while
// another call of it holds the one writer that SQLite has.
func TestPageNeedsNoWriter(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		newLists(t, s, sc, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := s.Once(ctx, sc, request("a", "x"), func(*store.Store) ([]byte, store.Ending) {
			_, next, err := s.Lists(ctx, sc, "", store.Page{Limit: 1})
			require.NoError(t, err)
			_, _, err = s.Lists(ctx, sc, "", store.Page{Limit: 1, Cursor: next})
			require.NoError(t, err)
			return nil, store.Done
		})
		require.NoError(t, err)
	})
}

func TestShortListAmongManyContactsIsReadAlongTheListWhateverPostgreSQLKnows(t *testing.T) {
	s := open(t, storetest.PostgresURL(t))
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	b := newShop(t, s, 0)
	c := b.draft()
	for _, q := range []string{
		// With autovacuum, which nobody can time, out of the way.
		"ALTER TABLE contacts SET (autovacuum_enabled = off)",
		"ALTER TABLE list_members SET (autovacuum_enabled = off)",
		`INSERT INTO contacts (public_id, account_id, mode, phone, search, created_at, updated_at)
 SELECT 'con_' || i, account_id, mode, '+49' || i, '', now(), now() FROM lists, generate_series(1, 50000) i`,
		"INSERT INTO list_members SELECT lists.id, contacts.id FROM lists, contacts WHERE contacts.id > 49900",
	} {
		require.NoError(t, s.Exec(t.Context(), q))
	}
	plans, err := s.Plans("list_members", "contacts")
	require.NoError(t, err)
	for range 2 {
		require.Empty(t, b.read(c).Blockers)
		members, _, err := s.Contacts(t.Context(), b.sc, store.ContactFilter{List: b.list}, store.Page{Limit: 100})
		require.NoError(t, err)
		require.Len(t, members, 100)
		require.Len(t, *plans, 3, "the blockers' look at the audience, a page of the list, its contacts")
		for _, plan := range *plans {
			require.NotContains(t, plan, "contacts_scope", "which leads to all contacts of the account")
			require.NotContains(t, plan, "Seq Scan on contacts")
		}
		*plans = nil
		require.NoError(t, s.Exec(t.Context(), "ANALYZE contacts, list_members"))
	}
}
