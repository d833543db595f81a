package store

import (
	"context"
	"fmt"
	"time"
)

// StatisticsFilter narrows statistics; what is zero does not. Since (inclusive)
// and Until (exclusive) bound when a campaign started.
type StatisticsFilter struct {
	Since, Until *time.Time
	Channel      Channel
}

// ChannelStatistics are the counts of one channel.
type ChannelStatistics struct {
	Channel   Channel
	Campaigns int64
	Active    int64 // scheduled, sending or paused
	Sent      int64 // taken by a carrier, whatever came later
	Delivered int64
	Failed    int64
}

// Statistics counts an account's campaigns and messages by channel, from the
// counters. With Since or Until only campaigns that have started count.
func (s *Store) Statistics(ctx context.Context, sc Scope, f StatisticsFilter) (rows []ChannelStatistics, err error) {
	where, args := "account_id = @account AND mode = @mode", map[string]any{"account": sc.Account, "mode": sc.Mode}
	if f.Channel != "" {
		where, args["channel"] = where+" AND channel = @channel", f.Channel
	}
	if f.Since != nil {
		where, args["since"] = where+" AND started_at >= @since", f.Since.UTC()
	}
	if f.Until != nil {
		where, args["until"] = where+" AND started_at < @until", f.Until.UTC()
	}
	err = s.read(ctx).Raw(`WITH mine AS (SELECT id, channel, status, settled FROM campaigns WHERE `+where+`),
parts AS (
 SELECT channel, 1 AS campaigns, CASE WHEN status IN ('scheduled', 'sending', 'paused') THEN 1 ELSE 0 END AS active, 0 AS sent, 0 AS delivered, 0 AS failed FROM mine
 UNION ALL
 SELECT channel, 0, 0, accepted, delivered, rejected + undelivered FROM campaign_counters JOIN mine ON mine.id = campaign_id
 UNION ALL
 SELECT channel, 0, 0, accepted, 0, rejected FROM campaign_chunks JOIN mine ON mine.id = campaign_id AND NOT mine.settled)
SELECT channel, SUM(campaigns) AS campaigns, SUM(active) AS active, SUM(sent) AS sent, SUM(delivered) AS delivered, SUM(failed) AS failed
FROM parts GROUP BY channel`, args).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read statistics: %w", err)
	}
	return rows, nil
}
