package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// What a crash may cost: as many repeats as one process may have handed over
// and not yet recorded, a window for each of its senders.
const repeatsPerKill = 250 * 4

// unknownPerKill is the same where nothing is handed over twice.
const unknownPerKill = 50 * 4

// interrupted is how many people get the campaigns that are interrupted here,
// at so many mails a second that there is a middle.
const (
	interrupted          = crowd(3000)
	interruptedPerSecond = 1500
)

// mailToAll sends a campaign to a crowd and returns when a part of it has gone.
func (a *api) mailToAll(mails *sink.Counter) types.Campaign {
	a.t.Helper()
	list := a.assemble(interrupted)
	c := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelEmail, ListID: &list.ID, Body: p("Hi {{first_name}}")})
	a.sendWhenReady(c.ID)
	eventually(a.t, func() bool { return mails.Total() > 500 }, "mails")
	return c
}

// requireWhole waits for the end and wants everybody to have got the campaign,
// with at most so many mails too many, and the ledger to be complete.
func (a *api) requireWhole(c types.Campaign, mails *sink.Counter, repeats int) {
	a.t.Helper()
	done := a.await(c.ID, completed)
	for _, mailbox := range interrupted.reachable() {
		require.Positive(a.t, mails.Of(mailbox), "%s got nothing", mailbox)
	}
	reached := len(interrupted.reachable())
	require.Equal(a.t, reached, mails.Distinct())
	a.t.Logf("%d mails for %d recipients", mails.Total(), reached)
	require.LessOrEqual(a.t, mails.Total()-reached, repeats)
	require.EqualValues(a.t, interrupted, done.Progress.Total)
	require.EqualValues(a.t, reached, done.Progress.Sent)
	a.requireLedger(done)
	require.EqualValues(a.t, reached, a.statistics().TotalMessagesSent)
}

// onceOnly is a carrier that is handed nothing twice.
func onceOnly(carrier map[string]any) map[string]any {
	carrier["at_most_once"] = true
	return carrier
}

// requireNobodyTwice waits for the end and wants nobody to have got two mails, and
// of at most so many people that it is unknown whether they got one.
func (a *api) requireNobodyTwice(c types.Campaign, mails *sink.Counter, unknown int) {
	a.t.Helper()
	done := a.await(c.ID, completed)
	reached := len(interrupted.reachable())
	a.t.Logf("%d mails for %d recipients, %d unknown", mails.Total(), reached, done.Progress.Unknown)
	require.Equal(a.t, mails.Distinct(), mails.Total(), "somebody got two")
	require.EqualValues(a.t, interrupted, done.Progress.Total)
	require.EqualValues(a.t, reached, done.Progress.Sent+done.Progress.Unknown)
	require.LessOrEqual(a.t, done.Progress.Unknown, int64(unknown))
	sent := 0
	for _, m := range a.requireLedger(done) {
		switch m.Status {
		case types.MessageStatusSent:
			sent++
		case types.MessageStatusUnknown:
			require.NotNil(a.t, m.Error)
			require.Contains(a.t, []string{"interrupted", "no_answer"}, m.Error.Code)
		}
	}
	require.GreaterOrEqual(a.t, mails.Distinct(), sent, "who is sent got a mail")
}

func TestKilledProcessLosesNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var mails sink.Counter
		i, server, a := live(t, dsn, smtpTo(t, &mails, interruptedPerSecond))
		c := a.mailToAll(&mails)
		server.kill()
		require.Less(t, mails.Distinct(), len(interrupted.reachable()), "it was through before it was killed")
		i.start("serve").api(a.key).requireWhole(c, &mails, repeatsPerKill)
	})
}

func TestStoppedProcessRepeatsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var mails sink.Counter
		i, server, a := live(t, dsn, smtpTo(t, &mails, interruptedPerSecond))
		c := a.mailToAll(&mails)
		server.stop()
		require.Less(t, mails.Distinct(), len(interrupted.reachable()), "it was through before it was stopped")
		i.start("serve").api(a.key).requireWhole(c, &mails, 0)
	})
}

// TestWorkersTakeOverFromOneThatIsKilled has the API in a process that sends
// nothing.
func TestWorkersTakeOverFromOneThatIsKilled(t *testing.T) {
	t.Parallel()
	var mails sink.Counter
	i := install(t, storetest.PostgresURL(t), smtpTo(t, &mails, interruptedPerSecond))
	server := i.start("serve", "--workers=false")
	worker, other := i.start("worker"), i.start("worker")
	a := server.api(i.liveKey(i.account()))
	c := a.mailToAll(&mails)
	worker.kill()
	require.Less(t, mails.Distinct(), len(interrupted.reachable()), "it was through before one was killed")
	a.requireWhole(c, &mails, repeatsPerKill)
	other.stop()
	server.stop()
}

func TestKilledProcessSendsNobodyTwiceWhereThatIsChosen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var mails sink.Counter
		i, server, a := live(t, dsn, onceOnly(smtpTo(t, &mails, interruptedPerSecond)))
		c := a.mailToAll(&mails)
		server.kill()
		require.Less(t, mails.Distinct(), len(interrupted.reachable()), "it was through before it was killed")
		i.start("serve").api(a.key).requireNobodyTwice(c, &mails, unknownPerKill)
	})
}

func TestStoppedProcessLeavesNothingUnknown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var mails sink.Counter
		i, server, a := live(t, dsn, onceOnly(smtpTo(t, &mails, interruptedPerSecond)))
		c := a.mailToAll(&mails)
		server.stop()
		require.Less(t, mails.Distinct(), len(interrupted.reachable()), "it was through before it was stopped")
		i.start("serve").api(a.key).requireNobodyTwice(c, &mails, 0)
	})
}

func TestWorkersThatTakeOverSendNobodyTwiceWhereThatIsChosen(t *testing.T) {
	t.Parallel()
	var mails sink.Counter
	i := install(t, storetest.PostgresURL(t), onceOnly(smtpTo(t, &mails, interruptedPerSecond)))
	server := i.start("serve", "--workers=false")
	worker, other := i.start("worker"), i.start("worker")
	a := server.api(i.liveKey(i.account()))
	c := a.mailToAll(&mails)
	worker.kill()
	require.Less(t, mails.Distinct(), len(interrupted.reachable()), "it was through before one was killed")
	a.requireNobodyTwice(c, &mails, unknownPerKill)
	other.stop()
	server.stop()
}
