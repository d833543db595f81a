package server

import (
	"context"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// CreateTemplate keeps a new template.
func (s *Server) CreateTemplate(ctx context.Context, req apiserver.CreateTemplateRequestObject) (apiserver.CreateTemplateResponseObject, error) {
	b := req.Body
	t, err := s.store(ctx).CreateTemplate(ctx, scope(ctx), store.Template{
		Name: b.Name, Channel: store.Channel(b.Channel), Subject: b.Subject, Body: b.Body, ContentType: string(value(b.ContentType)),
	})
	if err != nil {
		return nil, err
	}
	at := "/v1/templates/" + t.PublicID
	return apiserver.CreateTemplate201JSONResponse{
		Body:    types.TemplateEnvelope{Data: fromTemplate(&t), Meta: meta(ctx)},
		Headers: apiserver.CreateTemplate201ResponseHeaders{Location: &at},
	}, nil
}

// ListTemplates gives one page of templates.
func (s *Server) ListTemplates(ctx context.Context, req apiserver.ListTemplatesRequestObject) (apiserver.ListTemplatesResponseObject, error) {
	f := store.TemplateFilter{Search: value(req.Params.Search), Channel: store.Channel(value(req.Params.Channel))}
	ts, next, err := s.store(ctx).Templates(ctx, scope(ctx), f, page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListTemplates200JSONResponse{Data: each(ts, fromTemplate), Meta: pageMeta(ctx, next)}, nil
}

// GetTemplate gives a template.
func (s *Server) GetTemplate(ctx context.Context, req apiserver.GetTemplateRequestObject) (apiserver.GetTemplateResponseObject, error) {
	t, err := s.store(ctx).Template(ctx, scope(ctx), req.ID)
	if err != nil {
		return nil, err
	}
	return apiserver.GetTemplate200JSONResponse{Data: fromTemplate(&t), Meta: meta(ctx)}, nil
}

// UpdateTemplate changes what is given: absent means unchanged, null clears.
func (s *Server) UpdateTemplate(ctx context.Context, req apiserver.UpdateTemplateRequestObject) (apiserver.UpdateTemplateResponseObject, error) {
	b := req.Body
	t, err := s.store(ctx).UpdateTemplate(ctx, scope(ctx), req.ID, func(t *store.Template) error {
		if b.Name != nil {
			t.Name = *b.Name
		}
		if b.Body != nil {
			t.Body = *b.Body
		}
		if b.ContentType != nil {
			t.ContentType = string(*b.ContentType)
		}
		set(&t.Subject, b.Subject, same[string])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return apiserver.UpdateTemplate200JSONResponse{Data: fromTemplate(&t), Meta: meta(ctx)}, nil
}

// DeleteTemplate deletes a template.
func (s *Server) DeleteTemplate(ctx context.Context, req apiserver.DeleteTemplateRequestObject) (apiserver.DeleteTemplateResponseObject, error) {
	if err := s.store(ctx).DeleteTemplate(ctx, scope(ctx), req.ID); err != nil {
		return nil, err
	}
	return apiserver.DeleteTemplate204Response{}, nil
}

func fromTemplate(t *store.Template) types.Template {
	return types.Template{
		ID: t.PublicID, Name: t.Name, Channel: types.Channel(t.Channel), Subject: t.Subject, Body: t.Body,
		ContentType: types.ContentType(t.ContentType), CreatedAt: wholeSeconds(t.CreatedAt), UpdatedAt: wholeSeconds(t.UpdatedAt),
	}
}
