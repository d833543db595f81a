package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

const million = 1_000_000

// plan is a node of what PostgreSQL says that it did.
type plan struct {
	Node     string  `json:"Node Type"`
	Table    string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Recheck  float64 `json:"Rows Removed by Index Recheck"`
	Hit      int     `json:"Shared Hit Blocks"`
	Read     int     `json:"Shared Read Blocks"`
	Children []plan  `json:"Plans"`
}

// read is how many rows of tables the plan read.
func (p *plan) read() (n float64) {
	if p.Table != "" && strings.Contains(p.Node, "Scan") {
		n = (p.Rows + p.Removed + p.Recheck) * p.Loops
	}
	for i := range p.Children {
		n += p.Children[i].read()
	}
	return n
}

// explained are the statements that a Store ran, each with its plan as executed:
// PostgreSQL explains them itself, so that no other can be looked at here.
type explained struct {
	mu  sync.Mutex
	ran []statement
}

type statement struct {
	Text string `json:"Query Text"`
	Plan plan   `json:"Plan"`
}

func (e *explained) notice(text string) error {
	_, doc, _ := strings.Cut(text, "plan:\n")
	var s statement
	if err := json.Unmarshal([]byte(doc), &s); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ran = append(e.ran, s)
	return nil
}

func (e *explained) take() []statement {
	e.mu.Lock()
	defer e.mu.Unlock()
	ran := e.ran
	e.ran = nil
	return ran
}

// big is a database with a million contacts and as many messages, and some of all
// else, half of it another account's, in one piece.
type big struct {
	*shop
	ended, sending store.Campaign // their messages, chunks and retries
	nobody         store.Campaign // a draft to a segment that matches nobody
	far            store.Campaign // sent to a segment of the other account
	some           [2]string
	key            string
}

