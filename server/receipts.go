package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/campaigns-api/campaigns/store"
)

// maxReceiptBody bounds one delivery of receipts, in bytes.
const maxReceiptBody = 1 << 20

// carrierReceipt is what a carrier says later of a message it took. The message
// is named by the id it was handed over with.
type carrierReceipt struct {
	MessageID string `json:"message_id"`
	Status    string `json:"status"` // delivered, failed, unknown
	Code      string `json:"code"`
	Message   string `json:"message"`
}

var receiptStatus = map[string]store.MessageStatus{
	"delivered": store.MessageDelivered, "failed": store.MessageFailed, "unknown": store.MessageUnknown,
}

// receipts takes {"receipts": [{message_id, status, code, message}]} from a
// carrier, signed as Standard Webhooks says (standardwebhooks.com). It keeps all
// of a delivery or, if any of it is wrong, nothing; the same delivery twice
// changes nothing.
func (s *Server) receipts(c echo.Context) error {
	carrier := c.Param("name")
	secret := s.ReceiptSecrets[carrier]
	if secret == "" {
		return echo.ErrNotFound
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxReceiptBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &store.Error{Code: store.CodePayloadTooLarge, Message: "A delivery of receipts has at most 1 MiB."}
	}
	if err != nil {
		return fmt.Errorf("read receipts: %w", err)
	}
	signed, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("use the secret of carrier %s: %w", carrier, err)
	}
	if signed.Verify(body, c.Request().Header) != nil {
		return &store.Error{Code: store.CodeInvalidKey, Message: "The signature is missing, wrong or too old."}
	}
	rs, err := parseReceipts(body)
	if err != nil {
		return err
	}
	if err := s.Store.AddReceipts(c.Request().Context(), carrier, rs); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func parseReceipts(body []byte) ([]store.Receipt, error) {
	var delivery struct {
		Receipts []carrierReceipt `json:"receipts"`
	}
	if err := json.Unmarshal(body, &delivery); err != nil {
		return nil, &store.Error{Code: store.CodeValidation, Message: "The body is not a delivery of receipts in JSON."}
	}
	var faults []store.Fault
	if len(delivery.Receipts) == 0 {
		faults = append(faults, store.Fault{Code: store.CodeMissingField, Field: "/receipts", Message: "is required, and at least one of them"})
	}
	rs := make([]store.Receipt, len(delivery.Receipts))
	for i, r := range delivery.Receipts {
		campaign, contact, round, ok := store.ParseMessageID(r.MessageID)
		if !ok {
			faults = append(faults, store.Fault{Code: store.CodeValidation, Field: fmt.Sprintf("/receipts/%d/message_id", i), Message: "is not an id of ours"})
		}
		status, known := receiptStatus[r.Status]
		if !known {
			faults = append(faults, store.Fault{Code: store.CodeValidation, Field: fmt.Sprintf("/receipts/%d/status", i), Message: "must be one of: delivered, failed, unknown"})
		}
		code, text := clip(r.Code, 64), clip(r.Message, 256)
		rs[i] = store.Receipt{CampaignID: campaign, ContactID: contact, Round: round, Status: status, Code: &code, Text: &text}
	}
	if len(faults) > 0 {
		return nil, &store.Error{Code: store.CodeValidation, Message: "The delivery has faults; nothing of it was kept.", Faults: faults}
	}
	return rs, nil
}

// clip cuts a carrier's words to what the ledger keeps: printable, whole
// characters, no longer than n bytes.
func clip(text string, n int) string {
	out := make([]rune, 0, min(len(text), n))
	size := 0
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			continue
		}
		if size += len(string(r)); size > n {
			break
		}
		out = append(out, r)
	}
	return string(out)
}
