package delivery_test

import (
	"testing"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/delivery/carriertest"
)

func TestDiscardIsACarrier(t *testing.T) {
	carriertest.Suite(t, func(*testing.T) carriertest.Fixture {
		return carriertest.Fixture{Carrier: delivery.Discard{}, Message: testMail()}
	})
}