func (b *big) fill() {
	const halves = "1 + (i > 10000)::int"
	mode := b.sc.Mode
	for _, q := range []string{
		// The indexes of the contacts are made at the end, which takes a third of the time.
		`CREATE TABLE later AS SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'contacts' AND indexname NOT LIKE '%pkey'`,
		`DO $$ DECLARE i text; BEGIN FOR i IN SELECT indexname FROM later LOOP EXECUTE 'DROP INDEX ' || i; END LOOP; END $$`,
		fmt.Sprintf(`INSERT INTO contacts (public_id, account_id, mode, external_id, phone, email, first_name, country, search, created_at, updated_at)
 SELECT 'con_' || i, 1 + (i > 600000)::int, %d, 'x-' || i, '+49151' || i, 'p' || i || '@example.com', 'P' || i, 'DE', 'p' || i || ' p' || i || '@example.com x-' || i, now(), now()
 FROM generate_series(1, %d) i`, mode, million),
		`DO $$ DECLARE d text; BEGIN FOR d IN SELECT indexdef FROM later LOOP EXECUTE d; END LOOP; END $$`,
		`INSERT INTO list_members SELECT 1, id FROM contacts WHERE account_id = 1 AND id % 2 = 0`,
		fmt.Sprintf(`INSERT INTO messages (campaign_id, contact_id, status, variant, attempts, carrier, recorded_at)
 SELECT %d, i, CASE WHEN i %% 20000 = 0 THEN 3 ELSE 1 END, 0, 1, 'hand', now() FROM generate_series(2, %d) i`, b.ended.ID, million),
		fmt.Sprintf(`INSERT INTO campaign_chunks (campaign_id, n, ids, status, done) SELECT %d, n, array[n::bigint], CASE WHEN n < 800 THEN 2 ELSE 0 END, (n < 800)::int FROM generate_series(100, 1000) n`, b.sending.ID),
		`INSERT INTO campaign_chunks (campaign_id, n, ids, status, done) SELECT 900000 + i / 1000, i % 1000, array[i::bigint], 2, 1 FROM generate_series(1, 30000) i`,
		fmt.Sprintf(`INSERT INTO retries (campaign_id, contact_id, variant, attempts, first_at, run_after) SELECT %d, i, 0, 1, now(), now() + i * interval '1 ms' FROM generate_series(-1000, 50000) i`, b.sending.ID),
		fmt.Sprintf(`INSERT INTO receipts (campaign_id, contact_id, round, status, received_at, not_before, carrier) SELECT %d, i * 7, 0, 2, now(), now() - i / 500 * interval '1 ms', 'hand' FROM generate_series(1, 100000) i`, b.ended.ID),
		fmt.Sprintf(`INSERT INTO campaigns (public_id, account_id, mode, version, name, search, channel, status, created_at, updated_at, completed_at, started_at, built, settled)
 SELECT 'cmp_' || i, `+halves+`, %d, 1, 'C' || i, 'c' || i, 'sms', 'completed', now(), now(), now(), now(), true, true FROM generate_series(1, 20000) i`, mode),
		fmt.Sprintf(`INSERT INTO lists (public_id, account_id, mode, name, search, created_at, updated_at) SELECT 'lst_' || i, `+halves+`, %d, 'L', 'l', now(), now() FROM generate_series(1, 20000) i`, mode),
		fmt.Sprintf(`INSERT INTO segments (public_id, account_id, mode, name, search, rule, created_at, updated_at) SELECT 'seg_' || i, `+halves+`, %d, 'S', 's', '{}', now(), now() FROM generate_series(1, 20000) i`, mode),
		fmt.Sprintf(`INSERT INTO templates (public_id, account_id, mode, name, search, channel, body, content_type, created_at, updated_at) SELECT 'tpl_' || i, `+halves+`, %d, 'T', 't', 'sms', 'Hi', 'text/plain', now(), now() FROM generate_series(1, 20000) i`, mode),
		fmt.Sprintf(`INSERT INTO imports (public_id, account_id, mode, status, format, created_at) SELECT 'imp_' || i, `+halves+`, %d, 'completed', 'csv', now() FROM generate_series(1, 20000) i`, mode),
		fmt.Sprintf(`INSERT INTO api_keys (public_id, account_id, mode, name, hash, hint, scopes, created_at) SELECT 'key_' || i, 2, %d, '', i, '', '[]', now() FROM generate_series(1, 20000) i`, mode),
		fmt.Sprintf(`INSERT INTO idempotency_keys (account_id, mode, request, fingerprint, answer, created_at) SELECT 2, %d, sha256(i::text::bytea), '', '', now() + i * interval '1 s' FROM generate_series(-20, 20000) i`, mode),
		`UPDATE idempotency_keys SET created_at = created_at - interval '30 days' WHERE created_at < now()`,
		`ANALYZE`,
	} {
		require.NoError(b.t, b.Exec(b.t.Context(), q))
	}
}

// newBig is a database with one contact, which only has to be filled.
func newBig(t *testing.T, s *store.Store) *big {
	t.Helper()
	ctx := t.Context()
	_, err := s.Migrate(ctx)
	require.NoError(t, err)
	b := &big{shop: newShop(t, s, 1)}
	b.ended, b.sending = b.sentAll(), b.do(b.draft(), (*store.Campaign).Send)
	b.key, _, err = s.CreateKey(ctx, store.KeyOptions{Account: b.sc.Account, Mode: b.sc.Mode})
	require.NoError(t, err)
	b.nobody = b.draft(b.to("PT"))
	other := newShop(t, s, 0)
	other.importCSV("external_id,phone,country\nx,+4915112345600,DE\n")
	b.far = other.do(other.draft(other.to("DE")), (*store.Campaign).Send)
	return b
}

// to makes a campaign one to a new segment: to the contacts of a country.
func (b *shop) to(country string) func(*store.Campaign) {
	b.t.Helper()
	g, err := b.CreateSegment(b.t.Context(), b.sc, store.Segment{Name: country, Rule: store.Rule{Field: ptr("country"), Operator: "equals", Value: country}})
	require.NoError(b.t, err)
	return func(c *store.Campaign) { c.ListID, c.SegmentID = nil, &g.PublicID }
}

