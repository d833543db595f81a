package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/campaigns-api/campaigns/gen/types"
)

// reads are how long one client waited, while messages went out, for the
// campaign with its progress, the account's statistics and a page of messages.
type reads struct{ progress, statistics, messages []time.Duration }

const (
	readEvery = 50 * time.Millisecond // one of the progress, and one of the others in turn
	pageSize  = 100                   // messages on a page
)

// watch reads a campaign again and again, and what else people look at, until
// done says so.
func (b *bench) watch(ctx context.Context, id string, done func(types.Campaign) (bool, error)) (rs reads, err error) {
	var last types.Progress
	moved := time.Now()
	err = b.poll(ctx, readEvery, func() (bool, error) {
		c, err := b.readCampaign(ctx, id, &rs)
		if err != nil {
			return false, err
		}
		p := *c.Progress
		b.now("%s: %d recipients, %d queued", c.Name, p.Total, p.Queued)
		if p.Total != last.Total || p.Queued != last.Queued || p.Delivered != last.Delivered {
			last, moved = p, time.Now()
		}
		is, err := done(c)
		switch {
		case is || err != nil:
			return is, err
		case p.Failed+p.Unknown+p.Skipped.Total > 0:
			return false, fmt.Errorf("%d failed, %d unknown, %d skipped", p.Failed, p.Unknown, p.Skipped.Total)
		case time.Since(moved) > patience:
			return false, fmt.Errorf("nothing has moved for %s: %d of %d are queued, %d delivered", patience, p.Queued, p.Total, p.Delivered)
		case len(rs.progress)%2 == 0:
			return false, b.readStatistics(ctx, &rs)
		}
		return false, b.readMessages(ctx, id, &rs)
	})
	return rs, err
}

func (b *bench) readCampaign(ctx context.Context, id string, rs *reads) (c types.Campaign, err error) {
	start := time.Now()
	r, err := b.client.GetCampaignWithResponse(ctx, id)
	if err := failed(err, r, http200); err != nil {
		return c, fmt.Errorf("read the campaign: %w", err)
	}
	rs.progress = append(rs.progress, time.Since(start))
	return r.JSON200.Data, nil
}

func (b *bench) readStatistics(ctx context.Context, rs *reads) error {
	start := time.Now()
	r, err := b.client.GetCampaignStatisticsWithResponse(ctx, nil)
	if err := failed(err, r, http200); err != nil {
		return fmt.Errorf("read the statistics: %w", err)
	}
	rs.statistics = append(rs.statistics, time.Since(start))
	return nil
}

func (b *bench) readMessages(ctx context.Context, id string, rs *reads) error {
	start := time.Now()
	r, err := b.client.ListCampaignMessagesWithResponse(ctx, id, &types.ListCampaignMessagesParams{Limit: ptr(pageSize)})
	if err := failed(err, r, http200); err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	rs.messages = append(rs.messages, time.Since(start))
	return nil
}

// quantiles are of one kind of read, in milliseconds.
type quantiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
}

func quantilesOf(took []time.Duration) (q quantiles) {
	if len(took) == 0 {
		return q
	}
	slices.Sort(took)
	at := func(share float64) float64 { return milliseconds(took[int(share*float64(len(took)-1)+0.5)]) }
	return quantiles{len(took), at(0.5), at(0.99)}
}

func milliseconds(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }
