package tests

import (
	"net/http"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
)

// TestWhatIsMadeIsReadAndChangedAndGone goes through what each kind of thing is
// for. TestMain sees to it that no operation is left out.
func TestWhatIsMadeIsReadAndChangedAndGone(t *testing.T) {
	eachInProcess(t, func(_ *testing.T, s *inProcess) {
		a := s.tester()
		a.tourOfContacts()
		a.tourOfLists()
		a.tourOfSegments()
		a.tourOfTemplates()
		a.tourOfImports()
		a.tourOfCampaigns()
	})
}

func (a *api) tourOfContacts() {
	t := a.t
	made := a.newContact(types.ContactCreate{
		ExternalID: p("customer-1001"), Phone: p("+12025550123"), Email: p("Ana@Example.com"), FirstName: p("Ana"), LastName: p("Alves"),
		Country: p("PT"), Tags: &types.Tags{"vip", "lisbon"}, Attributes: &types.Attributes{"plan": "gold", "age": 41, "trial": false},
		OptedOut: &types.OptedOut{types.ChannelViber},
	})
	requireHas(a.t, made, `{"email": "ana@example.com", "attributes": {"plan": "gold", "age": 41, "trial": false}}`)
	require.Equal(t, types.Tags{"lisbon", "vip"}, made.Tags)
	require.Equal(t, made, a.contact(made.ID))
	require.Equal(t, []types.Contact{made}, a.contacts("ALVES"))

	changed := want[types.ContactEnvelope](t, http.StatusOK, read(a.UpdateContact(t.Context(), made.ID, types.ContactUpdate{
		Phone: nullable.NewNullNullable[string](), LastName: nullable.NewNullableWithValue("Braga"), Tags: &types.Tags{},
		Attributes: &types.AttributesUpdate{"plan": nil, "since": "2024"},
	}))).Data
	require.Nil(t, changed.Phone)
	require.Empty(t, changed.Tags)
	require.Equal(t, types.Attributes{"age": float64(41), "trial": false, "since": "2024"}, changed.Attributes)

	sms := types.ChannelSelection{Channels: []types.Channel{types.ChannelSMS, types.ChannelViber}}
	mails := types.ChannelSelection{Channels: []types.Channel{types.ChannelEmail}}
	for range 2 { // twice is once
		out := want[types.ContactEnvelope](t, http.StatusOK, read(a.OptOutContact(t.Context(), made.ID, sms))).Data
		require.ElementsMatch(t, types.OptedOut{types.ChannelSMS, types.ChannelViber}, out.OptedOut)
	}
	for range 2 {
		want[any](t, http.StatusOK, read(a.OptOutContact(t.Context(), made.ID, mails)))
		in := want[types.ContactEnvelope](t, http.StatusOK, read(a.OptInContact(t.Context(), made.ID, sms))).Data
		require.Equal(t, types.OptedOut{types.ChannelEmail}, in.OptedOut)
	}
	gone(t, read(a.DeleteContact(t.Context(), made.ID)))
}

func (a *api) tourOfLists() {
	t := a.t
	one, two := a.newContact(types.ContactCreate{ExternalID: p("one")}), a.newContact(types.ContactCreate{ExternalID: p("two")})
	list := a.newList("Friends", one.ID)
	require.Equal(t, list, want[types.ListPage](t, http.StatusOK, read(a.ListLists(t.Context(), &types.ListListsParams{Search: p("FRIEND")}))).Data[0])
	both := want[types.AddedMembersEnvelope](t, http.StatusOK, read(a.AddListContacts(t.Context(), list.ID, types.ListMembers{ContactIds: []string{one.ID, two.ID}}))).Data
	require.Equal(t, types.AddedMembers{Added: 1, AlreadyMembers: 1}, both)
	members := func() (ids []string) {
		for _, c := range want[types.ContactPage](t, http.StatusOK, read(a.ListListContacts(t.Context(), list.ID, nil))).Data {
			ids = append(ids, c.ID)
		}
		return ids
	}
	require.Equal(t, []string{two.ID, one.ID}, members())
	gone(t, read(a.RemoveListContact(t.Context(), list.ID, two.ID)))
	require.Equal(t, []string{one.ID}, members())
	refused(t, http.StatusNotFound, read(a.RemoveListContact(t.Context(), list.ID, two.ID)))

	renamed := want[types.ListEnvelope](t, http.StatusOK, read(a.UpdateList(t.Context(), list.ID, types.ListUpdate{
		Name: p("Old friends"), Description: nullable.NewNullableWithValue("From school"),
	}))).Data
	require.Equal(t, renamed, want[types.ListEnvelope](t, http.StatusOK, read(a.GetList(t.Context(), list.ID))).Data)
	require.Equal(t, "From school", *renamed.Description)
	plain := want[types.ListEnvelope](t, http.StatusOK, read(a.UpdateList(t.Context(), list.ID, types.ListUpdate{Description: nullable.NewNullNullable[string]()}))).Data
	require.Nil(t, plain.Description)
	require.Equal(t, "Old friends", plain.Name)
	gone(t, read(a.DeleteList(t.Context(), list.ID)))
	a.contact(one.ID) // its contacts stay
}

