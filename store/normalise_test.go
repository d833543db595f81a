package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/campaigns-api/campaigns/store/storetest"
)

func TestNumbersAreWrittenAsTheLibraryWritesThem(t *testing.T) {
	codes := slices.Sorted(maps.Keys(phonenumbers.GetSupportedCallingCodes()))
	rapid.Check(t, func(t *rapid.T) {
		given := fmt.Sprint("+", rapid.SampledFrom(codes).Draw(t, "code"), rapid.StringMatching(`[0-9]{4,12}`).Draw(t, "national"))
		number, err := phonenumbers.Parse(given, "")
		possible := err == nil && phonenumbers.IsPossibleNumber(number)
		if isE164(given) {
			require.True(t, possible)
			require.Equal(t, given, phonenumbers.Format(number, phonenumbers.E164))
		}
		written, ok := e164(given)
		if !ok {
			return
		}
		require.True(t, possible)
		again, ok := e164(written)
		require.True(t, ok)
		require.Equal(t, written, again)
	})
}

func TestPhoneNumbers(t *testing.T) {
	for given, want := range map[string]string{
		"+447911123456": "+447911123456", "+4479000001": "+4479000001", "+491700000001": "+491700000001", "+12025550123": "+12025550123",
		"+44 7911 123456": "+447911123456", "+44 (0)7911-123456": "+447911123456", "+390612345678": "+390612345678", "+378 0549 891234": "+3780549891234",
		"+44\u00a07911\u00a0123456": "+447911123456",
		"447911123456":              "", "07911123456": "", "+": "", "+0447911123456": "", "+999123456789": "", "+49000": "", "+44791112345678901": "",
		"+1 800 FLOWERS": "", "+442079460958 ext. 5": "", "+442079460958;ext=5": "", "tel:+442079460958": "", "+" + strings.Repeat("4", 200): "", "+44\x007911123456": "",
	} {
		got, _ := e164(given)
		require.Equal(t, want, got, given)
	}
}

func TestMailboxes(t *testing.T) {
	for address, good := range map[string]bool{
		"ada@example.com": true, "a.d+a_1@mail.example.co.uk": true, "o'hara@x-1.io": true,
		"": false, "ada": false, "@example.com": false, "ada@": false, "ada@localhost": false, "a@b@example.com": false, ".ada@example.com": false,
		"ada.@example.com": false, "a..da@example.com": false, "a da@example.com": false, "ada@-example.com": false, "ada@example-.com": false,
		"ada@example..com": false, "ada@example.com.": false, "ada@exa_mple.com": false, "ädä@example.com": false, `"ada"@example.com`: false,
		"ada@[127.0.0.1]": false, "ada@example.com\r\nBcc: x@example.com": false, "Ada <ada@example.com>": false,
		strings.Repeat("a", 64) + "@example.com": true, strings.Repeat("a", 65) + "@example.com": false,
		"ada@" + strings.Repeat("a", 63) + ".com": true, "ada@" + strings.Repeat("a", 64) + ".com": false,
		"ada@" + strings.Repeat("a.", 125) + "com": false,
	} {
		require.Equal(t, good, isMailbox(address), address)
	}
}

func TestCountriesAreThoseOfISO3166(t *testing.T) {
	require.Len(t, countries(), 250) // and Kosovo
	for _, code := range []string{"GB", "US", "TF", "SS", "XK"} {
		require.True(t, countries()[code], code)
	}
	for _, code := range []string{"UK", "EU", "SU", "ZZ", "AN", "001", "gb", ""} {
		require.False(t, countries()[code], code)
	}
}

// drawText is any text at all, bytes that are no text included.
func drawText(t *rapid.T, label string) *string {
	return rapid.Ptr(rapid.OneOf(
		rapid.String(), rapid.StringMatching(`\+[0-9 ()]{5,17}`), rapid.StringMatching(`[A-Za-z.]{1,9}@[a-z.-]{3,9}`),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	), true).Draw(t, label)
}

func TestNormalisingTwiceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Contact{
			ExternalID: drawText(t, "external_id"), Phone: drawText(t, "phone"), Email: drawText(t, "email"),
			FirstName: drawText(t, "first_name"), LastName: drawText(t, "last_name"), Country: drawText(t, "country"),
			Tags:       rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "tags"),
			Attributes: map[string]any{"a": rapid.String().Draw(t, "a"), "b": rapid.Float64().Draw(t, "b"), "c": nil},
		}
		if normalise(&c) != nil {
			return
		}
		once := c
		once.Tags, once.Attributes = slices.Clone(c.Tags), maps.Clone(c.Attributes)
		require.Empty(t, normalise(&c))
		require.Equal(t, once, c)
	})
}

// TestBothDatabasesFoldEveryCharacterAlike compares store.fold, which is
// SQLite's, with the schema's on PostgreSQL.
func TestBothDatabasesFoldEveryCharacterAlike(t *testing.T) {
	s, err := Open(t.Context(), storetest.PostgresURL(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)

	var all []string
	for r := range unicode.MaxRune {
		if tidied, wrong := tidy(string(r), 1); unicode.IsGraphic(r) && wrong == "" && tidied != "" {
			all = append(all, tidied)
		}
	}
	rows, err := s.pool.Query(t.Context(), "SELECT x, fold(x) FROM unnest($1::text[]) x", all)
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var text, folded string
		require.NoError(t, rows.Scan(&text, &folded))
		if want := fold(text); want != folded {
			require.Equal(t, want, folded, text)
		}
	}
	require.NoError(t, rows.Err())
	require.Greater(t, n, 100_000)
}

func BenchmarkNormalise(b *testing.B) {
	p := func(s string) *string { return &s }
	b.ReportAllocs()
	for b.Loop() {
		c := Contact{
			ExternalID: p("customer-10001"), Phone: p("+447911123456"), Email: p("Ada.Lovelace@Example.com"),
			FirstName: p("Ada"), LastName: p("Lovelace"), Country: p("gb"), Tags: []string{"vip", "beta"},
			Attributes: map[string]any{"plan": "gold", "age": 33.0, "newsletter": true},
		}
		if fs := normalise(&c); fs != nil {
			b.Fatal(fs)
		}
	}
}
