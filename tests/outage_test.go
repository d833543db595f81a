package tests

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// behind is a way to the database past the server: for what only its operator
// could do, or its disk.
func behind(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver, at := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, at = "sqlite", path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, at)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// hideTables takes every table away, but for that of the keys, until the function
// that it returns is called.
func hideTables(t *testing.T, dsn string) (giveBack func()) {
	t.Helper()
	db := behind(t, dsn)
	query := "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	if strings.HasPrefix(dsn, "sqlite:") {
		query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	}
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		if name != "api_keys" {
			tables = append(tables, name)
		}
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, tables)
	rename := func(from, to string) {
		for _, table := range tables {
			_, err := db.ExecContext(t.Context(), fmt.Sprintf("ALTER TABLE %s RENAME TO %s", from+table, to+table))
			require.NoError(t, err)
		}
	}
	rename("", "hidden_")
	return func() { rename("hidden_", "") }
}

// logged is what a server says, a JSON object a line.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// of are the lines of one request with the level.
func (l *logged) of(t *testing.T, requestID string, level slog.Level) (lines []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		if fields["request_id"] == requestID && fields["level"] == level.String() {
			lines = append(lines, fields)
		}
	}
	return lines
}

// TestFailureOfOursTellsNothingOfTheInside calls every operation while the tables
// are away, and again with the same Idempotency-Key when they are back.
func TestFailureOfOursTellsNothingOfTheInside(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var log logged
		a := serveInProcess(t, dsn, slog.New(slog.NewJSONHandler(&log, nil))).tester()
		giveBack := hideTables(t, dsn)
		for id, op := range operations(t) {
			got := a.call(op, nil)
			require.Equal(t, types.Error{
				Code: types.ErrorCodeINTERNALERROR, Status: http.StatusInternalServerError,
				Message: "Something went wrong on our side. Try again; if it stays, tell us the request id.",
			}, refused(t, http.StatusInternalServerError, got), id)
			lines := log.of(t, got.header.Get("X-Request-Id"), slog.LevelError)
			require.Len(t, lines, 1, "%s: logged once", id)
			require.Regexp(t, "no such table|does not exist", lines[0]["error"], id)
		}
		makeList := func() answer {
			return a.do(http.MethodPost, "/v1/lists", `{"name":"Friends"}`, "Idempotency-Key: once")
		}
		refused(t, http.StatusInternalServerError, makeList())
		giveBack()
		made := makeList()
		want[types.ListEnvelope](t, http.StatusCreated, made)
		require.Empty(t, made.header.Get("Idempotent-Replayed"), "what failed is not kept")
	})
}

// unavailable wants the answer of a server whose database is away.
func unavailable(t *testing.T, got answer) {
	t.Helper()
	require.Equal(t, types.Error{
		Code: types.ErrorCodeUNAVAILABLE, Status: http.StatusServiceUnavailable, Message: "The service is not available at the moment.",
	}, refused(t, http.StatusServiceUnavailable, got))
	require.Equal(t, "1", got.header.Get("Retry-After"))
}

// TestFileThatAnotherHoldsIsUnavailable has another process write to the SQLite
// file for longer than anybody waits.
func TestFileThatAnotherHoldsIsUnavailable(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + storetest.SQLitePath(t)
	a := serveInProcess(t, dsn, slog.New(slog.DiscardHandler)).tester()
	a.statistics() // the use of the key is noted, which is due once a minute
	other, err := behind(t, dsn).Conn(t.Context())
	require.NoError(t, err)
	defer other.Close()
	_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	unavailable(t, a.do(http.MethodPost, "/v1/lists", `{"name":"Friends"}`))
	require.Empty(t, want[types.ListPage](t, http.StatusOK, read(a.ListLists(t.Context(), nil))).Data, "who only reads is not kept out")
	_, err = other.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	a.newList("Friends")
}

// stoppable is the API on a PostgreSQL that may be stopped.
func stoppable(t *testing.T) (*storetest.Cluster, *api) {
	t.Helper()
	c := storetest.NewCluster(t)
	return c, serveInProcess(t, c.URL(), slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))).tester()
}

// stoppableAtWork is the whole program on such a one, and has begun to work: it
// has sent a campaign.
func stoppableAtWork(t *testing.T) (*storetest.Cluster, *inProcess) {
	t.Helper()
	c := storetest.NewCluster(t)
	s := startInProcess(t, c.URL())
	a := s.tester()
	a.sendAll("First", a.audience())
	return c, s
}

