package tests

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// importErrors is what was wrong with the rows, as "line field CODE".
func (a *api) importErrors(id string) (faults []string) {
	a.t.Helper()
	rows := all(a.t, func(cursor *types.Cursor) ([]types.ImportError, types.Pagination) {
		page := want[types.ImportErrorPage](a.t, http.StatusOK, read(a.ListImportErrors(a.t.Context(), id,
			&types.ListImportErrorsParams{Cursor: cursor, Limit: p(2)})))
		return page.Data, page.Meta.Pagination
	})
	for _, e := range rows {
		require.NotEmpty(a.t, e.Message)
		field := ""
		if e.Field != nil {
			field = *e.Field
		}
		faults = append(faults, fmt.Sprintf("%d %s %s", e.Line, field, e.Code))
	}
	return faults
}

// TestImportTellsWhatIsWrongByLine has the same rows in both formats: three good
// ones, and others between them.
func TestImportTellsWhatIsWrongByLine(t *testing.T) {
	formats := map[string]types.ImportFormat{"Text/CSV; charset=UTF-8": types.ImportFormatCsv, "application/x-ndjson": types.ImportFormatNdjson}
	files := map[string]string{
		"Text/CSV; charset=UTF-8": "external_id,phone,email,country,attributes.age,attributes.note\r\n" +
			"a,+4915112000001,,DE,41,\r\n" +
			"b,12,nobody,DE,,\r\n" + // 3: two faults
			"\r\n" +
			"c,,c@example.com,,true,\"two\nlines\"\r\n" + // 5 and 6
			",,,DE,,\r\n" + // 7: names nobody
			"e,,e@example.com,XX,,\r\n" + // 8: no country
			"f,,f@example.com,DE,,,\r\n" + // 9: a cell too many
			"g,,g@example.com,,x,",
		"application/x-ndjson": `{"external_id":"a","phone":"+4915112000001","country":"DE","attributes":{"age":41}}` + "\n\n" +
			`{"external_id":"b","phone":"12","email":"nobody"}` + "\n" + // 3
			"\n" +
			`{"external_id":"c","email":"c@example.com","attributes":{"age":true,"note":"two\nlines"}}` + "\n" + // 5
			"\n" +
			`{"country":"DE"}` + "\n" + // 7
			`{"external_id":"e","email":"e@example.com","country":"XX"}` + "\n" + // 8
			`{"external_id":"f","email":"f@example.com","shoe_size":44}` + "\n" + // 9
			`{"external_id":"g","email":"g@example.com","attributes":{"age":"x"}}`,
	}
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		for mediaType, file := range files {
			a := s.tester()
			list := a.newList("People")
			taken := a.importFile(mediaType, file, &list.ID)
			require.Equal(t, types.Import{
				ID: taken.ID, Status: types.ImportStatusPending, Format: formats[mediaType], ListID: &list.ID, Bytes: int64(len(file)), CreatedAt: taken.CreatedAt,
			}, taken)
			i := a.awaitImport(taken.ID)
			require.NotNil(t, i.CompletedAt)
			faults := a.importErrors(i.ID)
			require.Equal(t, types.ImportRows{Processed: 7, Created: 3, Failed: 4}, i.Rows, "%s: %s", mediaType, faults)
			require.Equal(t, []string{
				"3 phone INVALID_PHONE_NUMBER", "3 email INVALID_EMAIL", "7  MISSING_REQUIRED_FIELD", "8 country VALIDATION_ERROR",
			}, faults[:4], mediaType)
			require.Len(t, faults, 5)
			require.Regexp(t, `^9 .*VALIDATION_ERROR$`, faults[4], mediaType)

			members := want[types.ContactPage](t, http.StatusOK, read(a.ListListContacts(t.Context(), list.ID, nil))).Data
			require.Len(t, members, 3)
			require.Equal(t, "two\nlines", members[1].Attributes["note"])
			require.Equal(t, []any{"x", true, float64(41)},
				[]any{members[0].Attributes["age"], members[1].Attributes["age"], members[2].Attributes["age"]}, mediaType)
		}
	})
}

