package server

import (
	"context"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// messageStatus are the contract's words for the store's numbers.
var messageStatus = map[store.MessageStatus]types.MessageStatus{
	store.MessageSent: types.MessageStatusSent, store.MessageDelivered: types.MessageStatusDelivered,
	store.MessageFailed: types.MessageStatusFailed, store.MessageUnknown: types.MessageStatusUnknown,
	store.MessageSkipped: types.MessageStatusSkipped, store.MessageCancelled: types.MessageStatusCancelled,
}

// ListCampaignMessages gives one page of a campaign's ledger.
func (s *Server) ListCampaignMessages(ctx context.Context, req apiserver.ListCampaignMessagesRequestObject) (apiserver.ListCampaignMessagesResponseObject, error) {
	var status store.MessageStatus
	for number, word := range messageStatus {
		if req.Params.Status != nil && word == *req.Params.Status {
			status = number
		}
	}
	c, ms, next, err := s.store(ctx).Messages(ctx, scope(ctx), req.ID, status, page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListCampaignMessages200JSONResponse{
		Data: each(ms, func(m *store.Message) types.Message { return message(&c, m) }), Meta: pageMeta(ctx, next),
	}, nil
}

func message(c *store.Campaign, m *store.Message) types.Message {
	out := types.Message{
		ID: m.PublicID(), CampaignID: c.PublicID, ContactID: m.Contact, Status: messageStatus[m.Status], Attempts: m.Attempts,
		Carrier: m.Carrier, CarrierRef: m.CarrierRef, UpdatedAt: wholeSeconds(m.RecordedAt),
	}
	if m.UpdatedAt != nil {
		out.UpdatedAt = wholeSeconds(*m.UpdatedAt)
	}
	if c.ABTest != nil {
		out.Variant = &c.ABTest.Variants[m.Variant].Name
	}
	if m.Taken() {
		out.SentAt = wholeSecondsIf(&m.RecordedAt)
	}
	switch m.Status {
	case store.MessageSkipped:
		out.SkipReason = (*types.SkipReason)(m.Code)
	case store.MessageFailed, store.MessageUnknown:
		out.Error = &types.MessageError{Code: value(m.Code), Message: value(m.Text)}
	}
	return out
}
