package server

import (
	"context"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// GetCampaignStatistics sums up the account's campaigns.
func (s *Server) GetCampaignStatistics(ctx context.Context, req apiserver.GetCampaignStatisticsRequestObject) (apiserver.GetCampaignStatisticsResponseObject, error) {
	rows, err := s.store(ctx).Statistics(ctx, scope(ctx), store.StatisticsFilter{
		Since: req.Params.Since, Until: req.Params.Until, Channel: store.Channel(value(req.Params.Channel)),
	})
	if err != nil {
		return nil, err
	}
	return apiserver.GetCampaignStatistics200JSONResponse{Data: statistics(rows), Meta: meta(ctx)}, nil
}

func statistics(rows []store.ChannelStatistics) (out types.Statistics) {
	for _, r := range rows {
		out.TotalCampaigns += r.Campaigns
		out.ActiveCampaigns += r.Active
		out.TotalMessagesSent += r.Sent
		out.TotalDelivered += r.Delivered
		out.TotalFailed += r.Failed
		if at := ofChannel(&out.Channels, r.Channel); at != nil && r.Sent > 0 {
			*at = &types.ChannelStatistics{Sent: r.Sent, Delivered: r.Delivered}
		}
	}
	if out.TotalMessagesSent > 0 { // cut, not rounded: 0.9999 is not yet 1
		out.DeliveryRate = float32(out.TotalDelivered*1000/out.TotalMessagesSent) / 1000
	}
	return out
}

func ofChannel(cs *types.StatisticsChannels, c store.Channel) **types.ChannelStatistics {
	return map[store.Channel]**types.ChannelStatistics{
		store.SMS: &cs.SMS, store.WhatsApp: &cs.Whatsapp, store.RCS: &cs.RCS, store.Viber: &cs.Viber, store.Email: &cs.Email,
	}[c]
}
