package contract

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"
)

// bound sends a body to an operation whose handler binds it to target.
func bound(t *testing.T, target any, p probe) error {
	t.Helper()
	var err error
	e, last := newServer(t, func(c echo.Context) error {
		err = c.Bind(target)
		return ok(c)
	})
	status, v := send(e, last, p.request())
	require.Equal(t, http.StatusOK, status, "%v", v)
	return err
}

func TestBinderDecodesTheCheckedBody(t *testing.T) {
	var target struct {
		Name     string            `json:"name"`
		StartsAt time.Time         `json:"starts_at"`
		Metadata map[string]string `json:"metadata"`
		Budget   struct {
			Amount int64 `json:"amount"`
		} `json:"budget"`
	}
	require.NoError(t, bound(t, &target, post(validCampaign)))
	require.Equal(t, "Winter sale", target.Name)
	require.Equal(t, int64(250000), target.Budget.Amount)
	require.Equal(t, "2026-12-01T08:00:00Z", target.StartsAt.Format(time.RFC3339))
	require.Equal(t, map[string]string{"owner": "growth", "team": "crm"}, target.Metadata)
}

func TestBinderDecodesIntegersExactlyHoweverTheyAreWritten(t *testing.T) {
	type values struct {
		Int    int64   `json:"int"`
		Int32  int32   `json:"int32"`
		Count  *int    `json:"count"`
		Nested [][]int `json:"nested"`
		Shape  any     `json:"shape"`
		Every  any     `json:"every"`
		Double float64 `json:"double"`
		Mixed  any     `json:"mixed"`
	}
	var v values
	require.NoError(t, bound(t, &v, probe{url: "/v1/values", body: ` {"int" : 9007199254740993.0,"int32":-2.5e1, "count":0.9e1,
		"nested":[[1.0,2],[],[30e-1]],"shape":70e-1,"every":{"a":1e0},"double":1.0,"mixed":20.0}`}))
	nine := 9
	require.Equal(t, values{
		Int: 9007199254740993, Int32: -25, Count: &nine, Nested: [][]int{{1, 2}, {}, {3}},
		Shape: 7.0, Every: map[string]any{"a": 1.0}, Double: 1, Mixed: 20.0,
	}, v)
}

func TestBinderTellsNullFromAbsent(t *testing.T) {
	var target struct {
		Name     *string                      `json:"name"`
		StartsAt nullable.Nullable[time.Time] `json:"starts_at,omitempty"`
	}
	require.NoError(t, bound(t, &target, patch(`{"starts_at":null}`, "Content-Type: application/merge-patch+json")))
	require.True(t, target.StartsAt.IsNull())
	require.Nil(t, target.Name)
	target.StartsAt = nil
	require.NoError(t, bound(t, &target, patch(`{"name":"x"}`)))
	require.False(t, target.StartsAt.IsSpecified())
}

func TestBinderComparesMemberNamesExactly(t *testing.T) {
	var target struct {
		Text string `json:"text"`
		Note string `json:"note"`
	}
	require.NoError(t, bound(t, &target, probe{url: "/v1/notes", body: `{"text":"a","Note":"b","TEXT":"c"}`}))
	require.Equal(t, "a", target.Text)
	require.Empty(t, target.Note)
}

func TestBinderToldOfNoBodySaysEOF(t *testing.T) {
	require.Equal(t, io.EOF, bound(t, new(struct{}), probe{url: "/v1/notes"}))
}

func TestBinderRefusesABodyThatNobodyChecked(t *testing.T) {
	e := echo.New()
	c := e.NewContext(httptestPost(`{"a":1}`), nil)
	require.ErrorContains(t, Binder{}.Bind(new(any), c), "no contract has checked")
}

func httptestPost(body string) *http.Request {
	r, _ := http.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	return r
}

func TestValueThatTheHandlerCannotHoldIsTheCallersFault(t *testing.T) {
	var target struct {
		Double float32 `json:"double"`
	}
	err := bound(t, &target, probe{url: "/v1/values", body: `{"double":1e300}`})
	var v *Violation
	require.ErrorAs(t, err, &v)
	require.Equal(t, http.StatusUnprocessableEntity, v.Status)
	require.Equal(t, []string{"body /double type"}, told(v))
}

func TestReadingTheBodyDoesNotTakeItFromTheBinder(t *testing.T) {
	e, last := newServer(t, func(c echo.Context) error {
		read, err := io.ReadAll(c.Request().Body)
		require.NoError(t, err)
		require.JSONEq(t, validCampaign, string(read))
		require.Equal(t, int64(len(read)), c.Request().ContentLength)
		require.NoError(t, c.Request().Body.Close())
		return c.Bind(new(map[string]any))
	})
	status, _ := send(e, last, post(validCampaign).request())
	require.Equal(t, http.StatusOK, status, "%v", *last)
}
