package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

const lease = time.Minute

// upload takes a file in.
func upload(t testing.TB, s *store.Store, sc store.Scope, format store.ImportFormat, file string) store.Import {
	t.Helper()
	im, _, err := s.CreateImport(t.Context(), sc, store.ImportOptions{Format: format}, strings.NewReader(file))
	require.NoError(t, err)
	require.Equal(t, store.ImportPending, im.Status)
	return im
}

// work applies imports until there is none left.
func work(t testing.TB, s *store.Store) {
	t.Helper()
	for {
		k, err := s.ClaimImport(t.Context(), store.Scope{}, lease)
		require.NoError(t, err)
		if k == nil {
			return
		}
		apply(t, s, k)
	}
}

// apply applies what is left of a claimed import.
func apply(t testing.TB, s *store.Store, k *store.ImportClaim) {
	t.Helper()
	for done := false; !done; {
		var err error
		done, err = s.ApplyPart(t.Context(), k)
		require.NoError(t, err)
	}
}

func claim(t testing.TB, s *store.Store) *store.ImportClaim {
	t.Helper()
	k, err := s.ClaimImport(t.Context(), store.Scope{}, lease)
	require.NoError(t, err)
	require.NotNil(t, k)
	return k
}

// imported takes a file in and applies it.
func imported(t testing.TB, s *store.Store, sc store.Scope, format store.ImportFormat, file string) store.Import {
	t.Helper()
	im := upload(t, s, sc, format, file)
	work(t, s)
	im, err := s.Import(t.Context(), sc, im.PublicID)
	require.NoError(t, err)
	require.Equal(t, store.ImportCompleted, im.Status)
	require.Equal(t, im.Processed, im.Created+im.Updated+im.Failed)
	return im
}

// counts are what became of an import's rows.
func counts(im store.Import) []int64 { return []int64{im.Created, im.Updated, im.Failed} }

// contacts are all of a scope, oldest first.
func contacts(t testing.TB, s *store.Store, sc store.Scope) []store.Contact {
	t.Helper()
	var all []store.Contact
	for p := (store.Page{Limit: 100}); ; {
		cs, next, err := s.Contacts(t.Context(), sc, store.ContactFilter{}, p)
		require.NoError(t, err)
		all = append(all, cs...)
		if p.Cursor = next; next == "" {
			slices.Reverse(all)
			return all
		}
	}
}

func only(t testing.TB, s *store.Store, sc store.Scope) store.Contact {
	t.Helper()
	cs := contacts(t, s, sc)
	require.Len(t, cs, 1)
	return cs[0]
}

// faultsOf are an import's errors, as "line field code message".
func faultsOf(t testing.TB, s *store.Store, sc store.Scope, im store.Import) []string {
	t.Helper()
	out := []string{}
	for p := (store.Page{Limit: 100}); ; {
		es, next, err := s.ImportErrors(t.Context(), sc, im.PublicID, p)
		require.NoError(t, err)
		for _, e := range es {
			field := "-"
			if e.Field != nil {
				field = *e.Field
			}
			out = append(out, fmt.Sprintf("%d %s %s %s", e.Line, field, e.Code, e.Message))
		}
		if p.Cursor = next; next == "" {
			return out
		}
	}
}

