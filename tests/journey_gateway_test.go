package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

const (
	toGateway   = "whsec_dGhpcyBpcyB0aGUga2V5IHRvIHRoZSBnYXRld2F5" // what we sign with
	fromGateway = "whsec_dGhpcyBpcyB0aGUga2V5IG9mIHRoZSBnYXRld2F5" // what it signs with
	fromOther   = "whsec_dGhpcyBpcyBhbm90aGVyIGdhdGV3YXkncyBrZXk=" // what another one signs with
)

// gateway is the far end of an HTTP carrier: it takes messages, answers some of
// them at once with a receipt, and sends the others theirs when told to.
type gateway struct {
	t   *testing.T
	url string
	api string // where receipts go

	mu    sync.Mutex
	taken map[string]gatewayMessage // by recipient
}

type gatewayMessage struct {
	ID          string `json:"id"`
	Channel     string `json:"channel"`
	To          string `json:"to"`
	Text        string `json:"text"`
	ContactID   string `json:"contact_id"`
	CallbackURL string `json:"callback_url"`
}

type gatewayReceipt struct {
	MessageID string `json:"message_id"`
	Status    string `json:"status"`
	Code      string `json:"code,omitempty"`
	Message   string `json:"message,omitempty"`
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, taken: map[string]gatewayMessage{}}
	server := httptest.NewServer(http.HandlerFunc(g.take))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// config is the carrier that leads here.
func (g *gateway) config() map[string]any {
	return map[string]any{
		"name": "gateway", "type": "http", "channels": []string{"sms", "viber"}, "url": g.url,
		"signing_secret": toGateway, "receipt_secret": fromGateway,
	}
}

func (g *gateway) signer(secret string) *standardwebhooks.Webhook {
	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(g.t, err)
	return signer
}

