package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

func newTemplate(t testing.TB, s *store.Store, sc store.Scope, tpl store.Template) store.Template {
	t.Helper()
	tpl, err := s.CreateTemplate(t.Context(), sc, tpl)
	require.NoError(t, err)
	return tpl
}

func TestTemplateIsMadeChangedListedAndDeleted(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		sms := newTemplate(t, s, sc, store.Template{Name: "Spring", Channel: store.SMS, Body: "Hi {{first_name}}"})
		require.Equal(t, store.PlainText, sms.ContentType)
		mail := newTemplate(t, s, sc, store.Template{
			Name: "SPRING mail", Channel: store.Email, Subject: ptr("Hi {{first_name}}"), Body: "<p>{{plan}}</p>", ContentType: store.HTML,
		})
		read, err := s.Template(ctx, sc, mail.PublicID)
		require.NoError(t, err)
		require.Equal(t, mail, read)

		for filter, found := range map[store.TemplateFilter][]string{
			{}:                                   {mail.PublicID, sms.PublicID},
			{Search: "spring"}:                   {mail.PublicID, sms.PublicID},
			{Search: "mail"}:                     {mail.PublicID},
			{Channel: store.SMS}:                 {sms.PublicID},
			{Search: "mail", Channel: store.SMS}: nil,
		} {
			rows, _, err := s.Templates(ctx, sc, filter, store.Page{})
			require.NoError(t, err)
			var ids []string
			for _, r := range rows {
				ids = append(ids, r.PublicID)
			}
			require.Equal(t, found, ids, filter)
		}

		updated, err := s.UpdateTemplate(ctx, sc, mail.PublicID, func(tpl *store.Template) error {
			tpl.Subject, tpl.Body, tpl.Channel = nil, "{{first_name}}", store.SMS
			return nil
		})
		require.NoError(t, err)
		require.Nil(t, updated.Subject)
		require.Equal(t, store.Email, updated.Channel, "the channel cannot change")

		require.NoError(t, s.DeleteTemplate(ctx, sc, sms.PublicID))
		requireNotFound(t, s.DeleteTemplate(ctx, sc, sms.PublicID))
	})
}

func TestTemplateWithFaultsIsRefusedWithAllOfThem(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, sc := t.Context(), newScope(t, s)
		_, err := s.CreateTemplate(ctx, sc, store.Template{
			Name: " ", Channel: store.SMS, Subject: ptr("{{ oops"), Body: "ok\n{% if x %}", ContentType: store.HTML,
		})
		require.Equal(t, map[string]string{
			"/name": store.CodeMissingField, "/content_type": store.CodeValidation, "/body": store.CodeInvalidTemplate,
			"/subject": store.CodeInvalidTemplate,
		}, fields(t, err))

		_, err = s.CreateTemplate(ctx, sc, store.Template{Name: "T", Channel: "fax", Body: " "})
		require.Equal(t, map[string]string{"/channel": store.CodeValidation, "/body": store.CodeMissingField}, fields(t, err))

		good := newTemplate(t, s, sc, store.Template{Name: "T", Channel: store.SMS, Body: "Hi"})
		_, err = s.UpdateTemplate(ctx, sc, good.PublicID, func(tpl *store.Template) error {
			tpl.Body = "Hi\n  {{ first_name | nonsense }}"
			return nil
		})
		require.Equal(t, map[string]string{"/body": store.CodeInvalidTemplate}, fields(t, err))
		require.ErrorContains(t, err, "line 2, column ")
		read, err := s.Template(ctx, sc, good.PublicID)
		require.NoError(t, err)
		require.Equal(t, good, read)
	})
}