func TestCSVImportMakesContacts(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		l, err := s.CreateList(t.Context(), sc, store.List{Name: "Spring"})
		require.NoError(t, err)
		file := "\ufeffexternal_id, phone ,email,first_name,last_name,country,tags,opted_out,attributes.plan,attributes.age,attributes.member,attributes.order\r\n" +
			"c1,+447911123456,Ada@Example.com,Ada,\"Love\"\"lace, née Byron\",gb,vip|lisbon|vip,sms|email,gold,36,true,12345678901234567890\r\n" +
			"\r\n" +
			"c2,,,,,,,,,,,\r\n"
		im, _, err := s.CreateImport(t.Context(), sc, store.ImportOptions{Format: store.CSV, List: l.PublicID}, iotest.OneByteReader(strings.NewReader(file)))
		require.NoError(t, err)
		require.EqualValues(t, len(file), im.Bytes)
		work(t, s)

		im, err = s.Import(t.Context(), sc, im.PublicID)
		require.NoError(t, err)
		require.Equal(t, []int64{2, 0, 0}, counts(im))
		require.Equal(t, l.PublicID, *im.List)
		require.NotNil(t, im.StartedAt)
		require.NotNil(t, im.CompletedAt)

		cs := contacts(t, s, sc)
		require.Len(t, cs, 2)
		c := cs[0]
		require.Equal(t, []string{"c1", "+447911123456", "ada@example.com", "Ada", "Love\"lace, née Byron", "GB"},
			[]string{*c.ExternalID, *c.Phone, *c.Email, *c.FirstName, *c.LastName, *c.Country})
		require.Equal(t, []string{"lisbon", "vip"}, c.Tags)
		require.Equal(t, map[string]any{"plan": "gold", "age": 36.0, "member": true, "order": "12345678901234567890"}, c.Attributes)
		require.Equal(t, store.SetOf(store.SMS, store.Email), c.OptedOut)
		require.Nil(t, cs[1].Phone)

		members, _, err := s.Contacts(t.Context(), sc, store.ContactFilter{List: l.PublicID}, store.Page{})
		require.NoError(t, err)
		require.Len(t, members, 2)
		found, _, err := s.Contacts(t.Context(), sc, store.ContactFilter{Search: "NÉE"}, store.Page{})
		require.NoError(t, err)
		require.Len(t, found, 1)
	})
}

func TestNDJSONImportMakesContacts(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		im := imported(t, s, sc, store.NDJSON, `{"external_id":"c1","first_name":"Añá","tags":["b","a"],"attributes":{"n":1.5,"b":false,"s":"x","gone":null},"opted_out":["viber"]}`+"\n\n")
		require.Equal(t, []int64{1, 0, 0}, counts(im))
		c := only(t, s, sc)
		require.Equal(t, "Añá", *c.FirstName)
		require.Equal(t, []string{"a", "b"}, c.Tags)
		require.Equal(t, map[string]any{"n": 1.5, "b": false, "s": "x"}, c.Attributes)
		require.Equal(t, store.SetOf(store.Viber), c.OptedOut)
	})
}

func TestSameFileTwiceMakesNoDuplicates(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		file := people(0, 6000)
		require.Equal(t, []int64{6000, 0, 0}, counts(imported(t, s, sc, store.CSV, file)))
		before := contacts(t, s, sc)
		require.Equal(t, []int64{0, 6000, 0}, counts(imported(t, s, sc, store.CSV, file)))
		require.Equal(t, before, contacts(t, s, sc), "a row that says nothing new changes nothing")
	})
}

// people are rows of contacts that are all different.
func people(from, to int) string {
	var b strings.Builder
	b.WriteString("external_id,phone,email,first_name,tags,attributes.plan\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "c%d,+4479%08d,user%d@example.com,Ada,vip,gold\n", i, i, i)
	}
	return b.String()
}

func TestGivenFieldsOverwriteAndTheRestStays(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, err := s.CreateContact(t.Context(), sc, store.Contact{
			ExternalID: ptr("c1"), Phone: ptr("+447911123456"), FirstName: ptr("Ada"), LastName: ptr("King"),
			Tags: []string{"old"}, Attributes: map[string]any{"plan": "free", "age": 36.0, "city": "London"},
		})
		require.NoError(t, err)
		require.Equal(t, []int64{0, 1, 0}, counts(imported(t, s, sc, store.CSV,
			"external_id,email,first_name,last_name,tags,attributes.plan,attributes.age\nc1,ada@example.com,,Lovelace,new,gold,\n")))
		c := only(t, s, sc)
		require.Equal(t, "Ada", *c.FirstName)
		require.Equal(t, "Lovelace", *c.LastName)
		require.Equal(t, "ada@example.com", *c.Email)
		require.Equal(t, []string{"new", "old"}, c.Tags)
		require.Equal(t, map[string]any{"plan": "gold", "age": 36.0, "city": "London"}, c.Attributes)
		require.Contains(t, c.Search, "lovelace")

		imported(t, s, sc, store.NDJSON, `{"phone":"+44 7911 123456","first_name":null,"email":null,"attributes":{"city":null,"age":null,"never":null},"tags":[]}`)
		c = only(t, s, sc)
		require.Nil(t, c.FirstName)
		require.Nil(t, c.Email)
		require.Equal(t, []string{"new", "old"}, c.Tags)
		require.Equal(t, map[string]any{"plan": "gold"}, c.Attributes)
	})
}

