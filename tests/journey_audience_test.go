package tests

import (
	"net/http"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
)

// families are the contacts that segments are tried on, by external_id.
var families = []types.ContactCreate{
	{
		ExternalID: p("ana"), Phone: p("+4915112000001"), Email: p("ana@example.com"), FirstName: p("Ana"), Country: p("PT"),
		Tags: &types.Tags{"vip", "lisbon"}, Attributes: &types.Attributes{"plan": "Gold", "orders": 12, "trial": false},
	},
	{ExternalID: p("ben"), Phone: p("+4915112000002"), FirstName: p("Ben"), Country: p("DE"), Attributes: &types.Attributes{"plan": "basic", "orders": 3}},
	{ExternalID: p("cleo"), Email: p("cleo@example.org"), FirstName: p("CLÉO"), Country: p("FR"), Tags: &types.Tags{"vip"}, Attributes: &types.Attributes{"trial": true}},
	{ExternalID: p("dora"), Phone: p("+4915112000004"), FirstName: p("Дора"), OptedOut: &types.OptedOut{types.ChannelSMS}},
}

func field(f types.RuleField, o types.RuleOperator, v any) types.Rule {
	return types.Rule{Field: &f, Operator: &o, Value: value(v)}
}

func attribute(key string, o types.RuleOperator, v any) types.Rule {
	return types.Rule{Attribute: &key, Operator: &o, Value: value(v)}
}

// value is absent for nil.
func value(v any) *any {
	if v == nil {
		return nil
	}
	return &v
}

func TestSegmentHoldsWhoMatchesItsRuleNow(t *testing.T) {
	vip := types.Rule{Tag: p("vip"), Operator: p(types.RuleOperatorHas)}
	in := types.Rule{Field: p(types.RuleFieldCountry), Operator: p(types.RuleOperatorIn), Values: []any{"PT", "FR"}}
	rules := []struct {
		rule types.Rule
		who  []string
	}{
		{vip, []string{"ana", "cleo"}},
		{types.Rule{Tag: p("vip"), Operator: p(types.RuleOperatorHasNot)}, []string{"ben", "dora"}},
		{in, []string{"ana", "cleo"}},
		{types.Rule{Not: &in}, []string{"ben", "dora"}},
		{field(types.RuleFieldFirstName, types.RuleOperatorEquals, "cléo"), []string{"cleo"}},
		{field(types.RuleFieldFirstName, types.RuleOperatorStartsWith, "до"), []string{"dora"}},
		{field(types.RuleFieldEmail, types.RuleOperatorContains, "%"), nil},
		{field(types.RuleFieldEmail, types.RuleOperatorEndsWith, ".ORG"), []string{"cleo"}},
		{field(types.RuleFieldEmail, types.RuleOperatorNotExists, nil), []string{"ben", "dora"}},
		{field(types.RuleFieldOptedOut, types.RuleOperatorHas, "sms"), []string{"dora"}},
		{field(types.RuleFieldCreatedAt, types.RuleOperatorAfter, "2100-01-01T00:00:00Z"), nil},
		{attribute("plan", types.RuleOperatorEquals, "GOLD"), []string{"ana"}},
		{attribute("plan", types.RuleOperatorNotEquals, "gold"), []string{"ben"}},
		{attribute("orders", types.RuleOperatorAtLeast, 3), []string{"ana", "ben"}},
		{attribute("orders", types.RuleOperatorGreaterThan, 3.5), []string{"ana"}},
		{attribute("orders", types.RuleOperatorEquals, "12"), nil}, // a string is no number
		{attribute("trial", types.RuleOperatorEquals, true), []string{"cleo"}},
		{attribute("trial", types.RuleOperatorEquals, false), []string{"ana"}},
		{types.Rule{Any: []types.Rule{attribute("trial", types.RuleOperatorEquals, true), {All: []types.Rule{vip, in}}}}, []string{"ana", "cleo"}},
	}
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		for _, c := range families {
			a.newContact(c)
		}
		id := a.newSegment("Some", vip).ID
		for _, r := range rules {
			updated := want[types.SegmentEnvelope](t, http.StatusOK, read(a.UpdateSegment(t.Context(), id, types.SegmentUpdate{Rule: &r.rule}))).Data
			require.Equal(t, plainJSON(t, r.rule), plainJSON(t, updated.Rule))
			require.ElementsMatch(t, r.who, a.segment(id), "%v", plainJSON(t, r.rule))
			count := want[types.SegmentCountEnvelope](t, http.StatusOK, read(a.CountSegment(t.Context(), id))).Data
			require.EqualValues(t, len(r.who), count.Count)
		}
	})
}

