package server

import (
	"context"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// CreateSegment makes a segment.
func (s *Server) CreateSegment(ctx context.Context, req apiserver.CreateSegmentRequestObject) (apiserver.CreateSegmentResponseObject, error) {
	g, err := s.store(ctx).CreateSegment(ctx, scope(ctx), store.Segment{Name: req.Body.Name, Rule: toRule(&req.Body.Rule)})
	if err != nil {
		return nil, err
	}
	at := "/v1/segments/" + g.PublicID
	return apiserver.CreateSegment201JSONResponse{
		Body:    types.SegmentEnvelope{Data: segment(&g), Meta: meta(ctx)},
		Headers: apiserver.CreateSegment201ResponseHeaders{Location: &at},
	}, nil
}

// ListSegments gives one page of segments.
func (s *Server) ListSegments(ctx context.Context, req apiserver.ListSegmentsRequestObject) (apiserver.ListSegmentsResponseObject, error) {
	gs, next, err := s.store(ctx).Segments(ctx, scope(ctx), value(req.Params.Search), page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListSegments200JSONResponse{Data: each(gs, segment), Meta: pageMeta(ctx, next)}, nil
}

// GetSegment gives a segment.
func (s *Server) GetSegment(ctx context.Context, req apiserver.GetSegmentRequestObject) (apiserver.GetSegmentResponseObject, error) {
	g, err := s.store(ctx).Segment(ctx, scope(ctx), req.ID)
	if err != nil {
		return nil, err
	}
	return apiserver.GetSegment200JSONResponse{Data: segment(&g), Meta: meta(ctx)}, nil
}

// UpdateSegment changes what is given; a rule is replaced as a whole.
func (s *Server) UpdateSegment(ctx context.Context, req apiserver.UpdateSegmentRequestObject) (apiserver.UpdateSegmentResponseObject, error) {
	g, err := s.store(ctx).UpdateSegment(ctx, scope(ctx), req.ID, func(g *store.Segment) error {
		if req.Body.Name != nil {
			g.Name = *req.Body.Name
		}
		if req.Body.Rule != nil {
			g.Rule = toRule(req.Body.Rule)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return apiserver.UpdateSegment200JSONResponse{Data: segment(&g), Meta: meta(ctx)}, nil
}

// DeleteSegment deletes a segment; its contacts stay.
func (s *Server) DeleteSegment(ctx context.Context, req apiserver.DeleteSegmentRequestObject) (apiserver.DeleteSegmentResponseObject, error) {
	if err := s.store(ctx).DeleteSegment(ctx, scope(ctx), req.ID); err != nil {
		return nil, err
	}
	return apiserver.DeleteSegment204Response{}, nil
}

// CountSegment counts the contacts that match now.
func (s *Server) CountSegment(ctx context.Context, req apiserver.CountSegmentRequestObject) (apiserver.CountSegmentResponseObject, error) {
	n, err := s.store(ctx).CountSegment(ctx, scope(ctx), req.ID)
	if err != nil {
		return nil, err
	}
	return apiserver.CountSegment200JSONResponse{Data: types.SegmentCount{Count: n}, Meta: meta(ctx)}, nil
}

// ListSegmentContacts gives one page of the contacts that match now.
func (s *Server) ListSegmentContacts(ctx context.Context, req apiserver.ListSegmentContactsRequestObject) (apiserver.ListSegmentContactsResponseObject, error) {
	f := store.ContactFilter{Segment: req.ID}
	cs, next, err := s.store(ctx).Contacts(ctx, scope(ctx), f, page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListSegmentContacts200JSONResponse{Data: each(cs, contact), Meta: pageMeta(ctx, next)}, nil
}

func segment(g *store.Segment) types.Segment {
	return types.Segment{
		ID: g.PublicID, Name: g.Name, Rule: fromRule(&g.Rule), CreatedAt: wholeSeconds(g.CreatedAt), UpdatedAt: wholeSeconds(g.UpdatedAt),
	}
}

func toRule(r *types.Rule) store.Rule {
	out := store.Rule{
		Field: (*string)(r.Field), Attribute: r.Attribute, Tag: r.Tag,
		Operator: string(value(r.Operator)), Value: value(r.Value), Values: r.Values,
	}
	if r.All != nil {
		out.All = each(r.All, toRule)
	}
	if r.Any != nil {
		out.Any = each(r.Any, toRule)
	}
	if r.Not != nil {
		not := toRule(r.Not)
		out.Not = &not
	}
	return out
}

func fromRule(r *store.Rule) types.Rule {
	out := types.Rule{Field: (*types.RuleField)(r.Field), Attribute: r.Attribute, Tag: r.Tag, Values: r.Values}
	if r.Operator != "" {
		operator := types.RuleOperator(r.Operator)
		out.Operator = &operator
	}
	if r.Value != nil {
		out.Value = &r.Value
	}
	if r.All != nil {
		out.All = each(r.All, fromRule)
	}
	if r.Any != nil {
		out.Any = each(r.Any, fromRule)
	}
	if r.Not != nil {
		not := fromRule(r.Not)
		out.Not = &not
	}
	return out
}