func TestRowMatchesByExternalIDThenPhoneThenEmail(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		imported(t, s, sc, store.CSV, "external_id,phone,email\nc1,+447911123456,ada@example.com\n")
		im := imported(t, s, sc, store.CSV, "external_id,phone,email,first_name\n"+
			"c1,,new@example.com,by external id\n"+
			"c2,+447911123456,,by phone\n"+
			",,NEW@example.com,by email\n")
		require.Equal(t, []int64{0, 3, 0}, counts(im))
		c := only(t, s, sc)
		require.Equal(t, "by email", *c.FirstName)
		require.Equal(t, "c2", *c.ExternalID)
	})
}

func TestClashOfIdentifiersNamesBothContacts(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		imported(t, s, sc, store.CSV, "external_id,phone,email\nc1,+447911123456,\n,,ben@example.com\n")
		cs := contacts(t, s, sc)
		im := imported(t, s, sc, store.CSV, "external_id,phone,email,first_name\nc1,+447911123456,ben@example.com,X\nc1,,,Ada\n")
		require.Equal(t, []int64{0, 1, 1}, counts(im))
		require.Equal(t, []string{
			"2 /email VALIDATION_ERROR is that of contact " + cs[1].PublicID + ", but external_id is that of contact " + cs[0].PublicID,
		}, faultsOf(t, s, sc, im))
		require.Equal(t, "Ada", *contacts(t, s, sc)[0].FirstName)
	})
}

func TestRowsOfOneFileApplyInOrder(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		im := imported(t, s, sc, store.CSV, "external_id,phone,first_name\n"+
			"c1,+447911123456,first\n"+
			"c1,,second\n"+
			"c1,+447911123457,\n"+ // gives its number up …
			"c2,+447911123456,third\n"+ // … to another
			",+447911123457,last\n")
		require.Equal(t, []int64{2, 3, 0}, counts(im))
		cs := contacts(t, s, sc)
		require.Len(t, cs, 2)
		require.Equal(t, "last", *cs[0].FirstName)
		require.Equal(t, "+447911123456", *cs[1].Phone)
	})
}

func TestIdentifiersMayGoRoundBetweenContacts(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		imported(t, s, sc, store.CSV, "external_id,phone\nc1,+447911123456\nc2,+447911123457\n")
		im := imported(t, s, sc, store.NDJSON, `{"external_id":"c1","phone":"+447911123458"}
{"external_id":"c2","phone":"+447911123456"}
{"external_id":"c1","phone":"+447911123457"}
`)
		require.Equal(t, []int64{0, 3, 0}, counts(im))
		cs := contacts(t, s, sc)
		require.Equal(t, "+447911123457", *cs[0].Phone)
		require.Equal(t, "+447911123456", *cs[1].Phone)
	})
}

func TestOptOutIsNeverUndone(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		_, err := s.CreateContact(t.Context(), sc, store.Contact{Email: ptr("ada@example.com"), OptedOut: store.SetOf(store.SMS)})
		require.NoError(t, err)
		imported(t, s, sc, store.NDJSON, `{"email":"ada@example.com","opted_out":[]}`+"\n"+`{"email":"ada@example.com","opted_out":["email"]}`)
		require.Equal(t, store.SetOf(store.SMS, store.Email), only(t, s, sc).OptedOut)
	})
}

