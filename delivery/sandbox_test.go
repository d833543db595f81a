package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/delivery/carriertest"
)

// inbox takes receipts, or refuses them while err is set.
type inbox struct {
	mu      sync.Mutex
	err     error
	got     []delivery.Receipt
	largest int
}

func (i *inbox) receive(_ context.Context, batch []delivery.Receipt) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.largest = max(i.largest, len(batch))
	if i.err != nil {
		return i.err
	}
	i.got = append(i.got, batch...)
	return nil
}

func (i *inbox) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
}

func (i *inbox) receipts() []delivery.Receipt {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]delivery.Receipt(nil), i.got...)
}

// runSandbox runs a sandbox; stop ends it and waits.
func runSandbox(t testing.TB, in *inbox) (s *delivery.Sandbox, stop func() error) {
	t.Helper()
	s = delivery.NewSandbox(in.receive)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() error {
		cancel()
		return <-done
	}
}

func TestSandboxIsACarrier(t *testing.T) {
	carriertest.Suite(t, func(t *testing.T) carriertest.Fixture {
		sandbox, stop := runSandbox(t, &inbox{})
		t.Cleanup(func() { require.NoError(t, stop()) })
		return carriertest.Fixture{Carrier: sandbox, Message: testMail()}
	})
}

func TestSandboxLastDigitDecides(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		to           string
		status, code string // status "": no receipt
		early, late  time.Duration
	}{
		{"+12025550100", "delivered", "", 0, 0},
		{"+12025550101", "", "", 0, 0},
		{"+12025550102", "delivered", "", 0, 100 * ms},
		{"+12025550103", "failed", "undelivered", 800 * ms, 1500 * ms},
		{"+12025550104", "failed", "carrier_error", 50 * ms, 150 * ms},
		{"+12025550105", "failed", "expired", 3000 * ms, 3000 * ms},
		{"+12025550106", "unknown", "unknown", 5000 * ms, 5000 * ms},
		{"+12025550107", "delivered", "", 0, 0},
		{"+12025550108", "delivered", "", 0, 0},
		{"+12025550109", "delivered", "", 0, 0},
		{"ada@example.com", "delivered", "", 0, 0},
		{"user35@example.com", "failed", "expired", 3000 * ms, 3000 * ms},
		{"user5@example1.com", "", "", 0, 0},
	} {
		t.Run(test.to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := &inbox{}
				sandbox, stop := runSandbox(t, in)
				start := time.Now()
				for i := range 50 {
					ref, err := sandbox.Send(t.Context(), &delivery.Outgoing{ID: fmt.Sprintf("msg_%d", i), To: test.to})
					require.NoError(t, err)
					require.NotEmpty(t, ref)
				}
				require.NoError(t, stop())
				if test.status == "" {
					require.Empty(t, in.receipts())
					return
				}
				require.Len(t, in.receipts(), 50)
				for i, r := range in.receipts() {
					require.Equal(t, fmt.Sprintf("msg_%d", i), r.MessageID)
					require.Equal(t, test.status, r.Status)
					require.Equal(t, test.code, r.Code)
					if test.late == 0 {
						require.Zero(t, r.NotBefore)
						continue
					}
					require.GreaterOrEqual(t, r.NotBefore.Sub(start), test.early)
					require.LessOrEqual(t, r.NotBefore.Sub(start), test.late)
				}
			})
		})
	}
}

func TestSandboxRepeatsItsReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		sandbox, stop := runSandbox(t, in)
		var refs []string
		for range 2 {
			ref, err := sandbox.Send(t.Context(), &delivery.Outgoing{ID: "msg_1", To: "+12025550103"})
			require.NoError(t, err)
			refs = append(refs, ref)
		}
		require.NoError(t, stop())
		require.Equal(t, refs[0], refs[1])
		require.Equal(t, in.receipts()[0], in.receipts()[1])
	})
}

func TestSandboxHandsReceiptsOverInBatchesAndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		sandbox, stop := runSandbox(t, in)
		for i := range 1100 {
			_, err := sandbox.Send(t.Context(), &delivery.Outgoing{ID: fmt.Sprintf("msg_%d", i), To: "ada@example.com"})
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Len(t, in.receipts(), 1000, "full batches go at once")
		<-time.After(50 * time.Millisecond) // the bubble's clock, not ours
		synctest.Wait()
		require.Len(t, in.receipts(), 1100)
		require.Equal(t, 500, in.largest)
		require.NoError(t, stop())
	})
}

func TestSandboxKeepsReceiptsThatWereRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		sandbox, stop := runSandbox(t, in)
		in.fail(errors.New("database is away"))
		for i := range 2000 {
			_, err := sandbox.Send(t.Context(), &delivery.Outgoing{ID: fmt.Sprintf("msg_%d", i), To: "ada@example.com"})
			require.NoError(t, err)
		}
		<-time.After(time.Second)
		require.Empty(t, in.receipts())
		in.fail(nil)
		require.NoError(t, stop())
		require.Len(t, in.receipts(), 2000)
		require.LessOrEqual(t, in.largest, 500)
	})
}

func TestSandboxSlowsSendersDownRatherThanPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		sandbox, stop := runSandbox(t, in)
		in.fail(errors.New("database is away"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		taken := 0
		for {
			if _, err := sandbox.Send(ctx, &delivery.Outgoing{ID: "msg_1", To: "ada@example.com"}); err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				break
			}
			taken++
		}
		require.Less(t, taken, 10_000)
		require.ErrorContains(t, stop(), fmt.Sprintf("%d are lost", taken))
	})
}
