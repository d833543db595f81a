package server

import (
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// each translates a list; an empty one stays a list.
func each[T, U any](in []T, as func(*T) U) []U {
	out := make([]U, len(in))
	for i := range in {
		out[i] = as(&in[i])
	}
	return out
}

// campaign is how a campaign goes out: what is not set is left out.
func campaign(c *store.Campaign) types.Campaign {
	out := types.Campaign{
		ID: c.PublicID, Name: c.Name, Channel: types.Channel(c.Channel), Status: types.CampaignStatus(c.Status), Version: c.Version,
		SegmentID: c.SegmentID, ListID: c.ListID, TemplateID: c.TemplateID, Body: c.Body, Subject: c.Subject,
		ContentType: (*types.ContentType)(c.ContentType), Sender: c.Sender, AbTest: fromABTest(c.ABTest),
		ScheduledAt: wholeSecondsIf(c.ScheduledAt), StartedAt: wholeSecondsIf(c.StartedAt), PausedAt: wholeSecondsIf(c.PausedAt),
		ResumedAt: wholeSecondsIf(c.ResumedAt), CompletedAt: wholeSecondsIf(c.CompletedAt), CancelledAt: wholeSecondsIf(c.CancelledAt),
		CreatedAt: wholeSeconds(c.CreatedAt), UpdatedAt: wholeSeconds(c.UpdatedAt),
		AllowedActions: actions(c.AllowedActions()), Blockers: each(c.Blockers, blocker),
	}
	if c.Metadata != nil {
		out.Metadata = &c.Metadata
	}
	if c.Throttle != nil {
		out.Throttle = &types.Throttle{MessagesPerSecond: *c.Throttle}
	}
	return out
}

func actions(verbs []string) []types.CampaignAction {
	return each(verbs, func(v *string) types.CampaignAction { return types.CampaignAction(*v) })
}

func blocker(b *store.Blocker) types.Blocker {
	return types.Blocker{
		Code: types.BlockerCode(b.Code), Message: b.Message,
		Blocks: each(b.Blocks, func(v *string) types.BlockedAction { return types.BlockedAction(*v) }),
	}
}

func progress(p store.Progress) *types.Progress {
	out := &types.Progress{
		Total: p.Total, AudienceFinal: p.AudienceFinal, Queued: p.Queued(), Sent: p.Sent(), Delivered: p.Delivered,
		Failed: p.Failed(), Unknown: p.Unknown, Cancelled: p.Cancelled, RatePerSecond: float32(p.Rate),
		Skipped: types.SkippedCounts{
			Total: p.Skipped(), NoAddress: p.SkippedNoAddress, OptedOut: p.SkippedOptedOut, Deleted: p.SkippedDeleted,
		},
		EstimatedCompletionAt: wholeSecondsIf(p.CompletedAt),
	}
	for _, v := range p.Variants {
		out.Variants = append(out.Variants, types.VariantProgress{
			Name: v.Name, Total: v.Total, Queued: v.Queued(), Sent: v.Sent(), Delivered: v.Delivered, Failed: v.Failed(),
			Unknown: v.Unknown, Skipped: v.Skipped(), Cancelled: v.Cancelled,
		})
	}
	return out
}

func toThrottle(t *types.Throttle) *int {
	if t == nil {
		return nil
	}
	return &t.MessagesPerSecond
}

func toABTest(t *types.AbTest) *store.ABTest {
	if t == nil {
		return nil
	}
	return &store.ABTest{Variants: each(t.Variants, func(v *types.AbTestVariant) store.Variant {
		return store.Variant{Name: v.Name, Body: v.Body, TemplateID: v.TemplateID, Subject: v.Subject, Percentage: v.Percentage}
	})}
}

func fromABTest(t *store.ABTest) *types.AbTest {
	if t == nil {
		return nil
	}
	return &types.AbTest{Variants: each(t.Variants, func(v *store.Variant) types.AbTestVariant {
		return types.AbTestVariant{Name: v.Name, Body: v.Body, TemplateID: v.TemplateID, Subject: v.Subject, Percentage: v.Percentage}
	})}
}
