package tests

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// shelf is what one listing shows, and how that changes.
type shelf struct {
	path   string
	add    func()                                      // nil if nothing can be added by now
	remove func(row map[string]any, n int) (gone bool) // in several ways by n; nil if nothing goes
}

// shelves fill a new shelf with so many rows, by the listing's operationId. What
// is on one is on it alone, but for contacts, which are all on that of listContacts.
var shelves = map[string]func(a *api, rows int) shelf{
	"listCampaigns": func(a *api, rows int) shelf {
		return filled(rows, shelf{
			"/v1/campaigns",
			func() { a.newCampaign(types.CampaignCreate{Name: "Spring", Channel: types.ChannelSMS}) }, a.remover("/v1/campaigns/"),
		})
	},
	"listContacts": func(a *api, rows int) shelf {
		return filled(rows, shelf{"/v1/contacts", func() { a.newContact(a.someone()) }, a.remover("/v1/contacts/")})
	},
	"listLists": func(a *api, rows int) shelf {
		return filled(rows, shelf{"/v1/lists", func() { a.newList("Friends") }, a.remover("/v1/lists/")})
	},
	"listSegments": func(a *api, rows int) shelf {
		return filled(rows, shelf{"/v1/segments", func() { a.newSegment("Friends", types.Rule{Tag: p("friend"), Operator: p(types.RuleOperatorHas)}) }, a.remover("/v1/segments/")})
	},
	"listTemplates": func(a *api, rows int) shelf {
		return filled(rows, shelf{"/v1/templates", func() { a.newTemplate("Hello", types.ChannelSMS) }, a.remover("/v1/templates/")})
	},
	"listListContacts":     (*api).shelfOfMembers,
	"listSegmentContacts":  (*api).shelfOfMatches,
	"listCampaignMessages": (*api).shelfOfMessages,
	"listImports": func(a *api, rows int) shelf {
		return filled(rows, shelf{"/v1/imports", func() { a.importFile("text/csv", "email\n", nil) }, nil})
	},
	"listImportErrors": func(a *api, rows int) shelf { // of one part of a file, kept with it
		return shelf{"/v1/imports/" + a.awaitImport(a.importFile("text/csv", "email\n"+strings.Repeat("nobody\n", rows), nil).ID).ID + "/errors", nil, nil}
	},
}

func filled(rows int, s shelf) shelf {
	for range rows {
		s.add()
	}
	return s
}

// remover deletes what lies below the path.
func (a *api) remover(path string) func(map[string]any, int) bool {
	return func(row map[string]any, _ int) bool {
		gone(a.t, a.do(http.MethodDelete, path+row["id"].(string), ""))
		return true
	}
}

// someone is a contact that is like no other of the account.
func (a *api) someone() types.ContactCreate {
	a.people++
	return types.ContactCreate{ExternalID: p("someone-" + strconv.Itoa(a.people))}
}

func (a *api) shelfOfMembers(rows int) shelf {
	list := a.newList("Friends").ID
	return filled(rows, shelf{"/v1/lists/" + list + "/contacts", func() {
		members := types.ListMembers{ContactIds: []string{a.newContact(a.someone()).ID}}
		want[any](a.t, http.StatusOK, read(a.AddListContacts(a.t.Context(), list, members)))
	}, func(row map[string]any, n int) bool {
		if n%2 == 0 {
			return a.remover("/v1/contacts/")(row, n)
		}
		return a.remover("/v1/lists/"+list+"/contacts/")(row, n)
	}})
}

func (a *api) shelfOfMatches(rows int) shelf {
	tag := "friend-" + strconv.Itoa(a.people)
	segment := a.newSegment("Friends", types.Rule{Tag: &tag, Operator: p(types.RuleOperatorHas)}).ID
	return filled(rows, shelf{"/v1/segments/" + segment + "/contacts", func() {
		who := a.someone()
		who.Tags = &types.Tags{tag}
		a.newContact(who)
	}, func(row map[string]any, n int) bool {
		if n%2 == 0 {
			return a.remover("/v1/contacts/")(row, n)
		}
		want[any](a.t, http.StatusOK, read(a.UpdateContact(a.t.Context(), row["id"].(string), types.ContactUpdate{Tags: &types.Tags{}})))
		return true
	}})
}