// segment is the external ids of who is in it.
func (a *api) segment(id string) (who []string) {
	a.t.Helper()
	found := all(a.t, func(cursor *types.Cursor) ([]types.Contact, types.Pagination) {
		page := want[types.ContactPage](a.t, http.StatusOK, read(a.ListSegmentContacts(a.t.Context(), id,
			&types.ListSegmentContactsParams{Cursor: cursor, Limit: p(1)})))
		return page.Data, page.Meta.Pagination
	})
	for _, c := range found {
		who = append(who, *c.ExternalID)
	}
	return who
}

// TestSegmentIsReadOnceAtSend changes who matches after the campaign is through.
func TestSegmentIsReadOnceAtSend(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		for _, c := range families {
			a.newContact(c)
		}
		phones := field(types.RuleFieldPhone, types.RuleOperatorExists, nil)
		segment := a.newSegment("Phones", phones)
		template := want[types.TemplateEnvelope](t, http.StatusCreated, read(a.CreateTemplate(t.Context(), types.TemplateCreate{
			Name: "Hello", Channel: types.ChannelSMS, Body: "Hello {{ first_name | upcase }}",
		}))).Data
		c := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS, SegmentID: &segment.ID, TemplateID: &template.ID})
		require.Empty(t, c.Blockers)
		a.send(c.ID)
		gone(t, read(a.DeleteTemplate(t.Context(), template.ID)))
		a.await(c.ID, completed)
		a.newContact(types.ContactCreate{Phone: p("+4915112000099")})
		gone(t, read(a.DeleteSegment(t.Context(), segment.ID)))

		done := a.await(c.ID, func(c types.Campaign) bool { return c.Progress.Sent == 1 && c.Progress.Delivered == 1 })
		require.EqualValues(t, 3, done.Progress.Total)
		require.EqualValues(t, 1, done.Progress.Skipped.OptedOut)
		a.requireLedger(done)
		draft := a.newCampaign(types.CampaignCreate{Name: "Summer", Channel: types.ChannelSMS, SegmentID: &segment.ID, TemplateID: &template.ID})
		require.ElementsMatch(t, []types.BlockerCode{"SEGMENT_NOT_FOUND", "TEMPLATE_NOT_FOUND"}, blockers(draft))
	})
}

func blockers(c types.Campaign) (codes []types.BlockerCode) {
	for _, b := range c.Blockers {
		codes = append(codes, b.Code)
	}
	return codes
}

// TestBlockersSayWhatIsMissing builds a campaign up from nothing.
func TestBlockersSayWhatIsMissing(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		past := time.Now().Add(-time.Hour)
		empty := a.newList("Empty")
		forMail := want[types.TemplateEnvelope](t, http.StatusCreated, read(a.CreateTemplate(t.Context(), types.TemplateCreate{
			Name: "Mail", Channel: types.ChannelEmail, Body: "Hi",
		}))).Data
		c := a.newCampaign(types.CampaignCreate{Name: "Bare", Channel: types.ChannelSMS, ScheduledAt: &past})
		require.ElementsMatch(t, []types.BlockerCode{"NO_AUDIENCE", "NO_CONTENT", "SCHEDULE_IN_PAST"}, blockers(c))

		c = want[types.CampaignEnvelope](t, http.StatusOK, read(a.UpdateCampaign(t.Context(), c.ID, types.CampaignUpdate{
			ListID: nullable.NewNullableWithValue(empty.ID), TemplateID: nullable.NewNullableWithValue(forMail.ID),
		}))).Data
		require.ElementsMatch(t, []types.BlockerCode{"AUDIENCE_EMPTY", "TEMPLATE_CHANNEL_MISMATCH", "SCHEDULE_IN_PAST"}, blockers(c))
		e := refused(t, http.StatusUnprocessableEntity, read(a.SendCampaign(t.Context(), c.ID)))
		require.Equal(t, types.ErrorCodeCAMPAIGNNOTREADY, e.Code)
		require.Len(t, e.Errors, 2, "a past time never stops a send")

		ready := a.audience()
		c = want[types.CampaignEnvelope](t, http.StatusOK, read(a.UpdateCampaign(t.Context(), c.ID, types.CampaignUpdate{
			ListID: nullable.NewNullableWithValue(ready.ID), Body: nullable.NewNullableWithValue("Hi"),
		}))).Data
		require.Nil(t, c.TemplateID, "setting a body clears the template")
		require.Equal(t, []types.BlockerCode{"SCHEDULE_IN_PAST"}, blockers(c))
		a.send(c.ID)
		a.await(c.ID, completed)
	})
}
