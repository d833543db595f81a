package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

func newContact(t testing.TB, s *store.Store, sc store.Scope, c store.Contact) store.Contact {
	t.Helper()
	c, err := s.CreateContact(t.Context(), sc, c)
	require.NoError(t, err)
	return c
}

func TestContactIsKeptInOneForm(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		made := newContact(t, s, sc, store.Contact{
			ExternalID: ptr(" customer 1 "), Phone: ptr("+44 (0)20 7946-0958"), Email: ptr(" Ada@Example.COM"),
			FirstName: ptr("Zoe\u0308"), LastName: ptr("  "), Country: ptr("gb"),
			Tags:       []string{"vip", " beta ", "vip", ""},
			Attributes: map[string]any{"plan": "gold", "age": 33.0, "newsletter": true, "none": nil},
			OptedOut:   store.SetOf(store.Viber),
		})
		read, err := s.Contact(t.Context(), sc, made.PublicID)
		require.NoError(t, err)
		require.Equal(t, made, read)

		require.True(t, strings.HasPrefix(read.PublicID, "con_"))
		require.Equal(t, "customer 1", *read.ExternalID)
		require.Equal(t, "+442079460958", *read.Phone)
		require.Equal(t, "ada@example.com", *read.Email)
		require.Equal(t, "Zo\u00eb", *read.FirstName)
		require.Nil(t, read.LastName)
		require.Equal(t, "GB", *read.Country)
		require.Equal(t, []string{"beta", "vip"}, read.Tags)
		require.Equal(t, map[string]any{"plan": "gold", "age": 33.0, "newsletter": true}, read.Attributes)
		require.Equal(t, []store.Channel{store.Viber}, read.OptedOut.List())
	})
}

func TestContactWithFaultsIsNotKeptAndNamesThemAll(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, err := s.CreateContact(t.Context(), sc, store.Contact{
			ExternalID: ptr(strings.Repeat("x", 256)), Phone: ptr("+4400"), Email: ptr("ada@localhost"),
			FirstName: ptr("Ada\nBcc: all"), Country: ptr("UK"), Tags: []string{"ok", "a|b"},
			Attributes: map[string]any{"Plan": "gold", "deep": []any{1.0}, "big": 1e17, "note": "\x00"},
		})
		require.Equal(t, map[string]string{
			"/external_id": store.CodeValidation, "/phone": store.CodeInvalidPhone, "/email": store.CodeInvalidEmail,
			"/first_name": store.CodeValidation, "/country": store.CodeValidation, "/tags/1": store.CodeValidation,
			"/attributes/Plan": store.CodeValidation, "/attributes/deep": store.CodeValidation,
			"/attributes/big": store.CodeValidation, "/attributes/note": store.CodeValidation,
		}, fields(t, err))

		rows, _, err := s.Contacts(t.Context(), sc, store.ContactFilter{}, store.Page{})
		require.NoError(t, err)
		require.Empty(t, rows)
	})
}

func TestContactNeedsSomethingToBeKnownBy(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, err := s.CreateContact(t.Context(), sc, store.Contact{FirstName: ptr("Ada"), Email: ptr(" ")})
		require.Equal(t, store.CodeMissingField, failure(t, err).Code)

		c := newContact(t, s, sc, store.Contact{Phone: ptr("+447911123456")})
		_, err = s.UpdateContact(t.Context(), sc, c.PublicID, func(c *store.Contact) error {
			c.Phone = nil
			return nil
		})
		require.Equal(t, store.CodeMissingField, failure(t, err).Code)
	})
}

func TestIdentifiersAreUniqueWithinAccountAndMode(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		whole := func() store.Contact {
			return store.Contact{ExternalID: ptr("1"), Phone: ptr("+447911123456"), Email: ptr("ada@example.com")}
		}
		first := newContact(t, s, sc, whole())
		_, err := s.CreateContact(t.Context(), sc, whole())
		require.Equal(t, map[string]string{
			"/external_id": store.CodeValidation, "/phone": store.CodeValidation, "/email": store.CodeValidation,
		}, fields(t, err))

		other := newContact(t, s, sc, store.Contact{ExternalID: ptr("2")})
		_, err = s.UpdateContact(t.Context(), sc, other.PublicID, func(c *store.Contact) error {
			c.Email, c.FirstName = ptr("ADA@example.com"), ptr("Ada")
			return nil
		})
		require.Equal(t, map[string]string{"/email": store.CodeValidation}, fields(t, err))
		require.ErrorContains(t, err, "already used by another contact")
		read, err := s.Contact(t.Context(), sc, other.PublicID)
		require.NoError(t, err)
		require.Equal(t, other, read)

		newContact(t, s, store.Scope{Account: sc.Account, Mode: store.Live}, whole())
		newContact(t, s, newScope(t, s), whole())

		require.NoError(t, s.DeleteContact(t.Context(), sc, first.PublicID))
		newContact(t, s, sc, whole())
	})
}

func TestUpdateOfAContactMergesAndAborts(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		c := newContact(t, s, sc, store.Contact{
			ExternalID: ptr("1"), FirstName: ptr("Ada"), Attributes: map[string]any{"plan": "gold", "age": 33.0},
		})
		updated, err := s.UpdateContact(t.Context(), sc, c.PublicID, func(c *store.Contact) error {
			c.FirstName = nil
			c.Attributes["age"], c.Attributes["city"] = nil, "Lisbon"
			return nil
		})
		require.NoError(t, err)
		require.Nil(t, updated.FirstName)
		require.Equal(t, map[string]any{"plan": "gold", "city": "Lisbon"}, updated.Attributes)
		require.Equal(t, c.CreatedAt, updated.CreatedAt)
		require.True(t, updated.UpdatedAt.After(c.UpdatedAt))

		_, err = s.UpdateContact(t.Context(), sc, c.PublicID, func(c *store.Contact) error {
			c.FirstName = ptr("Grace")
			return context.Canceled
		})
		require.ErrorIs(t, err, context.Canceled)
		read, err := s.Contact(t.Context(), sc, c.PublicID)
		require.NoError(t, err)
		require.Equal(t, updated, read)
	})
}