// shelfOfMessages is that of a campaign which goes on sending. A message stays
// when its contact goes.
func (a *api) shelfOfMessages(rows int) shelf {
	var ids []string
	for range 3 * rows {
		who := a.someone()
		who.Phone = p(fmt.Sprintf("+4915112%06d", a.people))
		ids = append(ids, a.newContact(who).ID)
	}
	list := a.newList("Friends", ids...)
	id := a.newCampaign(types.CampaignCreate{
		Name: "Spring", Channel: types.ChannelSMS, ListID: &list.ID, Body: p("Hi"), Throttle: &types.Throttle{MessagesPerSecond: 40},
	}).ID
	a.send(id)
	taken := func() int64 {
		pr := a.campaign(id).Progress
		return pr.Total - pr.Queued
	}
	eventually(a.t, func() bool { return taken() >= int64(rows) }, "the first messages")
	return shelf{"/v1/campaigns/" + id + "/messages", func() {
		before := taken()
		eventually(a.t, func() bool { return taken() > before || before == int64(len(ids)) }, "another message")
	}, func(row map[string]any, _ int) bool {
		gone(a.t, read(a.DeleteContact(a.t.Context(), row["contact_id"].(string))))
		return false
	}}
}

// rowsPage is a page of any listing.
type rowsPage struct {
	Data []map[string]any
	Meta struct {
		Pagination types.Pagination
	}
}

func (a *api) pageAt(path string, query url.Values) rowsPage {
	a.t.Helper()
	return want[rowsPage](a.t, http.StatusOK, a.do(http.MethodGet, path+"?"+query.Encode(), ""))
}

// names are what tells rows apart: their ids, or for those without one the whole.
func names(rows []map[string]any) []string {
	all := make([]string, 0, len(rows))
	for _, row := range rows {
		name, ok := row["id"].(string)
		if !ok {
			text, _ := json.Marshal(row)
			name = string(text)
		}
		all = append(all, name)
	}
	return all
}

// pages reads a listing to its end and calls between after each page.
func (a *api) pages(path string, limit int, between func(page []map[string]any)) (rows []map[string]any) {
	a.t.Helper()
	return all(a.t, func(cursor *types.Cursor) ([]map[string]any, types.Pagination) {
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		if cursor != nil {
			query.Set("cursor", *cursor)
		}
		page := a.pageAt(path, query)
		between(page.Data)
		return page.Data, page.Meta.Pagination
	})
}

func TestListingsSkipAndRepeatNothingWhileRowsComeAndGo(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		for id, op := range operations(t) {
			if op.parameter("cursor") == nil {
				continue
			}
			require.Contains(t, shelves, id, "a listing of the document")
			a := s.tester()
			on := shelves[id](a, 30)
			before := a.pages(on.path, 100, func([]map[string]any) {})
			require.GreaterOrEqual(t, len(before), 30, id)
			removed := map[string]bool{}
			n := 0
			remove := func(row map[string]any) {
				if name := names([]map[string]any{row})[0]; !removed[name] && on.remove(row, n) {
					removed[name] = true
				}
			}
			seen := a.pages(on.path, 7, func(page []map[string]any) {
				for range 2 {
					if on.add != nil {
						on.add()
					}
				}
				if on.remove != nil && n < 3 {
					remove(page[len(page)-1])       // that the cursor stands on
					remove(page[0])                 // that has come
					remove(before[len(before)-1-n]) // that is to come
				}
				n++
			})
			counts := map[string]int{}
			for _, name := range names(seen) {
				counts[name]++
				require.Equal(t, 1, counts[name], "%s: %s came again", id, name)
			}
			var stayed, came []string
			for _, name := range names(before) {
				if !removed[name] {
					stayed = append(stayed, name)
				}
			}
			for _, name := range names(seen) {
				if slices.Contains(stayed, name) {
					came = append(came, name)
				}
			}
			require.Equal(t, stayed, came, id)
		}
	})
}