// sendAll sends a campaign and waits until it is through.
func (a *api) sendAll(name string, list types.List) {
	a.t.Helper()
	id := a.newCampaign(types.CampaignCreate{Name: name, Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi")}).ID
	a.send(id)
	a.await(id, completed)
}

// TestServerGoesOnWhenItsDatabaseIsBack stops the database in both ways, and then
// sends a campaign with the same server and the same client.
func TestServerGoesOnWhenItsDatabaseIsBack(t *testing.T) {
	t.Parallel()
	database, s := stoppableAtWork(t)
	a := s.tester()
	list := a.audience()
	for how, mode := range map[string]storetest.Mode{"stopped": storetest.Fast, "crashed": storetest.Immediate} {
		require.NoError(t, database.Stop(mode))
		for _, op := range operations(t) {
			unavailable(t, a.call(op, nil))
		}
		require.NoError(t, database.Start())
		a.sendAll("After it was "+how, list)
	}
}

// TestKeyHasItsEffectOnceThroughCrashes crashes the database while many make
// lists, each with a key of its own and until it is told that the list is there.
func TestKeyHasItsEffectOnceThroughCrashes(t *testing.T) {
	t.Parallel()
	database, a := stoppable(t)
	const callers, each = 8, 12
	var crowd errgroup.Group
	crashed := make(chan struct{})
	for i := range callers {
		crowd.Go(func() error {
			for n := range each {
				if n == each/2 {
					<-crashed // the other half comes after the first crash, or into the second
				}
				name := fmt.Sprintf("List %d of %d", n, i)
				got := insist(func() answer {
					return a.do(http.MethodPost, "/v1/lists", `{"name":"`+name+`"}`, "Idempotency-Key: "+strings.ReplaceAll(name, " ", "-"))
				})
				if got.err != nil || got.status != http.StatusCreated {
					return fmt.Errorf("%s: %d: %s: %w", name, got.status, got.body, got.err)
				}
			}
			return nil
		})
	}
	for range 2 {
		require.NoError(t, database.Restart(storetest.Immediate))
	}
	close(crashed)
	require.NoError(t, database.Restart(storetest.Immediate))
	require.NoError(t, crowd.Wait())
	names := map[string]int{}
	for _, l := range all(t, func(cursor *types.Cursor) ([]types.List, types.Pagination) {
		page := want[types.ListPage](t, http.StatusOK, read(a.ListLists(t.Context(), &types.ListListsParams{Cursor: cursor, Limit: p(100)})))
		return page.Data, page.Meta.Pagination
	}) {
		names[l.Name]++
	}
	require.Len(t, names, callers*each)
	for name, n := range names {
		require.Equal(t, 1, n, name)
	}
}

// insist calls again and again as long as the answer says that this may help.
func insist(call func() answer) (got answer) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-again.C {
		got = call()
		if got.err != nil || !slices.Contains([]int{http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable}, got.status) {
			break
		}
	}
	return got
}

// TestWaitingCallIsToldOfTheCrash crashes the database in the middle of a call
// with a key, which waits for a table that somebody else holds.
func TestWaitingCallIsToldOfTheCrash(t *testing.T) {
	t.Parallel()
	database, a := stoppable(t)
	db := behind(t, database.URL())
	holder, err := db.Conn(t.Context())
	require.NoError(t, err)
	_, err = holder.ExecContext(t.Context(), "BEGIN; LOCK TABLE lists")
	require.NoError(t, err)
	got := make(chan answer)
	makeList := func() answer {
		return a.do(http.MethodPost, "/v1/lists", `{"name":"Friends"}`, "Idempotency-Key: once")
	}
	go func() { got <- makeList() }()
	eventually(t, func() bool {
		var waits bool
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").Scan(&waits))
		return waits
	}, "the call to wait")
	again := makeList()
	require.Equal(t, types.ErrorCodeIDEMPOTENCYINPROGRESS, refused(t, http.StatusConflict, again).Code)
	require.Equal(t, "1", again.header.Get("Retry-After"))

	require.NoError(t, database.Stop(storetest.Immediate))
	unavailable(t, <-got)
	_ = holder.Close() // its session is gone
	require.NoError(t, database.Start())
	made := insist(makeList) // 503 on a connection from before
	want[types.ListEnvelope](t, http.StatusCreated, made)
	require.Empty(t, made.header.Get("Idempotent-Replayed"))
	require.Equal(t, "true", makeList().header.Get("Idempotent-Replayed"))
	require.Len(t, want[types.ListPage](t, http.StatusOK, read(a.ListLists(t.Context(), nil))).Data, 1)
}

// TestUploadThroughAnOutageIsSentAgain stops the database when a part of a file
// has come in.
func TestUploadThroughAnOutageIsSentAgain(t *testing.T) {
	t.Parallel()
	database, s := stoppableAtWork(t)
	a := s.tester()
	const people = crowd(15_000) // a few parts
	file := people.csv()
	upload := func(body io.Reader) answer {
		return read(a.CreateImportWithBody(t.Context(), nil, "text/csv", body, func(_ context.Context, r *http.Request) error {
			r.Header.Set("Idempotency-Key", "once")
			return nil
		}))
	}
	body, feed := io.Pipe()
	got := make(chan answer)
	go func() { got <- upload(body) }()
	most := len(file) - 100_000 // the rest is read whatever becomes of it
	_, err := io.WriteString(feed, file[:most])
	require.NoError(t, err)
	eventually(t, func() bool {
		ims := want[types.ImportPage](t, http.StatusOK, read(a.ListImports(t.Context(), nil))).Data
		return len(ims) == 1 && ims[0].Status == types.ImportStatusReceiving && ims[0].Bytes > 0
	}, "a part of the file")
	require.Equal(t, types.ErrorCodeIDEMPOTENCYINPROGRESS, refused(t, http.StatusConflict, upload(strings.NewReader(file))).Code)

	require.NoError(t, database.Stop(storetest.Fast))
	go func() {
		_, err := io.WriteString(feed, file[most:])
		feed.CloseWithError(err)
	}()
	unavailable(t, <-got)
	_ = body.Close()
	require.NoError(t, database.Start())
	// 503 on a connection from before the stop, 409 until the first is forgotten.
	done := want[types.ImportEnvelope](t, http.StatusAccepted, insist(func() answer { return upload(strings.NewReader(file)) })).Data
	require.Equal(t, types.ImportRows{Processed: int64(people), Created: int64(people)}, a.awaitImport(done.ID).Rows)
	require.Len(t, want[types.ImportPage](t, http.StatusOK, read(a.ListImports(t.Context(), nil))).Data, 1)
}
