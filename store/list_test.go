package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

// newList makes a list with members and returns its id.
func newList(t testing.TB, s *store.Store, sc store.Scope, name string, contacts ...string) string {
	t.Helper()
	l, err := s.CreateList(t.Context(), sc, store.List{Name: name})
	require.NoError(t, err)
	if len(contacts) > 0 {
		_, _, err = s.AddMembers(t.Context(), sc, l.PublicID, contacts)
		require.NoError(t, err)
	}
	return l.PublicID
}

// members are the ids of a list's contacts.
func members(t testing.TB, s *store.Store, sc store.Scope, list string) (ids []string) {
	t.Helper()
	rows, _, err := s.Contacts(t.Context(), sc, store.ContactFilter{List: list}, store.Page{Limit: 100})
	require.NoError(t, err)
	for _, c := range rows {
		ids = append(ids, c.PublicID)
	}
	return ids
}

func TestListIsMadeChangedAndDeleted(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		l, err := s.CreateList(ctx, sc, store.List{Name: " Lisbon shop ", Description: ptr("Customers")})
		require.NoError(t, err)
		require.Equal(t, "Lisbon shop", l.Name)
		read, err := s.List(ctx, sc, l.PublicID)
		require.NoError(t, err)
		require.Equal(t, l, read)

		updated, err := s.UpdateList(ctx, sc, l.PublicID, func(l *store.List) error {
			l.Name, l.Description = "Porto shop", nil
			return nil
		})
		require.NoError(t, err)
		require.Nil(t, updated.Description)
		for search, found := range map[string]int{"PORTO": 1, "Lisbon": 0} {
			ls, _, err := s.Lists(ctx, sc, search, store.Page{})
			require.NoError(t, err)
			require.Len(t, ls, found, search)
		}

		_, err = s.UpdateList(ctx, sc, l.PublicID, func(l *store.List) error {
			l.Name = " "
			return nil
		})
		require.Equal(t, map[string]string{"/name": store.CodeMissingField}, fields(t, err))

		c := newContact(t, s, sc, store.Contact{ExternalID: ptr("1")})
		_, _, err = s.AddMembers(ctx, sc, l.PublicID, []string{c.PublicID})
		require.NoError(t, err)
		require.NoError(t, s.DeleteList(ctx, sc, l.PublicID))
		requireNotFound(t, s.DeleteList(ctx, sc, l.PublicID))
		_, err = s.Contact(ctx, sc, c.PublicID)
		require.NoError(t, err)
	})
}

func TestMembersAreAddedAllOrNone(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		a := newContact(t, s, sc, store.Contact{ExternalID: ptr("a")}).PublicID
		b := newContact(t, s, sc, store.Contact{ExternalID: ptr("b")}).PublicID
		l := newList(t, s, sc, "L")

		_, _, err := s.AddMembers(ctx, sc, l, []string{a, "con_none", b, "con_' OR 1=1"})
		require.Equal(t, map[string]string{
			"/contact_ids/1": store.CodeValidation, "/contact_ids/3": store.CodeValidation,
		}, fields(t, err))
		require.Empty(t, members(t, s, sc, l))

		added, already, err := s.AddMembers(ctx, sc, l, []string{a})
		require.NoError(t, err)
		require.Equal(t, []int{1, 0}, []int{added, already})
		added, already, err = s.AddMembers(ctx, sc, l, []string{b, a, b})
		require.NoError(t, err)
		require.Equal(t, []int{1, 1}, []int{added, already})
		require.Equal(t, []string{b, a}, members(t, s, sc, l), "newest contact first")
	})
}

func TestMemberIsRemovedOnceAndGoesWithItsContact(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		a := newContact(t, s, sc, store.Contact{ExternalID: ptr("a")}).PublicID
		b := newContact(t, s, sc, store.Contact{ExternalID: ptr("b")}).PublicID
		l := newList(t, s, sc, "L", a, b)

		require.NoError(t, s.RemoveMember(ctx, sc, l, a))
		requireNotFound(t, s.RemoveMember(ctx, sc, l, a))
		require.Equal(t, []string{b}, members(t, s, sc, l))
		require.NoError(t, s.DeleteContact(ctx, sc, b))
		require.Empty(t, members(t, s, sc, l))
	})
}

func TestAThousandMembersFitInOneCall(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		ids := make([]string, 1000)
		for i := range ids {
			ids[i] = "con_none"
		}
		ids[999] = newContact(t, s, sc, store.Contact{ExternalID: ptr("a")}).PublicID
		_, _, err := s.AddMembers(t.Context(), sc, newList(t, s, sc, "L"), ids)
		require.Len(t, failure(t, err).Faults, 999)
	})
}