// question is what somebody asks of the store.
type question struct {
	name string
	rows float64 // that one statement of the answer may read
	ask  func(ctx context.Context) error
}

// pages asks for the first two pages of a list.
func pages(name string, rows float64, read func(ctx context.Context, p store.Page) (next string, err error)) question {
	return question{name, rows, func(ctx context.Context) error {
		next, err := read(ctx, store.Page{Limit: 100})
		if err != nil || next == "" {
			return err
		}
		_, err = read(ctx, store.Page{Limit: 100, Cursor: next})
		return err
	}}
}

// messagesIn are a campaign's messages in a status.
func (b *big) messagesIn(name string, status store.MessageStatus) question {
	return pages(name, 202, func(ctx context.Context, p store.Page) (string, error) {
		_, _, next, err := b.Messages(ctx, b.sc, b.ended.PublicID, status, p)
		return next, err
	})
}

// lists are all that comes in pages.
func (b *big) lists() []question {
	return []question{
		pages("contacts", 101, func(ctx context.Context, p store.Page) (string, error) {
			_, next, err := b.Contacts(ctx, b.sc, store.ContactFilter{}, p)
			return next, err
		}),
		pages("members", 101, func(ctx context.Context, p store.Page) (string, error) {
			_, next, err := b.Contacts(ctx, b.sc, store.ContactFilter{List: b.list}, p)
			return next, err
		}),
		pages("lists", 101, func(ctx context.Context, p store.Page) (string, error) {
			_, next, err := b.Lists(ctx, b.sc, "", p)
			return next, err
		}),
		pages("segments", 101, func(ctx context.Context, p store.Page) (string, error) {
			_, next, err := b.Segments(ctx, b.sc, "", p)
			return next, err
		}),
		pages("templates", 101, func(ctx context.Context, p store.Page) (string, error) {
			_, next, err := b.Templates(ctx, b.sc, store.TemplateFilter{}, p)
			return next, err
		}),
		pages("imports", 101, func(ctx context.Context, p store.Page) (string, error) {
			_, next, err := b.Imports(ctx, b.sc, p)
			return next, err
		}),
		pages("campaigns, a draft to nobody among them", 10_001, func(ctx context.Context, p store.Page) (string, error) {
			_, next, err := b.Campaigns(ctx, b.sc, store.CampaignFilter{}, p)
			return next, err
		}),
		b.messagesIn("messages", 0),
		b.messagesIn("sent messages", store.MessageSent),
		b.messagesIn("failed messages, which are few", store.MessageFailed),
		b.messagesIn("unknown messages, of which there is none", store.MessageUnknown),
		// One row for each counter and chunk of the campaign.
		b.messagesIn("delivered messages, of which there is none", store.MessageDelivered),
	}
}

// calls are what else the API asks.
func (b *big) calls() []question {
	return []question{
		{"a key", 1, func(ctx context.Context) error { _, err := b.Authenticate(ctx, b.key); return err }},
		{"keys", 10, func(ctx context.Context) error { _, err := b.Keys(ctx, b.sc.Account); return err }},
		{"a contact", 1, func(ctx context.Context) error { _, err := b.Contact(ctx, b.sc, b.some[0]); return err }},
		{"a contact's change", 3, func(ctx context.Context) error {
			_, err := b.UpdateContact(ctx, b.sc, b.some[0], func(c *store.Contact) error {
				c.ExternalID, c.Phone, c.Email = ptr("new"), ptr("+4915112345678"), ptr("new@example.com")
				return nil
			})
			return err
		}},
		{"a contact's end", 3, func(ctx context.Context) error { return b.DeleteContact(ctx, b.sc, b.some[1]) }},
		{"a campaign to nobody", 10_001, func(ctx context.Context) error { _, err := b.Campaign(ctx, b.sc, b.nobody.PublicID); return err }},
		{"a campaign to a list", 2, func(ctx context.Context) error { _, err := b.Campaign(ctx, b.sc, b.draft().PublicID); return err }},
		// One row for each chunk of the campaign, of which there are 901.
		{"progress", 910, func(ctx context.Context) error { _, err := b.Progress(ctx, &b.sending); return err }},
		// One for each campaign, of which half are another account's, their counters and
		// open chunks.
		{"statistics", 22_000, func(ctx context.Context) error {
			_, err := b.Statistics(ctx, b.sc, store.StatisticsFilter{})
			return err
		}},
		{"a repeatable call", 2, func(ctx context.Context) error {
			_, _, err := b.Once(ctx, b.sc, request("a", "x"), func(*store.Store) ([]byte, store.Ending) { return nil, store.Done })
			return err
		}},
	}
}

