package store

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// cutAll gives the parts of a file, each with data of its own.
func cutAll(t *testing.T, format ImportFormat, file io.Reader) (parts []importPart, header []string) {
	t.Helper()
	c, err := newCutter(format, file)
	require.NoError(t, err)
	for {
		p, ok, err := c.next()
		require.NoError(t, err)
		if !ok {
			return parts, c.header
		}
		p.Data = bytes.Clone(p.Data)
		parts = append(parts, p)
	}
}

// records reads a part as it will be applied.
func records(p importPart) (out [][]string) {
	var r csvRecord
	for b := p.Data; len(b) > 0; {
		b = b[r.read(b, true):]
		if r.fault != "" {
			out = append(out, []string{"fault: " + r.fault})
		} else if len(r.cells) > 0 {
			cells := []string{}
			for _, c := range r.cells {
				cells = append(cells, string(c))
			}
			out = append(out, cells)
		}
	}
	return out
}

func TestPartsEndWithARowWhereverTheNewlinesAre(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var file strings.Builder
	w := csv.NewWriter(&file)
	require.NoError(t, w.Write([]string{"external_id", "last_name", "first_name"}))
	var want [][]string
	for file.Len() < 4<<20 {
		record := []string{fmt.Sprint(len(want)), "", strings.Repeat("a\nb\r\n\",", random.IntN(20))}
		want = append(want, record)
		require.NoError(t, w.Write(record))
		w.Flush()
	}
	reader := func() io.Reader { return strings.NewReader(file.String()) }
	for name, r := range map[string]io.Reader{"whole": reader(), "halves": iotest.HalfReader(reader()), "error with data": iotest.DataErrReader(reader())} {
		t.Run(name, func(t *testing.T) {
			parts, header := cutAll(t, CSV, r)
			require.Equal(t, []string{"external_id", "last_name", "first_name"}, header)
			require.Greater(t, len(parts), 4)
			var got [][]string
			line, all := int64(2), 0
			for _, p := range parts {
				require.LessOrEqual(t, len(p.Data), partSize)
				require.Equal(t, line, p.FirstLine)
				line += int64(bytes.Count(p.Data, []byte{'\n'}))
				all += len(p.Data)
				got = append(got, records(p)...)
			}
			require.Equal(t, file.Len()-len("external_id,last_name,first_name\n"), all)
			require.Equal(t, want, got)
		})
	}
}

func TestPartHasABoundedNumberOfRows(t *testing.T) {
	parts, _ := cutAll(t, NDJSON, strings.NewReader(strings.Repeat("{}\n", 2*partRecords+345)))
	require.Len(t, parts, 3)
	require.EqualValues(t, 2*partRecords+1, parts[2].FirstLine)
}

func TestEmptyLinesAreNoRows(t *testing.T) {
	parts, _ := cutAll(t, NDJSON, strings.NewReader(strings.Repeat("\n", 900<<10)+"{}"))
	require.Len(t, parts, 2)
	rows, err := parsePart(NDJSON, nil, parts[1])
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.EqualValues(t, 900<<10+1, rows[0].line)
	require.LessOrEqual(t, cap(rows), partRecords)
}

func TestBodyThatBreaksOffIsNotTheEndOfTheFile(t *testing.T) {
	for _, broken := range []error{io.ErrUnexpectedEOF, fmt.Errorf("reset: %w", io.EOF)} {
		c, err := newCutter(NDJSON, io.MultiReader(strings.NewReader(strings.Repeat("{}\n", 300_000)), iotest.ErrReader(broken)))
		require.NoError(t, err)
		for err == nil {
			_, _, err = c.next()
		}
		require.ErrorIs(t, err, broken)
	}
}

func TestRowsLongerThanAPartAreTakenWhole(t *testing.T) {
	long := `{"first_name":"` + strings.Repeat("x", 700<<10) + `"}` + "\n"
	parts, _ := cutAll(t, NDJSON, strings.NewReader("{}\n"+long+long+"{}"))
	var sizes []int
	for _, p := range parts {
		sizes = append(sizes, len(p.Data))
	}
	require.Equal(t, []int{3, len(long), len(long), 2}, sizes)
}

