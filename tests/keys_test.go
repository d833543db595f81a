package tests

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// call makes a well-formed request of an operation: with these ids in its path,
// by the parameter's name, and the document's own for all others.
func (a *api) call(op operation, ids map[string]string, headers ...string) answer {
	a.t.Helper()
	path := op.path
	for _, parameter := range op.Parameters {
		if parameter.Value.In == "path" {
			id := ids[parameter.Value.Name]
			if id == "" {
				id = parameter.Value.Schema.Value.Examples[0].(string)
			}
			path = strings.ReplaceAll(path, "{"+parameter.Value.Name+"}", id)
		}
	}
	if op.RequestBody == nil {
		return a.do(op.method, path, "", headers...)
	}
	mediaType := slices.Sorted(maps.Keys(op.RequestBody.Value.Content))[0]
	examples := op.RequestBody.Value.Content[mediaType].Examples
	example := examples[slices.Sorted(maps.Keys(examples))[0]].Value.Value
	body, isText := example.(string)
	if !isText {
		written, err := json.Marshal(example)
		require.NoError(a.t, err)
		body = string(written)
	}
	return a.do(op.method, path, body, append(headers, "Content-Type: "+mediaType)...)
}

// everything is all that a key can list, and the statistics: what must stay as
// it is when a request is refused.
func (a *api) everything() map[string]any {
	a.t.Helper()
	found := map[string]any{}
	for id, op := range operations(a.t) {
		if op.method == http.MethodGet && !strings.Contains(op.path, "{") {
			found[id] = want[map[string]any](a.t, http.StatusOK, a.do(op.method, op.path, ""))["data"]
		}
	}
	return found
}

func TestEveryOperationNeedsAKeyThatWorks(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		revoked, expired := s.api(store.KeyOptions{Account: account}), s.api(store.KeyOptions{Account: account, ExpiresAt: p(time.Now().Add(-time.Second))})
		ks, err := s.store.Keys(t.Context(), account)
		require.NoError(t, err)
		_, err = s.store.RevokeKey(t.Context(), ks[0].PublicID)
		require.NoError(t, err)
		for id, op := range operations(t) {
			for a, code := range map[*api]types.ErrorCode{
				newAPI(t, s.url, ""):                          types.ErrorCodeUNAUTHORIZED,
				newAPI(t, s.url, "dv_live_sk_your_key_here"):  types.ErrorCodeINVALIDAPIKEY,
				newAPI(t, s.url, strings.Repeat("x", 10_000)): types.ErrorCodeINVALIDAPIKEY,
				newAPI(t, s.url, demoKey):                     types.ErrorCodeINVALIDAPIKEY,
				revoked:                                       types.ErrorCodeINVALIDAPIKEY,
				expired:                                       types.ErrorCodeINVALIDAPIKEY,
			} {
				require.Equal(t, code, refused(t, http.StatusUnauthorized, a.call(op, nil)).Code, id)
			}
		}
	})
}

// TestKeyMadeOnTheCommandLineOpensTheAPIUntilItIsRevoked does so beside a server
// that runs.
func TestKeyMadeOnTheCommandLineOpensTheAPIUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		i := install(t, dsn)
		server := i.start("serve", "--workers=false")
		var key struct{ ID, Key string }
		i.run(&key, "keys", "create", "--account", i.account(), "--mode", "live", "--scopes", "campaigns:read,campaigns:write", "--expires", "1h")
		a := server.api(key.Key)
		want[types.CampaignPage](t, http.StatusOK, read(a.ListCampaigns(t.Context(), nil)))
		refused(t, http.StatusForbidden, read(a.ListContacts(t.Context(), nil)))

		var revoked struct{ Status string }
		i.run(&revoked, "keys", "revoke", key.ID)
		require.Equal(t, "revoked", revoked.Status)
		eventually(t, func() bool { // within the seconds for which a server remembers a key
			got := read(a.ListCampaigns(t.Context(), nil))
			require.NoError(t, got.err)
			return got.status == http.StatusUnauthorized
		}, "the key to be of no use")
		server.stop()
	})
}