func TestBadRowsAreReportedAndDoNotStopTheRest(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		im := imported(t, s, sc, store.CSV, "external_id,phone,email,country,opted_out\n"+ // line 1
			"ok1,,,,\n"+
			"bad,12,not a mailbox,XX,pigeon\n"+
			",,,GB,\n"+
			"short\n"+
			"quo\"te,,,,\n"+
			"\"never closed,,,,\n"+
			"nul\x00,,,,\n"+
			"\xff,,,,\n"+
			"\"two\nlines\",,,,\n"+
			"ok2,,,,")
		require.Equal(t, []int64{2, 0, 8}, counts(im))
		require.Len(t, contacts(t, s, sc), 2)
		got := faultsOf(t, s, sc, im)
		want := []string{
			"3 /opted_out/0 VALIDATION_ERROR is not a channel",
			"3 /phone INVALID_PHONE_NUMBER is not a possible phone number",
			"3 /email INVALID_EMAIL is not an email address",
			"3 /country VALIDATION_ERROR is not a country",
			"4 - MISSING_REQUIRED_FIELD needs at least one of external_id, phone and email",
			"5 - VALIDATION_ERROR has 1 cells, the header has 5",
			"6 - VALIDATION_ERROR is not CSV: a quote stands inside a cell that does not begin with one",
			"7 - VALIDATION_ERROR is not CSV: there is text after a closing quote",
			"8 /external_id VALIDATION_ERROR holds a control character",
			"9 /external_id VALIDATION_ERROR is not valid UTF-8",
			"10 /external_id VALIDATION_ERROR holds a control character",
		}
		require.Len(t, got, len(want))
		for i := range want {
			require.True(t, strings.HasPrefix(got[i], want[i]), "%q does not begin with %q", got[i], want[i])
		}
	})
}

func TestNDJSONGarbageIsReportedByLine(t *testing.T) {
	lines := []struct{ line, fault string }{
		{`{"external_id":"ok"}`, ""},
		{`{`, "- VALIDATION_ERROR is not valid JSON: it ends too early"},
		{`nonsense`, "- VALIDATION_ERROR is not valid JSON"},
		{`[]`, "- VALIDATION_ERROR is not an object"},
		{`{"external_id":"x"} {}`, "- VALIDATION_ERROR holds more than one JSON value"},
		{`{"external_id":"x","external_id":"y"}`, "/external_id VALIDATION_ERROR is there twice"},
		{`{"id":"x","email":"a@b.example"}`, "/id VALIDATION_ERROR is not a known field"},
		{`{"external_id":7}`, "/external_id VALIDATION_ERROR is not a string"},
		{`{"external_id":"x","tags":"vip"}`, "/tags VALIDATION_ERROR is not an array"},
		{`{"external_id":"x","tags":[null]}`, "/tags/0 VALIDATION_ERROR is not a string"},
		{`{"external_id":"x","attributes":[]}`, "/attributes VALIDATION_ERROR is not an object"},
		{`{"external_id":"x","attributes":{"a":{}}}`, "/attributes/a VALIDATION_ERROR is neither text"},
		{`{"external_id":"x","attributes":{"a":1e999}}`, "/attributes/a VALIDATION_ERROR is too large"},
		{`{"external_id":"x","attributes":{"No~/":1}}`, "/attributes/No~0~1 VALIDATION_ERROR"},
		{`{"external_id":"\ud800"}`, "- VALIDATION_ERROR is not valid JSON: invalid surrogate"},
		{"{\"external_id\":\"\xff\"}", "- VALIDATION_ERROR is not valid JSON: invalid UTF-8"},
		{`{"external_id":"x","attributes":{"a":"\u0000"}}`, "/attributes/a VALIDATION_ERROR holds a NUL"},
		{`{"external_id":null}`, "- MISSING_REQUIRED_FIELD needs at least one"},
		{strings.Repeat("[", 100_000), "- VALIDATION_ERROR is not"},
		{`{"external_id":"` + strings.Repeat("x", 3<<20) + `"}`, "- VALIDATION_ERROR is longer than 1048576 bytes"},
		{`{"external_id":"also ok"}`, ""},
	}
	var file strings.Builder
	var want []string
	for i, l := range lines {
		file.WriteString(l.line + "\n")
		if l.fault != "" {
			want = append(want, fmt.Sprintf("%d %s", i+1, l.fault))
		}
	}
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		im := imported(t, s, sc, store.NDJSON, file.String())
		require.Equal(t, []int64{2, 0, int64(len(want))}, counts(im))
		got := faultsOf(t, s, sc, im)
		require.Len(t, got, len(want))
		for i := range want {
			require.True(t, strings.HasPrefix(got[i], want[i]), "%q does not begin with %q", got[i], want[i])
		}
	})
}

