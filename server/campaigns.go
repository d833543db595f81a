package server

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// CreateCampaign makes a draft.
func (s *Server) CreateCampaign(ctx context.Context, req apiserver.CreateCampaignRequestObject) (apiserver.CreateCampaignResponseObject, error) {
	b := req.Body
	c, err := s.store(ctx).CreateCampaign(ctx, scope(ctx), store.Campaign{
		Name: b.Name, Channel: store.Channel(b.Channel), SegmentID: b.SegmentID, ListID: b.ListID, TemplateID: b.TemplateID,
		Body: b.Body, Subject: b.Subject, ContentType: (*string)(b.ContentType), Sender: b.Sender, Metadata: value(b.Metadata),
		Throttle: toThrottle(b.Throttle), ABTest: toABTest(b.AbTest), ScheduledAt: b.ScheduledAt,
	})
	if err != nil {
		return nil, err
	}
	at := "/v1/campaigns/" + c.PublicID
	return apiserver.CreateCampaign201JSONResponse{
		Body:    types.CampaignEnvelope{Data: campaign(&c), Meta: meta(ctx)},
		Headers: apiserver.CreateCampaign201ResponseHeaders{Location: &at, ETag: etag(&c)},
	}, nil
}

// ListCampaigns gives one page of campaigns.
func (s *Server) ListCampaigns(ctx context.Context, req apiserver.ListCampaignsRequestObject) (apiserver.ListCampaignsResponseObject, error) {
	f := store.CampaignFilter{
		Search: value(req.Params.Search), Status: store.Status(value(req.Params.Status)), Channel: store.Channel(value(req.Params.Channel)),
	}
	cs, next, err := s.store(ctx).Campaigns(ctx, scope(ctx), f, page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListCampaigns200JSONResponse{Data: each(cs, campaign), Meta: pageMeta(ctx, next)}, nil
}

// GetCampaign gives a campaign, with its progress once it has started.
func (s *Server) GetCampaign(ctx context.Context, req apiserver.GetCampaignRequestObject) (apiserver.GetCampaignResponseObject, error) {
	c, err := s.store(ctx).Campaign(ctx, scope(ctx), req.ID)
	if err != nil {
		return nil, err
	}
	data := campaign(&c)
	if c.StartedAt != nil {
		p, err := s.store(ctx).Progress(ctx, &c)
		if err != nil {
			return nil, err
		}
		data.Progress = progress(p)
	}
	return apiserver.GetCampaign200JSONResponse{
		Body:    types.CampaignEnvelope{Data: data, Meta: meta(ctx)},
		Headers: apiserver.GetCampaign200ResponseHeaders{ETag: etag(&c)},
	}, nil
}

// UpdateCampaign changes what is given: absent means unchanged, null clears.
func (s *Server) UpdateCampaign(ctx context.Context, req apiserver.UpdateCampaignRequestObject) (apiserver.UpdateCampaignResponseObject, error) {
	c, err := s.store(ctx).UpdateCampaign(ctx, scope(ctx), req.ID, expecting(req.Params.IfMatch, func(c *store.Campaign) error {
		if err := c.Edit(); err != nil {
			return err
		}
		apply(c, req.Body)
		return nil
	}))
	if err != nil {
		return nil, err
	}
	return apiserver.UpdateCampaign200JSONResponse{
		Body:    types.CampaignEnvelope{Data: campaign(&c), Meta: meta(ctx)},
		Headers: apiserver.UpdateCampaign200ResponseHeaders{ETag: etag(&c)},
	}, nil
}

// apply writes an update over a campaign. Of the fields that exclude each other,
// setting one clears the other; giving both is left for the store to refuse.
func apply(c *store.Campaign, b *types.CampaignUpdate) {
	if b.Name != nil {
		c.Name = *b.Name
	}
	exclusive(&c.SegmentID, b.SegmentID, &c.ListID, b.ListID)
	exclusive(&c.TemplateID, b.TemplateID, &c.Body, b.Body)
	set(&c.Subject, b.Subject, same[string])
	set(&c.ContentType, b.ContentType, func(t types.ContentType) string { return string(t) })
	set(&c.Sender, b.Sender, same[string])
	set(&c.Throttle, b.Throttle, func(t types.Throttle) int { return t.MessagesPerSecond })
	set(&c.ABTest, b.AbTest, func(t types.AbTest) store.ABTest { return *toABTest(&t) })
	if b.Metadata.IsSpecified() {
		c.Metadata, _ = b.Metadata.Get() // null leaves none
	}
	if b.ScheduledAt.IsSpecified() {
		var at *time.Time
		set(&at, b.ScheduledAt, same[time.Time])
		c.SetSchedule(at)
	}
}

func exclusive(a **string, na nullable.Nullable[string], b **string, nb nullable.Nullable[string]) {
	set(a, na, same[string])
	set(b, nb, same[string])
	given := func(n nullable.Nullable[string]) bool { return n.IsSpecified() && !n.IsNull() }
	if given(na) && !given(nb) {
		*b = nil
	}
	if given(nb) && !given(na) {
		*a = nil
	}
}

// set follows a field of an update: absent leaves, null clears, a value sets.
func set[T, U any](to **U, from nullable.Nullable[T], as func(T) U) {
	switch {
	case from.IsNull():
		*to = nil
	case from.IsSpecified():
		v := as(from.MustGet())
		*to = &v
	}
}

func same[T any](v T) T { return v }

// DeleteCampaign removes a draft.
func (s *Server) DeleteCampaign(ctx context.Context, req apiserver.DeleteCampaignRequestObject) (apiserver.DeleteCampaignResponseObject, error) {
	if err := s.store(ctx).DeleteCampaign(ctx, scope(ctx), req.ID, expecting(req.Params.IfMatch, (*store.Campaign).Discard)); err != nil {
		return nil, err
	}
	return apiserver.DeleteCampaign204Response{}, nil
}

// SendCampaign starts sending at once.
func (s *Server) SendCampaign(ctx context.Context, req apiserver.SendCampaignRequestObject) (apiserver.SendCampaignResponseObject, error) {
	c, err := s.store(ctx).UpdateCampaign(ctx, scope(ctx), req.ID, expecting(req.Params.IfMatch, (*store.Campaign).Send))
	if err != nil {
		return nil, err
	}
	data := types.SentCampaign{ID: c.PublicID, Status: types.CampaignStatus(c.Status), StartedAt: wholeSeconds(*c.StartedAt)}
	return apiserver.SendCampaign200JSONResponse{
		Body:    types.SentCampaignEnvelope{Data: data, Meta: meta(ctx)},
		Headers: apiserver.SendCampaign200ResponseHeaders{ETag: etag(&c)},
	}, nil
}

// ScheduleCampaign lets a draft wait for its time.
func (s *Server) ScheduleCampaign(ctx context.Context, req apiserver.ScheduleCampaignRequestObject) (apiserver.ScheduleCampaignResponseObject, error) {
	c, err := s.store(ctx).UpdateCampaign(ctx, scope(ctx), req.ID, expecting(req.Params.IfMatch, (*store.Campaign).Schedule))
	if err != nil {
		return nil, err
	}
	return apiserver.ScheduleCampaign200JSONResponse{
		Body:    types.CampaignEnvelope{Data: campaign(&c), Meta: meta(ctx)},
		Headers: apiserver.ScheduleCampaign200ResponseHeaders{ETag: etag(&c)},
	}, nil
}

// PauseCampaign holds what is not yet handed over.
func (s *Server) PauseCampaign(ctx context.Context, req apiserver.PauseCampaignRequestObject) (apiserver.PauseCampaignResponseObject, error) {
	c, err := s.store(ctx).UpdateCampaign(ctx, scope(ctx), req.ID, expecting(req.Params.IfMatch, (*store.Campaign).Pause))
	if err != nil {
		return nil, err
	}
	data := types.PausedCampaign{ID: c.PublicID, Status: types.CampaignStatus(c.Status), PausedAt: wholeSeconds(*c.PausedAt)}
	return apiserver.PauseCampaign200JSONResponse{
		Body:    types.PausedCampaignEnvelope{Data: data, Meta: meta(ctx)},
		Headers: apiserver.PauseCampaign200ResponseHeaders{ETag: etag(&c)},
	}, nil
}

// ResumeCampaign goes on where the campaign stopped.
func (s *Server) ResumeCampaign(ctx context.Context, req apiserver.ResumeCampaignRequestObject) (apiserver.ResumeCampaignResponseObject, error) {
	c, err := s.store(ctx).UpdateCampaign(ctx, scope(ctx), req.ID, expecting(req.Params.IfMatch, (*store.Campaign).Resume))
	if err != nil {
		return nil, err
	}
	data := types.ResumedCampaign{ID: c.PublicID, Status: types.CampaignStatus(c.Status), ResumedAt: wholeSeconds(*c.ResumedAt)}
	return apiserver.ResumeCampaign200JSONResponse{
		Body:    types.ResumedCampaignEnvelope{Data: data, Meta: meta(ctx)},
		Headers: apiserver.ResumeCampaign200ResponseHeaders{ETag: etag(&c)},
	}, nil
}

// CancelCampaign ends a campaign; the rest is never sent.
func (s *Server) CancelCampaign(ctx context.Context, req apiserver.CancelCampaignRequestObject) (apiserver.CancelCampaignResponseObject, error) {
	c, err := s.store(ctx).UpdateCampaign(ctx, scope(ctx), req.ID, expecting(req.Params.IfMatch, (*store.Campaign).Cancel))
	if err != nil {
		return nil, err
	}
	data := types.CancelledCampaign{ID: c.PublicID, Status: types.CampaignStatus(c.Status), CancelledAt: wholeSeconds(*c.CancelledAt)}
	return apiserver.CancelCampaign200JSONResponse{
		Body:    types.CancelledCampaignEnvelope{Data: data, Meta: meta(ctx)},
		Headers: apiserver.CancelCampaign200ResponseHeaders{ETag: etag(&c)},
	}, nil
}