// TestLastUseOfAKeyIsListed lists two read-only keys beside a server that runs,
// and after its end, with which it keeps what it had not kept yet.
func TestLastUseOfAKeyIsListed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		i := install(t, dsn)
		server, account := i.start("serve", "--workers=false"), i.account()
		list := []string{"keys", "list", "--account", account}
		var keys [2]struct {
			Key        string
			Scopes     []string
			LastUsedAt *time.Time `json:"last_used_at"`
		}
		for n := range keys {
			i.run(&keys[n], "keys", "create", "--account", account, "--mode", "live", "--read-only")
			require.Equal(t, store.ReadScopes, keys[n].Scopes)
		}
		first, second, began := server.api(keys[0].Key), server.api(keys[1].Key), time.Now().Truncate(time.Microsecond)
		first.statistics()
		eventually(t, func() bool {
			i.run(&keys, list...)
			return keys[0].LastUsedAt != nil
		}, "the use of a key to be listed")
		require.WithinRange(t, *keys[0].LastUsedAt, began, time.Now())
		require.Nil(t, keys[1].LastUsedAt)

		second.statistics()
		server.stop()
		i.run(&keys, list...)
		require.NotNil(t, keys[1].LastUsedAt)
		table, err := i.command(list...).Output()
		require.NoError(t, err)
		require.Regexp(t, `(?m)USED +SCOPES$`, string(table))
		require.Contains(t, string(table), keys[1].LastUsedAt.Format(time.RFC3339)+"  campaigns:read,")
	})
}

func TestEveryOperationNeedsItsScopes(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		without := map[string]*api{}
		for _, scope := range store.AllScopes {
			others := slices.DeleteFunc(slices.Clone(store.AllScopes), func(o string) bool { return o == scope })
			without[scope] = s.api(store.KeyOptions{Account: account, Scopes: others})
		}
		public := s.api(store.KeyOptions{Account: account, Mode: store.Live, Public: true})
		for id, op := range operations(t) {
			scopes := (*op.Security)[0]["apiKey"]
			for _, scope := range scopes {
				e := refused(t, http.StatusForbidden, without[scope].call(op, nil))
				require.Equal(t, types.ErrorCodeINSUFFICIENTPERMISSIONS, e.Code, "%s without %s", id, scope)
			}
			if !slices.Equal(scopes, []string{"campaigns:read"}) {
				require.Equal(t, types.ErrorCodeINSUFFICIENTPERMISSIONS, refused(t, http.StatusForbidden, public.call(op, nil)).Code, id)
			}
		}
		public.statistics()
	})
}

// TestOthersDataIsNotThere looks for what one key has made with a key of another
// account and with one of the same account's other mode.
func TestOthersDataIsNotThere(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		mine := s.api(store.KeyOptions{Account: account, Mode: store.Live})
		own := mine.oneOfEach()
		before := mine.everything()
		for who, other := range map[string]*api{
			"another account":   s.api(store.KeyOptions{Account: s.account("Rival"), Mode: store.Live}),
			"the account's own": s.api(store.KeyOptions{Account: account, Mode: store.Test}),
		} {
			theirs := other.everything()
			for id, op := range operations(t) {
				if !strings.Contains(op.path, "{") {
					continue
				}
				e := refused(t, http.StatusNotFound, other.call(op, own.of(op)))
				require.Equal(t, types.ErrorCodeNOTFOUND, e.Code, "%s with %s", id, who)
			}
			require.Equal(t, theirs, other.everything())
			other.requireNoReferenceTo(own)
		}
		require.Equal(t, before, mine.everything())
	})
}

// things are ids by the schema of an id's parameter, and a contact's also as
// "contact".
type things map[string]string

// of are the ids for an operation's path.
func (own things) of(op operation) map[string]string {
	id := op.parameter("id")
	if id == nil {
		return nil
	}
	return map[string]string{"id": own[id.Schema.Ref], "contact_id": own["contact"]}
}