// work is what the engine asks.
func (b *big) work() []question {
	var k *store.Chunk
	var rs []store.Retry
	return []question{
		{"active campaigns", 10, func(ctx context.Context) error { _, err := b.ActiveCampaigns(ctx); return err }},
		{"campaigns that are due", 5, func(ctx context.Context) error { _, err := b.RunSchedule(ctx); return err }},
		{"first page of an audience", 2010, func(ctx context.Context) error { _, err := b.FreezePage(ctx, b.sending.ID); return err }},
		{"page of an audience", 20_010, func(ctx context.Context) error { _, err := b.FreezePage(ctx, b.sending.ID); return err }},
		{"first page of a segment", 1010, func(ctx context.Context) error { _, err := b.FreezePage(ctx, b.far.ID); return err }},
		{"a chunk to work", 10, func(ctx context.Context) (err error) {
			k, err = b.ClaimChunk(ctx, b.sending.ID, "wrk_1", longLease, testWindow)
			return err
		}},
		{"recipients", 1010, func(ctx context.Context) error { _, err := b.Recipients(ctx, scattered(1000), true, nil); return err }},
		{"who is recorded", 2010, func(ctx context.Context) error { _, err := b.Unrecorded(ctx, b.ended.ID, scattered(1000)); return err }},
		{"a record", 5, func(ctx context.Context) error {
			_, err := b.RecordChunk(ctx, k, store.Record{Carrier: "hand", Outcomes: outcomes(store.MessageSent, k.IDs...), Done: len(k.IDs)})
			return err
		}},
		{"retries to make", 500, func(ctx context.Context) (err error) {
			rs, err = b.ClaimRetries(ctx, b.sending.ID, "wrk_1", 200, longLease, true)
			return err
		}},
		{"retries made", 500, func(ctx context.Context) error {
			os := make([]*store.Outcome, len(rs))
			for i := range os {
				os[i] = &store.Outcome{Contact: rs[i].Contact, Status: store.MessageSent}
			}
			return b.RecordRetries(ctx, b.sending.ID, "hand", rs, os)
		}},
		{"receipts", 3000, func(ctx context.Context) error { _, _, err := b.FoldReceipts(ctx); return err }},
		{"the end of a campaign", 5, func(ctx context.Context) error { _, err := b.Settle(ctx, b.sending.ID); return err }},
		{"an import to work", 5, func(ctx context.Context) error { _, err := b.ClaimImport(ctx, store.Scope{}, time.Minute); return err }},
		{"old answers", 50, b.ForgetAnswers},
	}
}

// scattered are n keys of contacts, far from each other.
func scattered(n int64) (ids []int64) {
	for i := range n {
		ids = append(ids, (i+1)*900)
	}
	return ids
}

// idle are indexes that no question here leads to, and why they are kept.
var idle = map[string]string{
	"idempotency_keys_import": "for the foreign key, when an import goes that never came in whole",
}