// TestCursorIsOfOneListingAlone takes the cursor of each listing to every other:
// those of the same operation on another thing, of another account and of the
// other mode included.
func TestCursorIsOfOneListingAlone(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		account := s.account("Acme")
		a, live, b := s.api(store.KeyOptions{Account: account, Mode: store.Test}), s.api(store.KeyOptions{Account: account, Mode: store.Live}), s.tester()
		paths, cursors := map[string]bool{}, map[string]string{}
		for range 2 {
			for _, fill := range shelves {
				path := fill(a, 2).path
				paths[path] = true
				if next := a.pageAt(path, url.Values{"limit": {"1"}}).Meta.Pagination.Cursor; !next.IsNull() {
					cursors[path] = next.MustGet()
				}
			}
		}
		refuse := func(a *api, path, cursor string) {
			e := refused(t, http.StatusBadRequest, a.do(http.MethodGet, path+"?cursor="+cursor, ""))
			require.Equal(t, types.ErrorCodeINVALIDCURSOR, e.Code, path)
		}
		require.Len(t, cursors, len(paths))
		for from, cursor := range cursors {
			for to := range paths {
				if to != from {
					refuse(a, to, cursor)
				}
			}
			if !strings.Contains(strings.TrimPrefix(from, "/v1/"), "/") { // others have one of this kind too
				refuse(b, from, cursor)
				refuse(live, from, cursor)
			}
		}
	})
}

// TestFiltersCombine has a row for each combination of what can be filtered by,
// and asks for each, with pages of one row.
func TestFiltersCombine(t *testing.T) {
	choices := func(op operation) (filters []string) {
		for _, parameter := range op.Parameters {
			if in := parameter.Value; in.In == "query" && in.Name != "cursor" && in.Name != "limit" {
				filters = append(filters, in.Name)
			}
		}
		slices.Sort(filters)
		return filters
	}
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		require.Equal(t, []string{"channel", "search", "status"}, choices(operations(t)["listCampaigns"]))
		list := a.audience()
		var campaigns []url.Values
		for _, name := range []string{"spring", "summer"} {
			for _, channel := range []types.Channel{types.ChannelSMS, types.ChannelRCS} {
				for _, status := range []types.CampaignStatus{types.CampaignStatusDraft, types.CampaignStatusScheduled} {
					c := a.newCampaign(types.CampaignCreate{Name: "The " + name, Channel: channel, ListID: &list.ID, Body: p("Hi")})
					for _, action := range life[status].by {
						want[any](t, http.StatusOK, a.act(action, c.ID))
					}
					campaigns = append(campaigns, url.Values{"id": {c.ID}, "search": {name}, "channel": {string(channel)}, "status": {string(status)}})
				}
			}
		}
		a.requireFilters("/v1/campaigns", campaigns)

		require.Equal(t, []string{"channel", "search"}, choices(operations(t)["listTemplates"]))
		var templates []url.Values
		for _, name := range []string{"spring", "summer"} {
			for _, channel := range []types.Channel{types.ChannelSMS, types.ChannelRCS} {
				m := a.newTemplate("The "+name, channel)
				templates = append(templates, url.Values{"id": {m.ID}, "search": {name}, "channel": {string(channel)}})
			}
		}
		a.requireFilters("/v1/templates", templates)

		require.Equal(t, []string{"status"}, choices(operations(t)["listCampaignMessages"]))
		var ids []string
		for _, number := range []string{"+4915112000101", "+4915112000103", "+4915112000107", "+4915112000113", "+4915112000117"} {
			ids = append(ids, a.newContact(types.ContactCreate{Phone: &number}).ID)
		}
		of := a.newList("Five", ids...)
		c := a.newCampaign(types.CampaignCreate{Name: "Five", Channel: types.ChannelSMS, ListID: &of.ID, Body: p("Hi")})
		a.send(c.ID)
		a.await(c.ID, func(c types.Campaign) bool { // by the last digit
			return completed(c) && c.Progress.Sent == 1 && c.Progress.Failed == 2 && c.Progress.Delivered == 2
		})
		var messages []url.Values
		for _, m := range a.messages(c.ID, nil) {
			messages = append(messages, url.Values{"id": {m.ID}, "status": {string(m.Status)}})
		}
		slices.Reverse(messages) // they come in contact order
		a.requireFilters("/v1/campaigns/"+c.ID+"/messages", messages)
	})
}