// brokenOff is a transport that ends a request in the middle of its body, and
// stays for the answer.
func brokenOff(t *testing.T) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		to, err := net.Dial("tcp", r.URL.Host)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = to.Close() })
		out := bufio.NewWriter(to)
		r.ContentLength += 100
		require.ErrorContains(t, r.Write(out), "ContentLength")
		if err := errors.Join(out.Flush(), to.(*net.TCPConn).CloseWrite()); err != nil {
			return nil, err
		}
		return http.ReadResponse(bufio.NewReader(to), r)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestBrokenOffUploadIsNotKept(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		for mediaType, file := range map[string]string{"text/csv": "email\nana@example.com\n", "application/x-ndjson": `{"email":"ana@example.com"}` + "\n"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url+"/v1/imports", strings.NewReader(file))
			require.NoError(t, err)
			r.Header.Set("X-API-Key", a.key)
			r.Header.Set("Content-Type", mediaType)
			e := refused(t, http.StatusBadRequest, read((&checkedTransport{t: t, over: brokenOff(t)}).RoundTrip(r)))
			require.Equal(t, types.ErrorCodeVALIDATIONERROR, e.Code, mediaType)
		}
		require.Empty(t, want[types.ImportPage](t, http.StatusOK, read(a.ListImports(t.Context(), nil))).Data)
	})
}

func TestSameFileTwiceMakesNoDuplicates(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		const people = crowd(1500)
		a := s.tester()
		list := a.assemble(people)
		before := a.contacts("")
		require.Len(t, before, int(people))
		someone := before[0]
		want[types.ContactEnvelope](t, http.StatusOK, read(a.OptOutContact(t.Context(), someone.ID, types.ChannelSelection{Channels: []types.Channel{types.ChannelSMS}})))

		again := a.awaitImport(a.importFile("text/csv", people.csv(), &list.ID).ID)
		require.Equal(t, types.ImportRows{Processed: int64(people), Updated: int64(people)}, again.Rows)
		require.Len(t, a.contacts(""), int(people))
		require.Contains(t, a.contact(someone.ID).OptedOut, types.ChannelSMS, "an opt-out is never undone")
	})
}

// TestImportChangesWhatTheFileGives matches by external_id, else phone, else
// email, and leaves what a row does not say.
func TestImportChangesWhatTheFileGives(t *testing.T) {
	eachInProcess(t, func(t *testing.T, s *inProcess) {
		a := s.tester()
		first := a.newContact(types.ContactCreate{
			ExternalID: p("a"), Phone: p("+4915112000001"), FirstName: p("Ana"), Attributes: &types.Attributes{"plan": "gold", "age": 41},
		})
		second := a.newContact(types.ContactCreate{Phone: p("+4915112000002"), FirstName: p("Ben")})
		third := a.newContact(types.ContactCreate{Email: p("cleo@example.com"), FirstName: p("Cleo")})
		i := a.awaitImport(a.importFile("text/csv", "external_id,phone,email,last_name,attributes.plan\n"+
			"a,,ana@example.com,Alves,trial\n"+
			"b,+4915112000002,,Berg,\n"+
			"c,,CLEO@example.com,Cruz,\n", nil).ID)
		require.Equal(t, types.ImportRows{Processed: 3, Updated: 3}, i.Rows)
		requireHas(t, a.contact(first.ID), `{"external_id": "a", "phone": "+4915112000001", "email": "ana@example.com",
			"first_name": "Ana", "last_name": "Alves", "attributes": {"plan": "trial"}}`)
		require.EqualValues(t, 41, a.contact(first.ID).Attributes["age"])
		requireHas(t, a.contact(second.ID), `{"external_id": "b", "first_name": "Ben", "last_name": "Berg"}`)
		requireHas(t, a.contact(third.ID), `{"external_id": "c", "email": "cleo@example.com", "last_name": "Cruz"}`)
	})
}

// TestKilledImportGoesOn kills the program in the middle of a file.
func TestKilledImportGoesOn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		people := crowd(60_000)
		if underRaceDetector() { // a tenth as fast
			people = 20_000
		}
		i, server, a := live(t, dsn)
		id := a.importFile("text/csv", people.csv(), nil).ID
		var before types.Import
		eventually(t, func() bool {
			before = a.getImport(id)
			return before.Rows.Processed > 0
		}, "the first rows")
		server.kill()
		require.Equal(t, types.ImportStatusRunning, before.Status, "it was through before it was killed")

		a = i.start("serve").api(a.key)
		done := a.awaitImport(id)
		require.Equal(t, types.ImportRows{Processed: int64(people), Created: int64(people)}, done.Rows)
		require.Empty(t, a.importErrors(id))
		everybody := want[types.SegmentEnvelope](t, http.StatusCreated, read(a.CreateSegment(t.Context(), types.SegmentCreate{
			Name: "Everybody", Rule: types.Rule{Field: p(types.RuleFieldExternalID), Operator: p(types.RuleOperatorExists)},
		}))).Data
		count := want[types.SegmentCountEnvelope](t, http.StatusOK, read(a.CountSegment(t.Context(), everybody.ID))).Data
		require.EqualValues(t, people, count.Count)
	})
}