// TestNoQueryReadsMoreThanItNeeds asks a big database all that the API and the
// engine ask, and looks at what PostgreSQL did for it. Each index is there for one
// of the questions.
func TestNoQueryReadsMoreThanItNeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("a million contacts take their time")
	}
	var e explained
	s, err := store.OpenExplained(t.Context(), storetest.NewCluster(t).URL(), e.notice)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	b := newBig(t, s)
	began := time.Now()
	b.fill()
	t.Logf("filled in %v", time.Since(began))
	b.some = [2]string{"con_77", "con_78"}
	for _, q := range slices.Concat(b.lists(), b.calls(), b.work()) {
		t.Run(q.name, func(t *testing.T) {
			e.take()
			require.NoError(t, q.ask(t.Context()))
			ran := e.take()
			require.NotEmpty(t, ran)
			for _, x := range ran {
				t.Logf("%.0f rows, %d blocks: %.100q", x.Plan.read(), x.Plan.Hit+x.Plan.Read, x.Text)
				require.LessOrEqual(t, x.Plan.read(), q.rows, "%s\n%+v", x.Text, x.Plan)
			}
		})
	}
	b.Reconnect() // a connection tells the counts when it ends
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		unused, err := b.Names(t.Context(), `SELECT indexrelname FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid) WHERE NOT indisunique AND idx_scan = 0`)
		require.NoError(c, err)
		require.ElementsMatch(c, slices.Collect(maps.Keys(idle)), unused, "indexes that nothing uses")
	}, 30*time.Second, 100*time.Millisecond)
}

// TestNoQueryOfSQLiteScans asks the same of SQLite, which plans without looking at
// what is in the tables.
func TestNoQueryOfSQLiteScans(t *testing.T) {
	heard := map[string]bool{}
	var mu sync.Mutex
	path := storetest.SQLitePath(t)
	s, err := store.OpenHeard(path, func(query string) {
		mu.Lock()
		defer mu.Unlock()
		heard[query] = true
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	b := newBig(t, s)
	b.contacts("more", 2)
	b.some = [2]string{b.contact("more0").PublicID, b.contact("more1").PublicID}
	require.NoError(t, s.AddReceipts(t.Context(), "hand", []store.Receipt{{CampaignID: b.ended.ID, ContactID: 1, Status: store.MessageDelivered}}))
	clear(heard)
	for _, q := range slices.Concat(b.lists(), b.work(), b.calls()) {
		require.NoError(t, q.ask(t.Context()), q.name)
	}
	partial, err := s.Names(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% where %'")
	require.NoError(t, err)
	used := map[string]bool{}
	for _, query := range slices.Sorted(maps.Keys(heard)) {
		steps, err := s.QueryPlan(t.Context(), query)
		require.NoError(t, err, query)
		for _, step := range steps {
			index := ""
			if _, after, ok := strings.Cut(step, " INDEX "); ok {
				index = strings.Fields(after)[0]
				used[index] = true
			}
			scanned, scan := strings.CutPrefix(step, "SCAN ")
			table, _, _ := strings.Cut(scanned, " ")
			if scan && slices.Contains(tables, table) && !slices.Contains(steps, "CO-ROUTINE "+table) { // of a subquery
				// All of the few that are in such an index may be read.
				require.Contains(t, partial, index, "%s: %s", step, query)
			}
		}
	}
	indexes, err := s.Names(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE 'create index%'")
	require.NoError(t, err)
	unused := slices.DeleteFunc(indexes, func(name string) bool { return used[name] })
	require.ElementsMatch(t, slices.Collect(maps.Keys(idle)), unused, "indexes that nothing uses")
}

// tables are those that grow with what is sent.
var tables = []string{"contacts", "messages", "list_members", "receipts", "retries", "campaign_chunks", "campaigns", "imports", "i"}

// TestEmptySegmentIsToldAsFarAsItIsLookedFor does not read a million contacts for
// each look at a draft.
func TestEmptySegmentIsToldAsFarAsItIsLookedFor(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 10_000)
		c := b.draft(b.to("PT"))
		require.Equal(t, "AUDIENCE_EMPTY", c.Blockers[0].Code)
		b.contacts("more", 1)
		require.Empty(t, b.read(c).Blockers)
		c = b.do(c, (*store.Campaign).Send)
		b.freeze(c)
		require.True(t, b.settle(c))
		require.Zero(t, b.progress(c).Total)
	})
}