func (a *api) tourOfSegments() {
	t := a.t
	rule := types.Rule{Tag: p("vip"), Operator: p(types.RuleOperatorHas)}
	made := a.newSegment("VIPs", rule)
	require.Equal(t, made, want[types.SegmentEnvelope](t, http.StatusOK, read(a.GetSegment(t.Context(), made.ID))).Data)
	require.Equal(t, made, want[types.SegmentPage](t, http.StatusOK, read(a.ListSegments(t.Context(), &types.ListSegmentsParams{Search: p("vip")}))).Data[0])
	vip := a.newContact(types.ContactCreate{ExternalID: p("vip"), Tags: &types.Tags{"vip"}})
	require.Equal(t, []string{"vip"}, a.segment(made.ID))
	require.EqualValues(t, 1, want[types.SegmentCountEnvelope](t, http.StatusOK, read(a.CountSegment(t.Context(), made.ID))).Data.Count)
	renamed := want[types.SegmentEnvelope](t, http.StatusOK, read(a.UpdateSegment(t.Context(), made.ID, types.SegmentUpdate{Name: p("The few")}))).Data
	require.Equal(t, rule, renamed.Rule)
	gone(t, read(a.DeleteSegment(t.Context(), made.ID)))
	gone(t, read(a.DeleteContact(t.Context(), vip.ID)))
}

func (a *api) tourOfTemplates() {
	t := a.t
	made := want[types.TemplateEnvelope](t, http.StatusCreated, read(a.CreateTemplate(t.Context(), types.TemplateCreate{
		Name: "Welcome", Channel: types.ChannelEmail, Subject: p("Hi {{first_name}}"), Body: "<p>Hi {{first_name}}</p>", ContentType: p(types.ContentTypeTextHTML),
	}))).Data
	require.Equal(t, made, want[types.TemplateEnvelope](t, http.StatusOK, read(a.GetTemplate(t.Context(), made.ID))).Data)
	require.Equal(t, []types.Template{made}, want[types.TemplatePage](t, http.StatusOK, read(a.ListTemplates(t.Context(), &types.ListTemplatesParams{Channel: p(types.ChannelEmail)}))).Data)
	require.Empty(t, want[types.TemplatePage](t, http.StatusOK, read(a.ListTemplates(t.Context(), &types.ListTemplatesParams{Channel: p(types.ChannelRCS)}))).Data)
	plain := want[types.TemplateEnvelope](t, http.StatusOK, read(a.UpdateTemplate(t.Context(), made.ID, types.TemplateUpdate{
		Name: p("May"), Body: p("Hi"), ContentType: p(types.ContentTypeTextPlain), Subject: nullable.NewNullNullable[string](),
	}))).Data
	require.Nil(t, plain.Subject)
	requireHas(t, plain, `{"name": "May", "channel": "email", "body": "Hi", "content_type": "text/plain"}`)
	gone(t, read(a.DeleteTemplate(t.Context(), made.ID)))
}

