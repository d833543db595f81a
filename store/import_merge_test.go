package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// importRows draws rows that keep meeting each other's identifiers.
func importRows(t *rapid.T) []importRow {
	few := func(name string, values ...string) *string {
		i := rapid.IntRange(0, len(values)).Draw(t, name)
		if i == len(values) {
			return nil
		}
		return &values[i]
	}
	rows := make([]importRow, rapid.IntRange(1, 30).Draw(t, "rows"))
	for i := range rows {
		rows[i] = importRow{line: int64(i + 1), contact: Contact{
			ExternalID: few("external_id", "1", "2", "3"), Phone: few("phone", "+447911123456", "+447911123457", "+447911123458"),
			Email: few("email", "a@example.com", "b@example.com", "c@example.com", "nonsense"), FirstName: few("first_name", "Ada", "Ben"),
			OptedOut: ChannelSet(rapid.IntRange(0, 31).Draw(t, "opted_out")),
		}}
		r := &rows[i]
		if tag := few("tag", "x", "y"); tag != nil {
			r.contact.Tags = []string{*tag}
		}
		for key, value := range rapid.MapOfN(rapid.SampledFrom([]string{"k", "l"}), rapid.IntRange(0, 2), 0, 2).Draw(t, "attributes") {
			if value == 0 {
				r.removed = append(r.removed, key)
			} else {
				r.setAttribute(key, float64(value))
			}
		}
		for bit, c := range contactTexts {
			if *c.of(&r.contact) == nil && rapid.IntRange(0, 4).Draw(t, "null") == 0 {
				r.cleared |= 1 << bit
			}
		}
		r.check()
	}
	return rows
}

// plainly is what a contact says, without what differs from run to run.
func plainly(c Contact) string {
	text := func(p *string) string {
		if p == nil {
			return "-"
		}
		return *p
	}
	keys := slices.Sorted(maps.Keys(c.Attributes))
	out := fmt.Sprint(c.Tags, c.OptedOut, c.Search, keys)
	for _, key := range keys {
		out += fmt.Sprint(c.Attributes[key])
	}
	for _, t := range contactTexts {
		out += " " + text(*t.of(&c))
	}
	return out
}

// Applied together or each by itself: the same contacts, the same refusals.
func TestRowsTogetherDoWhatTheyDoOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := importRows(t)
		together := newImportBatch(Scope{}, nil)
		var sum importResult
		var kept []Contact
		for i := range rows {
			together.apply(&rows[i])

			one := newImportBatch(Scope{}, kept)
			one.apply(&rows[i])
			sum.add(one.done)
			for _, c := range one.touched {
				if c.ID != 0 {
					kept[c.ID-1] = c.Contact
					continue
				}
				c.ID = int64(len(kept) + 1)
				kept = append(kept, c.Contact)
			}
		}
		var got, want []string
		for _, c := range together.touched {
			got = append(got, plainly(c.Contact))
		}
		for _, c := range kept {
			want = append(want, plainly(c))
		}
		require.Equal(t, want, got)
		require.Equal(t, sum.created, together.done.created)
		require.Equal(t, sum.updated, together.done.updated)
		require.Equal(t, sum.failed, together.done.failed)
		require.Zero(t, slices.CompareFunc(sum.faults, together.done.faults, func(a, b ImportError) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.N, b.N), cmp.Compare(a.Code, b.Code))
		}))
		for _, identifier := range contactTexts[:3] {
			seen := map[string]bool{}
			for _, c := range together.touched {
				if id := *identifier.of(&c.Contact); id != nil {
					require.False(t, seen[*id], "%s %s is of two contacts", identifier.name, *id)
					seen[*id] = true
				}
			}
		}
	})
}

func TestRowThatSaysNothingNewChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := importRows(t)
		b := newImportBatch(Scope{}, nil)
		for i := range rows {
			b.apply(&rows[i])
		}
		last := &rows[len(rows)-1]
		if last.faults != nil || b.done.failed > 0 && b.done.faults[len(b.done.faults)-1].Line == last.line {
			return
		}
		c, _ := b.find(last)
		if c == nil {
			return // it cleared the identifier that it was found by
		}
		_, changed := last.merge(c.Contact)
		require.False(t, changed)
	})
}