func TestFaultyHeaderNamesEveryColumnAndStoresNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		for _, c := range []struct {
			file string
			want map[string]string
		}{
			{"first_name,telephone,first_name,attributes.Plan\nAda,1,2,3\n", map[string]string{
				"/columns/telephone": store.CodeValidation, "/columns/first_name": store.CodeValidation,
				"/columns/attributes.Plan": store.CodeValidation, "/columns": store.CodeMissingField,
			}},
			{"phone;email\n", map[string]string{"/columns/phone;email": store.CodeValidation, "/columns": store.CodeMissingField}},
			{"email,\xff\n", map[string]string{"/columns/\ufffd": store.CodeValidation}},
			{"\"email\n", map[string]string{"/columns": store.CodeValidation}},
			{"\x1f\x8b\x08\x00\"\n", map[string]string{"/columns": store.CodeValidation}},
			{"email" + strings.Repeat(",", 1000) + "\n", nil},
			{"", map[string]string{"": store.CodeValidation}},
			{"\ufeff\r\n\n", map[string]string{"": store.CodeValidation}},
		} {
			_, _, err := s.CreateImport(t.Context(), sc, store.ImportOptions{Format: store.CSV}, strings.NewReader(c.file))
			if c.want == nil {
				require.LessOrEqual(t, len(failure(t, err).Faults), 20)
				continue
			}
			require.Equal(t, c.want, fields(t, err), "%q", c.file)
		}
		ims, _, err := s.Imports(t.Context(), sc, store.Page{})
		require.NoError(t, err)
		require.Empty(t, ims)
	})
}

func TestHeaderAloneIsAnEmptyImport(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		require.Equal(t, []int64{0, 0, 0}, counts(imported(t, s, newScope(t, s), store.CSV, "email")))
	})
}

func TestImportIntoAnUnknownListIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		mine, other := newScope(t, s), newScope(t, s)
		l, err := s.CreateList(t.Context(), other, store.List{Name: "Theirs"})
		require.NoError(t, err)
		_, _, err = s.CreateImport(t.Context(), mine, store.ImportOptions{Format: store.CSV, List: l.PublicID}, iotest.ErrReader(errors.New("was read")))
		requireNotFound(t, err)
	})
}

func TestListDeletedMeanwhileDoesNotStopTheImport(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		l, err := s.CreateList(t.Context(), sc, store.List{Name: "Spring"})
		require.NoError(t, err)
		im, _, err := s.CreateImport(t.Context(), sc, store.ImportOptions{Format: store.CSV, List: l.PublicID}, strings.NewReader(people(0, 7000)))
		require.NoError(t, err)
		k := claim(t, s)
		_, err = s.ApplyPart(t.Context(), k)
		require.NoError(t, err)
		require.NoError(t, s.DeleteList(t.Context(), sc, l.PublicID))
		apply(t, s, k)
		im, err = s.Import(t.Context(), sc, im.PublicID)
		require.NoError(t, err)
		require.Nil(t, im.List)
		require.Equal(t, []int64{7000, 0, 0}, counts(im))
	})
}

func TestUploadThatBreaksOffLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		broken := fmt.Errorf("connection reset: %w", io.EOF)
		for _, file := range []string{"", people(0, 100), people(0, 30_000)} {
			ctx, cancel := context.WithCancel(t.Context())
			body := io.MultiReader(strings.NewReader(file), iotest.ErrReader(broken))
			_, _, err := s.CreateImport(ctx, sc, store.ImportOptions{Format: store.CSV}, body)
			require.ErrorIs(t, err, broken)
			cancel()
		}
		ims, _, err := s.Imports(t.Context(), sc, store.Page{})
		require.NoError(t, err)
		require.Empty(t, ims)
		k, err := s.ClaimImport(t.Context(), store.Scope{}, lease)
		require.NoError(t, err)
		require.Nil(t, k)
	})
}