// requireFilters asks for each combination of the values that the rows have, and
// wants the rows that have them all, the last one first. A cursor that is sent
// with other filters than those it was given with goes on where it stands.
func (a *api) requireFilters(path string, rows []url.Values) {
	a.t.Helper()
	combinations := map[string]url.Values{}
	var combine func(row, chosen url.Values, filters []string)
	combine = func(row, chosen url.Values, filters []string) {
		if len(filters) == 0 {
			combinations[chosen.Encode()] = chosen
			return
		}
		without, with := url.Values{}, url.Values{filters[0]: row[filters[0]]}
		for name, value := range chosen {
			without[name], with[name] = value, value
		}
		combine(row, without, filters[1:])
		combine(row, with, filters[1:])
	}
	for _, row := range rows {
		var filters []string
		for name := range row {
			if name != "id" {
				filters = append(filters, name)
			}
		}
		combine(row, url.Values{}, filters)
	}
	ask := func(chosen url.Values, limit, cursor string) rowsPage {
		query := maps.Clone(chosen)
		query.Set("limit", limit)
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		return a.pageAt(path, query)
	}
	first := ask(url.Values{}, "1", "")
	for _, chosen := range combinations {
		matching := []string{}
		for _, row := range slices.Backward(rows) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(chosen)), func(name string) bool { return row.Get(name) != chosen.Get(name) }) {
				matching = append(matching, row.Get("id"))
			}
		}
		found := all(a.t, func(cursor *types.Cursor) ([]map[string]any, types.Pagination) {
			page := ask(chosen, "1", deref(cursor))
			return page.Data, page.Meta.Pagination
		})
		require.Equal(a.t, matching, names(found), "%s %v", path, chosen)
		rest := slices.DeleteFunc(matching, func(id string) bool { return id == names(first.Data)[0] })
		require.Equal(a.t, rest, names(ask(chosen, "100", first.Meta.Pagination.Cursor.MustGet()).Data), "%s %v", path, chosen)
	}
}

// deref is "" for nil.
func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// TestSearchKnowsNoCaseInAnyScript searches everything that can be searched.
func TestSearchKnowsNoCaseInAnyScript(t *testing.T) {
	all := []string{
		"İSTANBUL", "ısparta", "Große Straße", "ΟΔΥΣΣΕΥΣ", "Caf\u00e9", "CAFE\u0301 2", "Жук", "ԱՐԵՎ", "100% off", "100 off", "a_b", "axb", `a\b`,
	}
	searches := map[string][]string{
		"": all, "istanbul": all[:1], "ISTANBUL": all[:1], "İstanbul": all[:1], "ıstanbul": all[:1], "I\u0307stanbul": all[:1],
		"ISPARTA": all[1:2], "isparta": all[1:2], "İsparta": all[1:2],
		"GROSSE STRASSE": all[2:3], "große straße": all[2:3], "GROẞE": all[2:3],
		"οδυσσευς": all[3:4], "οδυσσευσ": all[3:4], "ΣΕΥΣ": all[3:4],
		"CAF\u00c9": all[4:6], "cafe\u0301": all[4:6], "жУК": all[6:7], "արեվ": all[7:8],
		"%": all[8:9], "0% O": all[8:9], "100": all[8:10], "_": all[10:11], "A_B": all[10:11], `\`: all[12:], "nowhere": {},
	}
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		makers := map[string]func(name string){
			"listCampaigns": func(name string) { a.newCampaign(types.CampaignCreate{Name: name, Channel: types.ChannelSMS}) },
			"listContacts": func(name string) {
				who := a.someone()
				who.ExternalID = p(strings.Repeat("x", a.people))
				who.FirstName = &name
				a.newContact(who)
			},
			"listLists":     func(name string) { a.newList(name) },
			"listSegments":  func(name string) { a.newSegment(name, types.Rule{Tag: p("x"), Operator: p(types.RuleOperatorHas)}) },
			"listTemplates": func(name string) { a.newTemplate(name, types.ChannelSMS) },
		}
		for id, op := range operations(t) {
			if op.parameter("search") == nil {
				continue
			}
			require.Contains(t, makers, id)
			field := map[bool]string{true: "first_name", false: "name"}[id == "listContacts"]
			for _, name := range all {
				makers[id](name)
			}
			everything := a.pageAt(op.path, url.Values{"limit": {"100"}}).Data
			require.Len(t, everything, len(all))
			kept := map[any]string{} // how the name was kept is the name that was given
			for i, row := range everything {
				kept[row[field]] = all[len(all)-1-i]
			}
			for search, found := range searches {
				names := []string{}
				for _, row := range a.pageAt(op.path, url.Values{"limit": {"100"}, "search": {search}}).Data {
					names = append(names, kept[row[field]])
				}
				slices.Reverse(names)
				require.Equal(t, found, names, "%s %q", id, search)
			}
		}
	})
}