// oneOfEach makes one of everything.
func (a *api) oneOfEach() things {
	a.t.Helper()
	const schemas = "#/components/schemas/"
	contact := a.newContact(types.ContactCreate{Phone: p("+4915112000001")}).ID
	list := a.newList("Mine", contact).ID
	rule := types.Rule{Field: p(types.RuleFieldPhone), Operator: p(types.RuleOperatorExists)}
	return things{
		"contact":              contact,
		schemas + "ContactID":  contact,
		schemas + "ListID":     list,
		schemas + "SegmentID":  a.newSegment("Mine", rule).ID,
		schemas + "TemplateID": a.newTemplate("Mine", types.ChannelSMS).ID,
		schemas + "CampaignID": a.newCampaign(types.CampaignCreate{Name: "Mine", Channel: types.ChannelSMS, ListID: &list, Body: p("Hi")}).ID,
		schemas + "ImportID":   a.awaitImport(a.importFile("text/csv", "phone\n+4915112000001\n", &list).ID).ID,
	}
}

// requireNoReferenceTo tries to use what is another's.
func (a *api) requireNoReferenceTo(own things) {
	a.t.Helper()
	list := own["#/components/schemas/ListID"]
	e := refused(a.t, http.StatusNotFound, read(a.CreateImportWithBody(a.t.Context(), &types.CreateImportParams{ListID: &list}, "text/csv", strings.NewReader("phone\n+4915112000009\n"))))
	require.Equal(a.t, types.ErrorCodeNOTFOUND, e.Code)
	mine := a.newList("Theirs")
	refused(a.t, http.StatusUnprocessableEntity, read(a.AddListContacts(a.t.Context(), mine.ID, types.ListMembers{ContactIds: []string{own["contact"]}})))
	refused(a.t, http.StatusNotFound, read(a.RemoveListContact(a.t.Context(), mine.ID, own["contact"])))
	c := a.newCampaign(types.CampaignCreate{
		Name: "Theirs", Channel: types.ChannelSMS, ListID: &list, TemplateID: p(own["#/components/schemas/TemplateID"]),
	})
	require.Subset(a.t, blockers(c), []types.BlockerCode{"LIST_NOT_FOUND", "TEMPLATE_NOT_FOUND"})
}

func TestReadOnlyKeyReadsEverythingAndChangesNothing(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		owner := s.api(store.KeyOptions{Account: account, Mode: store.Live})
		reader := s.api(store.KeyOptions{Account: account, Mode: store.Live, Scopes: store.ReadScopes})
		own := owner.oneOfEach()
		before := owner.everything()
		for id, op := range operations(t) {
			got := reader.call(op, own.of(op))
			if op.method == http.MethodGet {
				require.Equal(t, http.StatusOK, got.status, "%s: %s", id, got.body)
				continue
			}
			require.Equal(t, types.ErrorCodeINSUFFICIENTPERMISSIONS, refused(t, http.StatusForbidden, got).Code, id)
		}
		require.Equal(t, before, owner.everything())
	})
}

// TestRevocationIsSeenByEveryServer revokes a key that two servers have just seen.
func TestRevocationIsSeenByEveryServer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		one, two := startInProcess(t, dsn), startInProcess(t, dsn)
		account := one.account("Acme")
		a := one.api(store.KeyOptions{Account: account, Mode: store.Test})
		b := newAPI(t, two.url, a.key)
		a.statistics()
		b.statistics()
		ks, err := one.store.Keys(t.Context(), account)
		require.NoError(t, err)
		_, err = one.store.RevokeKey(t.Context(), ks[0].PublicID)
		require.NoError(t, err)
		for _, server := range []*api{a, b} {
			eventually(t, func() bool {
				return server.do(http.MethodGet, "/v1/campaigns/stats", "").status == http.StatusUnauthorized
			}, "the server to see that the key is revoked")
		}
	})
}

// TestReadsWaitForNoWriter reads with a key not used before while the database's
// one writer is held, as an import may hold SQLite's. Were a read to wait for it,
// the holder would run into its deadline.
func TestReadsWaitForNoWriter(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		own := s.api(store.KeyOptions{Account: account, Mode: store.Test}).oneOfEach()
		reader := s.api(store.KeyOptions{Account: account, Mode: store.Test})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, _, err := s.store.Once(ctx, store.Scope{Account: account, Mode: store.Test}, store.Request{}, func(*store.Store) ([]byte, store.Ending) {
			for id, op := range operations(t) {
				if op.method == http.MethodGet {
					got := reader.call(op, own.of(op))
					require.Equal(t, http.StatusOK, got.status, "%s: %s", id, got.body)
				}
			}
			return nil, store.Done
		})
		require.NoError(t, err)
	})
}