func TestOptOutsAddUpAndAreTakenBackByChannel(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		c := newContact(t, s, sc, store.Contact{ExternalID: ptr("1"), OptedOut: store.SetOf(store.Email)})
		for range 2 {
			c, err := s.OptOut(t.Context(), sc, c.PublicID, store.SetOf(store.SMS, store.RCS))
			require.NoError(t, err)
			require.Equal(t, []store.Channel{store.SMS, store.RCS, store.Email}, c.OptedOut.List())
		}
		for range 2 {
			c, err := s.OptIn(t.Context(), sc, c.PublicID, store.SetOf(store.RCS, store.Viber))
			require.NoError(t, err)
			require.Equal(t, []store.Channel{store.SMS, store.Email}, c.OptedOut.List())
		}
	})
}

// TestNothingOfAnotherScopeExists tries every method on a contact, a list, a
// segment and a template of another account, and of the other mode.
func TestNothingOfAnotherScopeExists(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, owner := t.Context(), newScope(t, s)
		c := newContact(t, s, owner, store.Contact{ExternalID: ptr("1")}).PublicID
		l := newList(t, s, owner, "L", c)
		g := newSegment(t, s, owner, store.Rule{Field: ptr("external_id"), Operator: "exists"}).PublicID
		m := newTemplate(t, s, owner, store.Template{Name: "T", Channel: store.SMS, Body: "Hi"}).PublicID

		for _, sc := range []store.Scope{newScope(t, s), {Account: owner.Account, Mode: store.Live}} {
			mine := newContact(t, s, sc, store.Contact{ExternalID: ptr("1")}).PublicID
			myList := newList(t, s, sc, "L")
			for name, try := range map[string]func() error{
				"Contact": func() error { _, err := s.Contact(ctx, sc, c); return err },
				"UpdateContact": func() error {
					_, err := s.UpdateContact(ctx, sc, c, func(*store.Contact) error { return nil })
					return err
				},
				"DeleteContact":  func() error { return s.DeleteContact(ctx, sc, c) },
				"OptOut":         func() error { _, err := s.OptOut(ctx, sc, c, store.SetOf(store.SMS)); return err },
				"OptIn":          func() error { _, err := s.OptIn(ctx, sc, c, store.SetOf(store.SMS)); return err },
				"List":           func() error { _, err := s.List(ctx, sc, l); return err },
				"UpdateList":     func() error { _, err := s.UpdateList(ctx, sc, l, func(*store.List) error { return nil }); return err },
				"DeleteList":     func() error { return s.DeleteList(ctx, sc, l) },
				"Contacts/list":  func() error { _, _, err := s.Contacts(ctx, sc, store.ContactFilter{List: l}, store.Page{}); return err },
				"AddMembers":     func() error { _, _, err := s.AddMembers(ctx, sc, l, []string{mine}); return err },
				"RemoveMember/l": func() error { return s.RemoveMember(ctx, sc, l, c) },
				"RemoveMember/c": func() error { return s.RemoveMember(ctx, sc, myList, c) },
				"Segment":        func() error { _, err := s.Segment(ctx, sc, g); return err },
				"UpdateSegment": func() error {
					_, err := s.UpdateSegment(ctx, sc, g, func(*store.Segment) error { return nil })
					return err
				},
				"DeleteSegment": func() error { return s.DeleteSegment(ctx, sc, g) },
				"CountSegment":  func() error { _, err := s.CountSegment(ctx, sc, g); return err },
				"Contacts/seg": func() error {
					_, _, err := s.Contacts(ctx, sc, store.ContactFilter{Segment: g}, store.Page{})
					return err
				},
				"Template": func() error { _, err := s.Template(ctx, sc, m); return err },
				"UpdateTemplate": func() error {
					_, err := s.UpdateTemplate(ctx, sc, m, func(*store.Template) error { return nil })
					return err
				},
				"DeleteTemplate": func() error { return s.DeleteTemplate(ctx, sc, m) },
			} {
				require.Equal(t, store.CodeNotFound, failure(t, try()).Code, name)
			}
			_, _, err := s.AddMembers(ctx, sc, myList, []string{mine, c})
			require.Equal(t, map[string]string{"/contact_ids/1": store.CodeValidation}, fields(t, err))
		}
		require.Equal(t, []string{c}, members(t, s, owner, l))
	})
}

func TestContactsAreSearchedPlainlyAndWithoutCase(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		for _, c := range []store.Contact{
			{ExternalID: ptr("1"), FirstName: ptr("Ada"), LastName: ptr("Łukasiewicz-ÖZTÜRK")},
			{ExternalID: ptr("100%_off"), FirstName: ptr("Ana")},
			{Phone: ptr("+447911123456"), Email: ptr("wei1@example.com")},
		} {
			newContact(t, s, sc, c)
		}
		for search, found := range map[string]int{
			"": 3, "łukaSIEWICZ-özt": 1, "ada ł": 1, "O\u0308ZTU\u0308RK": 1, "100%_": 1, "0%o": 0, "%": 1, "_": 1, `\`: 0, "7911": 1, "WEI1@": 1, "a": 3,
		} {
			rows, next, err := s.Contacts(t.Context(), sc, store.ContactFilter{Search: search}, store.Page{})
			require.NoError(t, err)
			require.Len(t, rows, found, search)
			require.Empty(t, next)
		}
	})
}
