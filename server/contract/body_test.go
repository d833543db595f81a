package contract

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

// untouchable is a body that must not be read.
type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBodyAnnouncedTooLargeIsNotRead(t *testing.T) {
	e, last := newServer(t, ok)
	for _, p := range []probe{
		{url: campaigns + "?unknown=1"}, // and the size is told alone
		{url: "/v1/imports", headers: []string{"Content-Type: text/csv"}},
	} {
		p.headers = append([]string{"Content-Type: application/json"}, p.headers...)
		r := p.request()
		r.Header["Content-Type"] = r.Header["Content-Type"][len(r.Header["Content-Type"])-1:]
		r.Body = io.NopCloser(untouchable{t})
		r.ContentLength = 1<<20 + 1
		status, v := send(e, last, r)
		require.Equal(t, http.StatusRequestEntityTooLarge, status)
		require.Equal(t, "PAYLOAD_TOO_LARGE", v.Code)
		require.Equal(t, []string{"body maxBytes"}, told(v))
	}
}

func TestBodyOfUnknownLengthIsReadUpToTheLimit(t *testing.T) {
	e, last := newServer(t, ok)
	chunked := func(size int) (int, *Violation) {
		r := post(validCampaign).request()
		r.Body = io.NopCloser(strings.NewReader(validCampaign + strings.Repeat(" ", size-len(validCampaign))))
		r.ContentLength = -1
		return send(e, last, r)
	}
	status, _ := chunked(1 << 20)
	require.Equal(t, http.StatusOK, status)
	status, v := chunked(1<<20 + 1)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, "PAYLOAD_TOO_LARGE", v.Code)
}

func TestLimitsAreThoseOfTheDocument(t *testing.T) {
	e, last := newServer(t, ok)
	post := func(url string, size int) int {
		r := httptest.NewRequest(http.MethodPost, url, strings.NewReader("{}"+strings.Repeat(" ", size-2)))
		r.Header.Set("X-API-Key", goodKey)
		r.Header.Set("Content-Type", jsonType)
		status, _ := send(e, last, r)
		return status
	}
	require.Equal(t, http.StatusOK, post("/v1/imports", 100), "of the media type")
	require.Equal(t, http.StatusRequestEntityTooLarge, post("/v1/imports", 101))
	require.Equal(t, http.StatusUnprocessableEntity, post("/v1/segments", 2<<20), "of the operation")
	require.Equal(t, http.StatusRequestEntityTooLarge, post("/v1/segments", 2<<20+1))
	require.Equal(t, http.StatusUnprocessableEntity, post(campaigns, 1<<20), "of the options")
	require.Equal(t, http.StatusRequestEntityTooLarge, post(campaigns, 1<<20+1))
}

// streamServer answers the number of bytes that the handler could read.
func streamServer(t *testing.T) *httptest.Server {
	e, _ := newServer(t, func(c echo.Context) error {
		n, err := io.Copy(io.Discard, c.Request().Body)
		if err != nil {
			return fmt.Errorf("read %d bytes: %w", n, err)
		}
		return c.String(http.StatusOK, fmt.Sprint(c.Request().Header.Get("Content-Type"), " ", n))
	})
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s
}

func TestStreamIsHandedOnUnreadWithALimit(t *testing.T) {
	s := streamServer(t)
	for _, c := range []struct {
		name, contentType string
		size              int
		chunked           bool
		status            int
		answer            string
	}{
		{"csv", "text/csv", 1000, false, 200, "text/csv 1000"},
		{"csv with parameters", "TEXT/CSV; charset=UTF-8; header=present", 10, false, 200, "text/csv 10"},
		{"ndjson of unknown length", "application/x-ndjson", 1000, true, 200, "application/x-ndjson 1000"},
		{"bytes", "application/octet-stream", 1, false, 200, "application/octet-stream 1"},
		{"announced too large", "text/csv", 1001, false, 413, ""},
		{"too large of unknown length", "text/csv", 1001, true, 413, ""},
		{"far too large of unknown length", "text/csv", 100_000, true, 413, ""},
		{"another charset", "text/csv; charset=latin1", 10, false, 415, ""},
		{"another type", "text/tab-separated-values", 10, false, 415, ""},
		{"empty", "text/csv", 0, false, 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body io.Reader = bytes.NewReader(make([]byte, c.size))
			if c.chunked {
				body = io.MultiReader(body) // hides the length
			}
			r, err := http.NewRequest(http.MethodPost, s.URL+"/v1/imports", body)
			require.NoError(t, err)
			r.Header.Set("X-API-Key", goodKey)
			r.Header.Set("Content-Type", c.contentType)
			answer, err := s.Client().Do(r)
			require.NoError(t, err)
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, answer.StatusCode)
			require.Equal(t, c.answer, string(text))
		})
	}
}

func TestStreamWithOtherFaultsIsNotRead(t *testing.T) {
	e, last := newServer(t, ok)
	r := probe{url: "/v1/imports?nope=1", headers: []string{"Content-Type: text/csv"}}.request()
	r.Body, r.ContentLength = io.NopCloser(untouchable{t}), -1
	status, v := send(e, last, r)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, []string{"query nope unknown"}, told(v))
}

func TestMixedOperationChecksItsJSON(t *testing.T) {
	runProbes(t, []probeCase{
		accept("url", probe{url: "/v1/imports", body: `{"url":"https://example.com/a.csv"}`}),
		faulty("bad url", 422, probe{url: "/v1/imports", body: `{"url":"a.csv"}`}, "body /url format"),
	})
}

// raw speaks HTTP/1.1 by hand and answers the status line.
func raw(t *testing.T, s *httptest.Server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(strings.ReplaceAll(request, "\n", "\r\n")))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

func TestChunkedBodyWhereNoneIsDeclaredIsRefused(t *testing.T) {
	s := streamServer(t)
	head := "POST /v1/campaigns/cmp_1/send HTTP/1.1\nHost: x\nX-API-Key: " + goodKey + "\nTransfer-Encoding: chunked\n\n"
	require.Equal(t, "HTTP/1.1 200 OK", raw(t, s, head+"0\n\n"))
	require.Equal(t, "HTTP/1.1 400 Bad Request", raw(t, s, head+"2\n{}\n0\n\n"))
	require.Equal(t, "HTTP/1.1 400 Bad Request", raw(t, s, head+"2\n{"), "cut off within the first chunk")
}

func TestBodyShorterThanAnnouncedIsRefused(t *testing.T) {
	s := streamServer(t)
	head := "POST /v1/campaigns HTTP/1.1\nHost: x\nX-API-Key: " + goodKey + "\nContent-Type: application/json\nContent-Length: 1000\n\n"
	require.Equal(t, "HTTP/1.1 400 Bad Request", raw(t, s, head+validCampaign))
}
