package server

import (
	"context"
	"maps"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// CreateContact keeps a new contact.
func (s *Server) CreateContact(ctx context.Context, req apiserver.CreateContactRequestObject) (apiserver.CreateContactResponseObject, error) {
	b := req.Body
	c, err := s.store(ctx).CreateContact(ctx, scope(ctx), store.Contact{
		ExternalID: b.ExternalID, Phone: b.Phone, Email: b.Email, FirstName: b.FirstName, LastName: b.LastName, Country: b.Country,
		Tags: value(b.Tags), Attributes: value(b.Attributes), OptedOut: channelSet(value(b.OptedOut)),
	})
	if err != nil {
		return nil, err
	}
	at := "/v1/contacts/" + c.PublicID
	return apiserver.CreateContact201JSONResponse{
		Body:    types.ContactEnvelope{Data: contact(&c), Meta: meta(ctx)},
		Headers: apiserver.CreateContact201ResponseHeaders{Location: &at},
	}, nil
}

// ListContacts gives one page of contacts.
func (s *Server) ListContacts(ctx context.Context, req apiserver.ListContactsRequestObject) (apiserver.ListContactsResponseObject, error) {
	f := store.ContactFilter{Search: value(req.Params.Search)}
	cs, next, err := s.store(ctx).Contacts(ctx, scope(ctx), f, page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListContacts200JSONResponse{Data: each(cs, contact), Meta: pageMeta(ctx, next)}, nil
}

// GetContact gives a contact.
func (s *Server) GetContact(ctx context.Context, req apiserver.GetContactRequestObject) (apiserver.GetContactResponseObject, error) {
	c, err := s.store(ctx).Contact(ctx, scope(ctx), req.ID)
	if err != nil {
		return nil, err
	}
	return apiserver.GetContact200JSONResponse{Data: contact(&c), Meta: meta(ctx)}, nil
}

// UpdateContact changes what is given: absent means unchanged, null clears.
// Tags replace; attributes merge.
func (s *Server) UpdateContact(ctx context.Context, req apiserver.UpdateContactRequestObject) (apiserver.UpdateContactResponseObject, error) {
	b := req.Body
	c, err := s.store(ctx).UpdateContact(ctx, scope(ctx), req.ID, func(c *store.Contact) error {
		set(&c.ExternalID, b.ExternalID, same[string])
		set(&c.Phone, b.Phone, same[string])
		set(&c.Email, b.Email, same[string])
		set(&c.FirstName, b.FirstName, same[string])
		set(&c.LastName, b.LastName, same[string])
		set(&c.Country, b.Country, same[string])
		if b.Tags != nil {
			c.Tags = *b.Tags
		}
		maps.Copy(c.Attributes, value(b.Attributes)) // nil removes one
		return nil
	})
	if err != nil {
		return nil, err
	}
	return apiserver.UpdateContact200JSONResponse{Data: contact(&c), Meta: meta(ctx)}, nil
}

// DeleteContact forgets a contact.
func (s *Server) DeleteContact(ctx context.Context, req apiserver.DeleteContactRequestObject) (apiserver.DeleteContactResponseObject, error) {
	if err := s.store(ctx).DeleteContact(ctx, scope(ctx), req.ID); err != nil {
		return nil, err
	}
	return apiserver.DeleteContact204Response{}, nil
}

// OptOutContact ends messages to a contact over some channels.
func (s *Server) OptOutContact(ctx context.Context, req apiserver.OptOutContactRequestObject) (apiserver.OptOutContactResponseObject, error) {
	c, err := s.store(ctx).OptOut(ctx, scope(ctx), req.ID, channelSet(req.Body.Channels))
	if err != nil {
		return nil, err
	}
	return apiserver.OptOutContact200JSONResponse{Data: contact(&c), Meta: meta(ctx)}, nil
}

// OptInContact allows messages to a contact over some channels again.
func (s *Server) OptInContact(ctx context.Context, req apiserver.OptInContactRequestObject) (apiserver.OptInContactResponseObject, error) {
	c, err := s.store(ctx).OptIn(ctx, scope(ctx), req.ID, channelSet(req.Body.Channels))
	if err != nil {
		return nil, err
	}
	return apiserver.OptInContact200JSONResponse{Data: contact(&c), Meta: meta(ctx)}, nil
}

func contact(c *store.Contact) types.Contact {
	return types.Contact{
		ID: c.PublicID, ExternalID: c.ExternalID, Phone: c.Phone, Email: c.Email, FirstName: c.FirstName, LastName: c.LastName,
		Country: c.Country, Tags: c.Tags, Attributes: c.Attributes,
		OptedOut:  each(c.OptedOut.List(), func(ch *store.Channel) types.Channel { return types.Channel(*ch) }),
		CreatedAt: wholeSeconds(c.CreatedAt), UpdatedAt: wholeSeconds(c.UpdatedAt),
	}
}

func channelSet(cs []types.Channel) store.ChannelSet {
	return store.SetOf(each(cs, func(c *types.Channel) store.Channel { return store.Channel(*c) })...)
}