func (a *api) tourOfImports() {
	t := a.t
	done := a.awaitImport(a.importFile("application/x-ndjson", `{"external_id":"from-a-file"}`+"\n"+`{"phone":"1"}`+"\n"+
		`{"email":"ana@example.com","attributes":{"plan":[]}}`, nil).ID)
	require.Equal(t, types.ImportRows{Processed: 3, Created: 1, Failed: 2}, done.Rows)
	require.Equal(t, []types.Import{done}, want[types.ImportPage](t, http.StatusOK, read(a.ListImports(t.Context(), nil))).Data)
	require.Equal(t, []string{"2 phone INVALID_PHONE_NUMBER", "3 attributes.plan VALIDATION_ERROR"}, a.importErrors(done.ID))
}

func (a *api) tourOfCampaigns() {
	t := a.t
	list := a.audience()
	created := read(a.CreateCampaign(t.Context(), types.CampaignCreate{
		Name: "Spring Promo 2026", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi"), Sender: p("Spring"),
		Metadata: &types.Metadata{"season": "spring"}, Throttle: &types.Throttle{MessagesPerSecond: 1},
	}))
	c := want[types.CampaignEnvelope](t, http.StatusCreated, created).Data
	require.Equal(t, c, want[types.CampaignEnvelope](t, http.StatusOK, a.do(http.MethodGet, created.header.Get("Location"), "")).Data)
	require.Equal(t, c, want[types.CampaignPage](t, http.StatusOK, read(a.ListCampaigns(t.Context(), &types.ListCampaignsParams{Search: p("promo")}))).Data[0])
	later := nullable.NewNullableWithValue(time.Now().Add(time.Hour))
	updated := want[types.CampaignEnvelope](t, http.StatusOK, read(a.UpdateCampaign(t.Context(), c.ID, types.CampaignUpdate{ScheduledAt: later}))).Data
	require.Greater(t, updated.Version, c.Version)
	scheduled := want[types.CampaignEnvelope](t, http.StatusOK, read(a.ScheduleCampaign(t.Context(), c.ID))).Data
	require.Equal(t, []types.CampaignAction{"update", "send", "schedule", "cancel"}, scheduled.AllowedActions)

	sent := want[types.SentCampaignEnvelope](t, http.StatusOK, read(a.SendCampaign(t.Context(), c.ID))).Data
	require.Equal(t, types.CampaignStatusSending, sent.Status)
	want[types.PausedCampaignEnvelope](t, http.StatusOK, read(a.PauseCampaign(t.Context(), c.ID)))
	want[types.ResumedCampaignEnvelope](t, http.StatusOK, read(a.ResumeCampaign(t.Context(), c.ID)))
	want[types.CancelledCampaignEnvelope](t, http.StatusOK, read(a.CancelCampaign(t.Context(), c.ID)))
	require.Equal(t, types.CampaignStatusCancelled, a.campaign(c.ID).Status)
	a.messages(c.ID, nil)
	require.EqualValues(t, 1, a.statistics().TotalCampaigns)
	for _, none := range []types.GetCampaignStatisticsParams{{Since: p(time.Now().Add(time.Hour))}, {Channel: p(types.ChannelEmail)}} {
		require.Zero(t, want[types.StatisticsEnvelope](t, http.StatusOK, read(a.GetCampaignStatistics(t.Context(), &none))).Data.TotalCampaigns)
	}
	gone(t, read(a.DeleteCampaign(t.Context(), a.newCampaign(types.CampaignCreate{Name: "Draft", Channel: types.ChannelRCS}).ID)))
}

// TestWhatIsDeletedIsNotThere tries every operation on what was deleted, the
// deleting once more included.
func TestWhatIsDeletedIsNotThere(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		own := a.oneOfEach()
		deleted := map[string]map[string]string{} // ids for a path, by the schema of its id
		for _, op := range operations(t) {
			if op.method == http.MethodDelete && op.parameter("contact_id") == nil {
				schema := op.parameter("id").Schema.Ref
				deleted[schema] = map[string]string{"id": own[schema], "contact_id": own["contact"]}
				gone(t, a.call(op, deleted[schema]))
			}
		}
		require.NotEmpty(t, deleted)
		for id, op := range operations(t) {
			if of := op.parameter("id"); of != nil && deleted[of.Schema.Ref] != nil {
				e := refused(t, http.StatusNotFound, a.call(op, deleted[of.Schema.Ref]))
				require.Equal(t, types.ErrorCodeNOTFOUND, e.Code, id)
			}
		}
	})
}