func TestCallerWhoGoesAwayLeavesNoImport(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		body := io.MultiReader(strings.NewReader(people(0, 30_000)), readerFunc(func([]byte) (int, error) {
			cancel()
			return 0, ctx.Err()
		}))
		_, _, err := s.CreateImport(ctx, sc, store.ImportOptions{Format: store.CSV}, body)
		require.ErrorIs(t, err, context.Canceled)
		ims, _, err := s.Imports(t.Context(), sc, store.Page{})
		require.NoError(t, err)
		require.Empty(t, ims)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestImportsAreSeenByTheirScopeOnly(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		im := imported(t, s, sc, store.CSV, people(0, 3))
		live := store.Scope{Account: sc.Account, Mode: store.Live}
		for _, other := range []store.Scope{newScope(t, s), live} {
			_, err := s.Import(t.Context(), other, im.PublicID)
			requireNotFound(t, err)
			_, _, err = s.ImportErrors(t.Context(), other, im.PublicID, store.Page{})
			requireNotFound(t, err)
			require.Empty(t, contacts(t, s, other))
			imported(t, s, other, store.CSV, people(0, 3))
			require.Len(t, contacts(t, s, other), 3)
		}
	})
}

func TestImportsArePagedNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		var want []string
		for range 5 {
			want = append([]string{upload(t, s, sc, store.CSV, "email\n").PublicID}, want...)
		}
		var got []string
		for p := (store.Page{Limit: 2}); ; {
			ims, next, err := s.Imports(t.Context(), sc, p)
			require.NoError(t, err)
			for _, im := range ims {
				got = append(got, im.PublicID)
			}
			if p.Cursor = next; next == "" {
				break
			}
		}
		require.Equal(t, want, got)
	})
}

func TestTenThousandErrorsAreKeptAndAllAreCounted(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		im := imported(t, s, sc, store.CSV, "email\n"+strings.Repeat("nobody\n", store.MaxImportErrors+50))
		require.EqualValues(t, store.MaxImportErrors+50, im.Failed)
		got := faultsOf(t, s, sc, im)
		require.Len(t, got, store.MaxImportErrors)
		require.True(t, strings.HasPrefix(got[len(got)-1], fmt.Sprintf("%d /email", store.MaxImportErrors+1)))
	})
}

func TestEightClaimersOneHolder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		first, second := open(t, dsn), open(t, dsn)
		_, err := first.Migrate(t.Context())
		require.NoError(t, err)
		sc := newScope(t, first)
		upload(t, first, sc, store.CSV, people(0, 10))
		upload(t, first, sc, store.CSV, people(0, 10)) // waits for the first: it has the last word

		var mu sync.Mutex
		var held []*store.ImportClaim
		var all sync.WaitGroup
		for i := range 8 {
			s := []*store.Store{first, second}[i%2]
			all.Go(func() {
				k, err := s.ClaimImport(t.Context(), store.Scope{}, lease)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("claim: %v", err)
				}
				if k != nil {
					held = append(held, k)
				}
			})
		}
		all.Wait()
		require.Len(t, held, 1)
		apply(t, second, held[0])
		claim(t, second)
	})
}

func TestLapsedLeaseIsTakenOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		dead, alive := open(t, dsn), open(t, dsn)
		_, err := dead.Migrate(t.Context())
		require.NoError(t, err)
		sc := newScope(t, dead)
		im := upload(t, dead, sc, store.CSV, people(0, 12_000))

		lost, err := dead.ClaimImport(t.Context(), store.Scope{}, time.Millisecond)
		require.NoError(t, err)
		done, err := dead.ApplyPart(t.Context(), lost)
		require.NoError(t, err)
		require.False(t, done)

		var k *store.ImportClaim
		require.Eventually(t, func() bool {
			k, err = alive.ClaimImport(t.Context(), store.Scope{}, lease)
			return err == nil && k != nil
		}, 10*time.Second, 5*time.Millisecond)
		done, err = dead.ApplyPart(t.Context(), lost)
		require.NoError(t, err)
		require.True(t, done, "the claim is over")
		require.NoError(t, dead.ReleaseImport(t.Context(), lost)) // frees nothing
		again, err := dead.ClaimImport(t.Context(), store.Scope{}, lease)
		require.NoError(t, err)
		require.Nil(t, again)

		apply(t, alive, k)
		im, err = alive.Import(t.Context(), sc, im.PublicID)
		require.NoError(t, err)
		require.Equal(t, store.ImportCompleted, im.Status)
		require.Equal(t, []int64{12_000, 0, 0}, counts(im))
		require.EqualValues(t, 12_000, im.Processed)
	})
}

func TestImportGoesOnAfterARestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		before, err := store.Open(t.Context(), dsn)
		require.NoError(t, err)
		_, err = before.Migrate(t.Context())
		require.NoError(t, err)
		sc := newScope(t, before)
		im := upload(t, before, sc, store.CSV, people(0, 12_000))
		k := claim(t, before)
		_, err = before.ApplyPart(t.Context(), k)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = before.ApplyPart(ctx, k)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, before.ReleaseImport(t.Context(), k))
		require.NoError(t, before.Close())

		after := open(t, dsn)
		work(t, after)
		im, err = after.Import(t.Context(), sc, im.PublicID)
		require.NoError(t, err)
		require.Equal(t, store.ImportCompleted, im.Status)
		require.Equal(t, []int64{12_000, 0, 0}, counts(im))
	})
}

func TestImportsOfAccountsTakeTurns(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		scopes := []store.Scope{newScope(t, s), newScope(t, s), newScope(t, s)}
		for _, sc := range scopes {
			upload(t, s, sc, store.CSV, "email\n")
			upload(t, s, sc, store.CSV, "email\n")
		}
		var last store.Scope
		var turns []store.Scope
		for range 6 {
			k, err := s.ClaimImport(t.Context(), last, lease)
			require.NoError(t, err)
			require.NotNil(t, k)
			require.NoError(t, s.ReleaseImport(t.Context(), k))
			last = k.Scope
			turns = append(turns, last)
		}
		require.Equal(t, append(scopes, scopes...), turns)
	})
}

// An import whose upload took longer may be worked beside a later one.
func TestOverlappingImportsAtOnceMakeNoDuplicates(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		one, two := open(t, dsn), open(t, dsn)
		_, err := one.Migrate(t.Context())
		require.NoError(t, err)
		sc := newScope(t, one)

		body, slow := io.Pipe()
		uploaded := make(chan error, 1)
		go func() {
			_, _, err := one.CreateImport(t.Context(), sc, store.ImportOptions{Format: store.CSV}, body)
			uploaded <- err
		}()
		_, err = io.WriteString(slow, people(0, 15_000))
		require.NoError(t, err)
		later := upload(t, two, sc, store.CSV, people(7_000, 22_000))
		k2 := claim(t, two)
		require.NoError(t, slow.Close())
		require.NoError(t, <-uploaded)
		k1 := claim(t, one)

		var all sync.WaitGroup
		for _, w := range []struct {
			s *store.Store
			k *store.ImportClaim
		}{{one, k1}, {two, k2}} {
			all.Go(func() {
				for {
					done, err := w.s.ApplyPart(t.Context(), w.k)
					if err != nil {
						t.Errorf("apply: %v", err)
					}
					if done || err != nil {
						return
					}
				}
			})
		}
		all.Wait()
		require.Len(t, contacts(t, one, sc), 22_000)
		ims, _, err := one.Imports(t.Context(), sc, store.Page{})
		require.NoError(t, err)
		require.Equal(t, later.PublicID, ims[0].PublicID)
		require.EqualValues(t, 22_000, ims[0].Created+ims[1].Created)
		require.EqualValues(t, 8_000, ims[0].Updated+ims[1].Updated)
		require.Zero(t, ims[0].Failed+ims[1].Failed)
	})
}

func TestImportBesideTheAPIMakesNoDuplicates(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		sc := newScope(t, s)
		rows := 15_000
		if testing.Short() {
			rows = 5_000 // still several parts
		}
		im := upload(t, s, sc, store.CSV, people(0, rows))
		var all sync.WaitGroup
		all.Go(func() {
			for i := rows - 1; i > 0; i -= 50 {
				_, err := s.CreateContact(t.Context(), sc, store.Contact{Email: ptr(fmt.Sprintf("user%d@example.com", i))})
				var refused *store.Error
				if err != nil && !errors.As(err, &refused) {
					t.Errorf("create: %v", err)
				}
			}
		})
		work(t, s)
		all.Wait()
		require.Len(t, contacts(t, s, sc), rows)
		im, err := s.Import(t.Context(), sc, im.PublicID)
		require.NoError(t, err)
		require.EqualValues(t, rows, im.Created+im.Updated)
	})
}
