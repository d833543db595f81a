package server

import (
	"context"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// CreateList makes an empty list.
func (s *Server) CreateList(ctx context.Context, req apiserver.CreateListRequestObject) (apiserver.CreateListResponseObject, error) {
	l, err := s.store(ctx).CreateList(ctx, scope(ctx), store.List{Name: req.Body.Name, Description: req.Body.Description})
	if err != nil {
		return nil, err
	}
	at := "/v1/lists/" + l.PublicID
	return apiserver.CreateList201JSONResponse{
		Body:    types.ListEnvelope{Data: list(&l), Meta: meta(ctx)},
		Headers: apiserver.CreateList201ResponseHeaders{Location: &at},
	}, nil
}

// ListLists gives one page of lists.
func (s *Server) ListLists(ctx context.Context, req apiserver.ListListsRequestObject) (apiserver.ListListsResponseObject, error) {
	ls, next, err := s.store(ctx).Lists(ctx, scope(ctx), value(req.Params.Search), page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListLists200JSONResponse{Data: each(ls, list), Meta: pageMeta(ctx, next)}, nil
}

// GetList gives a list.
func (s *Server) GetList(ctx context.Context, req apiserver.GetListRequestObject) (apiserver.GetListResponseObject, error) {
	l, err := s.store(ctx).List(ctx, scope(ctx), req.ID)
	if err != nil {
		return nil, err
	}
	return apiserver.GetList200JSONResponse{Data: list(&l), Meta: meta(ctx)}, nil
}

// UpdateList changes what is given: absent means unchanged, null clears.
func (s *Server) UpdateList(ctx context.Context, req apiserver.UpdateListRequestObject) (apiserver.UpdateListResponseObject, error) {
	l, err := s.store(ctx).UpdateList(ctx, scope(ctx), req.ID, func(l *store.List) error {
		if req.Body.Name != nil {
			l.Name = *req.Body.Name
		}
		set(&l.Description, req.Body.Description, same[string])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return apiserver.UpdateList200JSONResponse{Data: list(&l), Meta: meta(ctx)}, nil
}

// DeleteList deletes a list; its contacts stay.
func (s *Server) DeleteList(ctx context.Context, req apiserver.DeleteListRequestObject) (apiserver.DeleteListResponseObject, error) {
	if err := s.store(ctx).DeleteList(ctx, scope(ctx), req.ID); err != nil {
		return nil, err
	}
	return apiserver.DeleteList204Response{}, nil
}

// ListListContacts gives one page of a list's contacts.
func (s *Server) ListListContacts(ctx context.Context, req apiserver.ListListContactsRequestObject) (apiserver.ListListContactsResponseObject, error) {
	f := store.ContactFilter{List: req.ID}
	cs, next, err := s.store(ctx).Contacts(ctx, scope(ctx), f, page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListListContacts200JSONResponse{Data: each(cs, contact), Meta: pageMeta(ctx, next)}, nil
}

// AddListContacts puts contacts into a list, all or none.
func (s *Server) AddListContacts(ctx context.Context, req apiserver.AddListContactsRequestObject) (apiserver.AddListContactsResponseObject, error) {
	added, already, err := s.store(ctx).AddMembers(ctx, scope(ctx), req.ID, req.Body.ContactIds)
	if err != nil {
		return nil, err
	}
	return apiserver.AddListContacts200JSONResponse{Data: types.AddedMembers{Added: int64(added), AlreadyMembers: int64(already)}, Meta: meta(ctx)}, nil
}

// RemoveListContact takes a contact out of a list.
func (s *Server) RemoveListContact(ctx context.Context, req apiserver.RemoveListContactRequestObject) (apiserver.RemoveListContactResponseObject, error) {
	if err := s.store(ctx).RemoveMember(ctx, scope(ctx), req.ID, req.ContactID); err != nil {
		return nil, err
	}
	return apiserver.RemoveListContact204Response{}, nil
}

func list(l *store.List) types.List {
	return types.List{
		ID: l.PublicID, Name: l.Name, Description: l.Description, CreatedAt: wholeSeconds(l.CreatedAt), UpdatedAt: wholeSeconds(l.UpdatedAt),
	}
}
