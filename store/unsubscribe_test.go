package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

func TestUnsubscribeLinkOptsItsContactOutOfItsChannel(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b, ctx := newShop(t, s, 2), t.Context()
		u, err := s.Unsubscriber(ctx)
		require.NoError(t, err)
		one := b.contact("0")
		token := u.Token(one.ID, store.Email)
		require.Equal(t, token, u.Token(one.ID, store.Email))
		require.Regexp(t, "^[A-Za-z0-9_-]+$", token)
		require.NotEqual(t, token, u.Token(one.ID, store.SMS))
		require.NotEqual(t, token, u.Token(b.contact("1").ID, store.Email))

		c, err := s.UnsubscribeChannel(ctx, token)
		require.NoError(t, err)
		require.Equal(t, store.Email, c)
		require.Empty(t, b.contact("0").OptedOut, "looking changes nothing")
		_, err = s.OptOut(ctx, b.sc, one.PublicID, store.SetOf(store.Viber))
		require.NoError(t, err)
		for range 2 {
			c, err = s.Unsubscribe(ctx, token)
			require.NoError(t, err)
			require.Equal(t, store.Email, c)
			require.Equal(t, store.SetOf(store.Viber, store.Email), b.contact("0").OptedOut)
		}
		require.Empty(t, b.contact("1").OptedOut)
		require.NoError(t, s.DeleteContact(ctx, b.sc, one.PublicID))
		_, err = s.Unsubscribe(ctx, token)
		require.NoError(t, err, "a contact that is gone gets no more mail")
	})
}

func TestForgedUnsubscribeLinkIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b, ctx := newShop(t, s, 1), t.Context()
		u, err := s.Unsubscriber(ctx)
		require.NoError(t, err)
		token := []byte(u.Token(b.contact("0").ID, store.Email))
		bad := []string{"", "x", string(token) + "A", string(token[:len(token)-1]), string(token) + "=", string(token[:8]) + "\n" + string(token[8:])}
		for i := range token {
			altered := append([]byte(nil), token...)
			altered[i] ^= 1
			bad = append(bad, string(altered))
		}
		for _, token := range bad {
			_, err = s.Unsubscribe(ctx, token)
			requireNotFound(t, err)
			_, err = s.UnsubscribeChannel(ctx, token)
			requireNotFound(t, err)
		}
		require.Empty(t, b.contact("0").OptedOut)
	})
}