// take is a message's arrival. Numbers that end in 9 are wrong; for one that
// ends in 8 the receipt is faster than the answer.
func (g *gateway) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || g.signer(toGateway).Verify(body, r.Header) != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var m gatewayMessage
	if err := json.Unmarshal(body, &m); err != nil || m.ID != r.Header.Get("Idempotency-Key") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	g.taken[m.To] = m
	g.mu.Unlock()
	switch m.To[len(m.To)-1] {
	case '9':
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"code":"no_such_number","message":"Nobody has this number."}`)
		return
	case '8':
		if status := g.report(fromGateway, gatewayReceipt{MessageID: m.ID, Status: "delivered"}); status != http.StatusNoContent {
			g.t.Errorf("an early receipt was answered with %d", status)
		}
	}
	_, _ = fmt.Fprintf(w, `{"id":"ref-%s"}`, m.To)
}

// of is the message that a number got.
func (g *gateway) of(number string) gatewayMessage {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	require.Contains(g.t, g.taken, number)
	return g.taken[number]
}

// report sends receipts, signed, and gives the status of the answer.
func (g *gateway) report(secret string, rs ...gatewayReceipt) int {
	return g.reportAs("gateway", secret, rs...)
}

// reportAs is another carrier that speaks of messages taken here.
func (g *gateway) reportAs(carrier, secret string, rs ...gatewayReceipt) int {
	body, err := json.Marshal(map[string]any{"receipts": rs})
	if err != nil {
		g.t.Error(err)
	}
	at := time.Now()
	signature, err := g.signer(secret).Sign("evt_1", at, body)
	if err != nil {
		g.t.Error(err)
	}
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.api+"/carriers/"+carrier+"/receipts", strings.NewReader(string(body)))
	if err != nil {
		g.t.Error(err)
	}
	r.Header.Set("Webhook-Id", "evt_1")
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("Webhook-Signature", signature)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Error(err)
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestReceiptsMoveMessagesForwardOnly(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		g := newGateway(t)
		other := map[string]any{"name": "other", "type": "http", "channels": []string{"rcs"}, "url": g.url, "receipt_secret": fromOther}
		_, server, a := live(t, dsn, g.config(), other)
		g.api = server.url
		numbers := []string{"+4915112000001", "+4915112000002", "+4915112000003", "+4915112000008", "+4915112000009"}
		var ids []string
		for _, n := range numbers {
			ids = append(ids, a.newContact(types.ContactCreate{Phone: &n, FirstName: p("Ana")}).ID)
		}
		list := a.newList("Five", ids...)
		c := a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelViber, ListID: &list.ID, Body: p("Hi {{first_name}}")})
		a.sendWhenReady(c.ID)
		a.await(c.ID, func(c types.Campaign) bool {
			return completed(c) && c.Progress.Delivered == 1 && c.Progress.Sent == 3 && c.Progress.Failed == 1
		})
		require.Equal(t, "viber", g.of(numbers[0]).Channel)
		require.Equal(t, "Hi Ana", g.of(numbers[0]).Text)
		require.Equal(t, ids[0], g.of(numbers[0]).ContactID)
		require.Equal(t, publicURL+"/carriers/gateway/receipts", g.of(numbers[0]).CallbackURL)

		delivered := gatewayReceipt{MessageID: g.of(numbers[0]).ID, Status: "delivered"}
		failed := gatewayReceipt{MessageID: g.of(numbers[1]).ID, Status: "failed", Code: "absent", Message: "The phone is off."}
		undone := gatewayReceipt{MessageID: delivered.MessageID, Status: "failed", Code: "late", Message: "It was not."}
		require.Equal(t, http.StatusNoContent, g.reportAs("other", fromOther, undone), "which has not taken it")
		for range 2 {
			require.Equal(t, http.StatusNoContent, g.report(fromGateway, delivered, failed, failed))
		}
		settled := func(c types.Campaign) bool { return c.Progress.Delivered == 2 && c.Progress.Failed == 2 }
		a.await(c.ID, settled)
		require.Equal(t, http.StatusNoContent, g.report(fromGateway, undone))
		g.requireRefusal(delivered)
		a.requireReceived(c.ID, numbers, g)
	})
}

// requireRefusal sends what nobody may: nothing of it is kept.
func (g *gateway) requireRefusal(known gatewayReceipt) {
	g.t.Helper()
	known.Status = "unknown"
	require.Equal(g.t, http.StatusUnauthorized, g.report(toGateway, known), "the wrong secret")
	require.Equal(g.t, http.StatusUnprocessableEntity, g.report(fromGateway, known, gatewayReceipt{MessageID: "msg_nonsense", Status: "delivered"}))
	require.Equal(g.t, http.StatusUnprocessableEntity, g.report(fromGateway, known, gatewayReceipt{MessageID: known.MessageID, Status: "lost"}))
	require.Equal(g.t, http.StatusUnprocessableEntity, g.report(fromGateway), "a delivery of nothing, such as one in another shape")
	answer, err := http.Post(g.api+"/carriers/nobody/receipts", "application/json", strings.NewReader("{}"))
	require.NoError(g.t, err)
	require.NoError(g.t, answer.Body.Close())
	require.Equal(g.t, http.StatusNotFound, answer.StatusCode)
}

// requireReceived reads the ledger at the end of it all. A receipt that changes
// something is folded after all that came before it, so one more is sent.
func (a *api) requireReceived(campaign string, numbers []string, g *gateway) {
	a.t.Helper()
	last := gatewayReceipt{MessageID: g.of(numbers[2]).ID, Status: "unknown", Code: "lost", Message: "We do not know."}
	require.Equal(a.t, http.StatusNoContent, g.report(fromGateway, last))
	c := a.await(campaign, func(c types.Campaign) bool { return c.Progress.Unknown == 1 })
	byID := map[string]types.Message{}
	for _, m := range a.requireLedger(c) {
		byID[m.ID] = m
	}
	for i, expected := range []string{
		`{"status": "delivered", "carrier": "gateway", "carrier_ref": "ref-+4915112000001", "attempts": 1}`,
		`{"status": "failed", "error": {"code": "absent", "message": "The phone is off."}}`,
		`{"status": "unknown", "error": {"code": "lost", "message": "We do not know."}}`,
		`{"status": "delivered", "carrier_ref": "ref-+4915112000008"}`,
		`{"status": "failed", "error": {"code": "no_such_number", "message": "Nobody has this number."}}`,
	} {
		requireHas(a.t, byID[g.of(numbers[i]).ID], expected)
	}
	require.Equal(a.t, types.Statistics{
		TotalCampaigns: 1, TotalMessagesSent: 4, TotalDelivered: 2, TotalFailed: 2, DeliveryRate: 0.5,
		Channels: types.StatisticsChannels{Viber: &types.ChannelStatistics{Sent: 4, Delivered: 2}},
	}, a.statistics())
}
