package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
	"github.com/campaigns-api/campaigns/gen/types"
)

// requireAddsUp holds a campaign to what its progress promises at every moment.
func requireAddsUp(t *testing.T, c types.Campaign) {
	t.Helper()
	if c.Progress == nil {
		require.Nil(t, c.StartedAt)
		return
	}
	pr := *c.Progress
	require.Equal(t, pr.Total, pr.Queued+pr.Sent+pr.Delivered+pr.Failed+pr.Unknown+pr.Skipped.Total+pr.Cancelled, "%+v", pr)
	require.Equal(t, pr.Skipped.Total, pr.Skipped.NoAddress+pr.Skipped.OptedOut+pr.Skipped.Deleted)
	if c.AbTest == nil {
		require.Empty(t, pr.Variants)
		return
	}
	var ofVariants types.VariantProgress
	for i, v := range pr.Variants {
		require.Equal(t, c.AbTest.Variants[i].Name, v.Name)
		require.Equal(t, v.Total, v.Queued+v.Sent+v.Delivered+v.Failed+v.Unknown+v.Skipped+v.Cancelled, "%+v", v)
		ofVariants.Total += v.Total
		ofVariants.Queued += v.Queued
		ofVariants.Sent += v.Sent
		ofVariants.Delivered += v.Delivered
		ofVariants.Failed += v.Failed
		ofVariants.Unknown += v.Unknown
		ofVariants.Skipped += v.Skipped
		ofVariants.Cancelled += v.Cancelled
	}
	require.Equal(t, types.VariantProgress{
		Total: pr.Total, Queued: pr.Queued, Sent: pr.Sent, Delivered: pr.Delivered, Failed: pr.Failed,
		Unknown: pr.Unknown, Skipped: pr.Skipped.Total, Cancelled: pr.Cancelled,
	}, ofVariants)
}

// requireLedger holds the messages of a campaign to its progress: a row for
// everybody who is not in queue, one each, and as many in each status.
func (a *api) requireLedger(c types.Campaign) (ledger []types.Message) {
	a.t.Helper()
	pr := c.Progress
	ledger = a.messages(c.ID, nil)
	require.Len(a.t, ledger, int(pr.Total-pr.Queued))
	seen := map[string]bool{}
	for _, m := range ledger {
		require.Equal(a.t, c.ID, m.CampaignID)
		require.False(a.t, seen[m.ID], "%s stands in the ledger twice", m.ID)
		seen[m.ID] = true
	}
	for status, count := range map[types.MessageStatus]int64{
		types.MessageStatusSent: pr.Sent, types.MessageStatusDelivered: pr.Delivered, types.MessageStatusFailed: pr.Failed,
		types.MessageStatusUnknown: pr.Unknown, types.MessageStatusSkipped: pr.Skipped.Total, types.MessageStatusCancelled: pr.Cancelled,
	} {
		found := a.messages(c.ID, &status)
		require.Len(a.t, found, int(count), status)
		for _, m := range found {
			require.Equal(a.t, status, m.Status)
		}
	}
	return ledger
}

// requireEachOnce wants every mailbox to have got one mail, and nobody else any.
func requireEachOnce(t *testing.T, c *sink.Counter, mailboxes []string) {
	t.Helper()
	once := make(map[string]int, len(mailboxes))
	for _, m := range mailboxes {
		once[m] = 1
	}
	require.Equal(t, once, c.Counts())
}