func TestEndlessLineTakesNoMemoryAndIsReported(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("email\n"), io.LimitReader(readerFunc(func(p []byte) (int, error) {
		for i := range p {
			p[i] = 'x'
		}
		return len(p), nil
	}), 64<<20), strings.NewReader("\nada@example.com\n"))
	c, err := newCutter(CSV, endless)
	require.NoError(t, err)
	p, _, err := c.next()
	require.NoError(t, err)
	require.Less(t, cap(c.buf), 3<<20)
	rows, err := parsePart(CSV, c.header, p)
	require.NoError(t, err)
	require.Equal(t, "is longer than 1048576 bytes", rows[0].faults[0].Message)
	if len(rows) == 1 {
		p, _, err = c.next()
		require.NoError(t, err)
		rows, err = parsePart(CSV, c.header, p)
		require.NoError(t, err)
	}
	last := rows[len(rows)-1]
	require.Nil(t, last.faults)
	require.EqualValues(t, 3, last.line)
	require.EqualValues(t, len("email\n\nada@example.com\n")+64<<20, c.bytes())
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestCSVIsReadAsTheStandardLibraryDoes(t *testing.T) {
	cell := rapid.StringOfN(rapid.SampledFrom([]rune("ab,\"\n\r é")), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 4), 1, 10).Draw(t, "records")
		var file bytes.Buffer
		require.NoError(t, csv.NewWriter(&file).WriteAll(want))
		r := csv.NewReader(bytes.NewReader(file.Bytes()))
		r.FieldsPerRecord = -1
		std, err := r.ReadAll()
		require.NoError(t, err)
		// The library drops a CR before a quoted LF; we keep what is in quotes.
		got := records(importPart{Data: file.Bytes()})
		for _, record := range got {
			for i := range record {
				record[i] = strings.ReplaceAll(record[i], "\r\n", "\n")
			}
		}
		require.Equal(t, std, got)
	})
}

// Whatever the bytes: a record found with more of the file there is the same
// record without, so that a part reads as it was cut.
func TestRecordDoesNotDependOnWhatFollows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file := []byte(rapid.StringOfN(rapid.SampledFrom([]rune("a,\"\n\r")), 1, 40, -1).Draw(t, "file"))
		whole := records(importPart{Data: file})
		var r csvRecord
		var cut [][]string
		for start := 0; start < len(file); {
			n := 0
			for size := 1; n == 0; size++ {
				n = r.read(file[start:start+size], start+size == len(file))
			}
			cut = append(cut, records(importPart{Data: file[start : start+n]})...)
			start += n
		}
		require.Len(t, cut, len(whole))
		for i := range cut {
			if !slices.Equal(cut[i], whole[i]) { // what is wrong may be said otherwise
				require.Contains(t, cut[i][0], "fault")
				require.Contains(t, whole[i][0], "fault")
			}
		}
	})
}

func TestStrayQuoteCostsOneLine(t *testing.T) {
	file := "a,1\n\"b,2\nc,3\n" + strings.Repeat("d,4\n", maxRecordLines) + "\"e\",5\n"
	got := records(importPart{Data: []byte(file)})
	require.Len(t, got, maxRecordLines+4)
	require.Contains(t, got[1][0], "fault")
	require.Equal(t, []string{"c", "3"}, got[2])
	require.Equal(t, []string{"e", "5"}, got[len(got)-1])
}

func TestCellsOfACSVGetTheTypeTheyLookLike(t *testing.T) {
	for cell, want := range map[string]any{
		"true": true, "false": false, "TRUE": "TRUE", "0": 0.0, "-1.50": -1.5, "2e3": 2000.0, "1.5E-1": 0.15,
		"007": "007", "+1": "+1", ".5": ".5", "5.": "5.", "1 ": "1 ", "1,5": "1,5", "0x10": "0x10", "1_000": "1_000", "NaN": "NaN", "-": "-", "1e": "1e",
		"123456789012345": 123456789012345.0, "1234567890123456": "1234567890123456", "1e300": "1e300", "1e999": "1e999",
	} {
		require.Equal(t, want, csvAttribute(cell), cell)
	}
}
