package store

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// csvRecord reads records as in RFC 4180; a line may end with LF alone. The
// zero value is ready.
//
// It differs from encoding/csv in what follows a mistake: a record that cannot
// be read costs its first line, and the next one begins on the line after it. A
// quote that is never closed so cannot swallow the good lines below it.
type csvRecord struct {
	cells [][]byte // no cells: an empty line. They point into what was read
	fault string   // what is wrong with the record; then there are no cells
}

const notCSV = "is not CSV: "

// read takes the record that b, which is not empty, begins with, and returns its
// length with the end of the line. It returns 0 if more of the file is needed,
// which it never does when b is the last of it.
func (r *csvRecord) read(b []byte, last bool) int {
	r.cells, r.fault = r.cells[:0], ""
	if n := emptyLine(b); n > 0 {
		return n
	}
	for at := 0; ; {
		cell, end, state := readCell(b, at)
		r.cells = append(r.cells, cell)
		switch {
		case state == cellBroken:
			return r.broken(b, last, cell)
		case end > maxRecord:
			return r.broken(b, last, fmt.Appendf(nil, "is longer than %d bytes", maxRecord))
		case (state == cellOpen || state == cellEndsRecord) && bytes.Count(b[:end], []byte{'\n'}) > maxRecordLines:
			return r.broken(b, last, fmt.Appendf(nil, notCSV+"a quote is not closed within %d lines", maxRecordLines))
		case state == cellEndsRecord:
			return end
		case state == cellOpen && last:
			return r.broken(b, last, []byte(notCSV+"a quote is not closed"))
		case state == cellEndsInput && last:
			return end
		case state == cellOpen || state == cellEndsInput:
			return 0
		}
		at = end
	}
}

// broken gives up the record and takes its first line only.
func (r *csvRecord) broken(b []byte, last bool, fault []byte) int {
	r.cells, r.fault = r.cells[:0], string(fault)
	return lineLength(b, last)
}

func emptyLine(b []byte) int {
	switch {
	case b[0] == '\n':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// How a cell ended.
const (
	cellEndsCell   = iota // before another one
	cellEndsRecord        // with the line
	cellEndsInput         // with what is there: it may go on
	cellOpen              // within quotes, with what is there
	cellBroken            // it is no cell; it holds what is wrong instead
)

// readCell takes the cell at b[at:] and says where what follows it begins.
func readCell(b []byte, at int) (cell []byte, end, state int) {
	if at < len(b) && b[at] == '"' {
		return readQuoted(b, at+1)
	}
	for i := at; i < len(b); i++ {
		switch b[i] {
		case ',':
			return b[at:i], i + 1, cellEndsCell
		case '\n':
			return bytes.TrimSuffix(b[at:i], []byte{'\r'}), i + 1, cellEndsRecord
		case '"':
			return []byte(notCSV + "a quote stands inside a cell that does not begin with one"), i, cellBroken
		}
	}
	return bytes.TrimSuffix(b[at:], []byte{'\r'}), len(b), cellEndsInput
}

// readQuoted takes a cell whose text begins at b[at], after its quote.
func readQuoted(b []byte, at int) (cell []byte, end, state int) {
	doubled := false
	for i := at; ; i += 2 {
		q := bytes.IndexByte(b[i:], '"')
		if q < 0 {
			return nil, len(b), cellOpen
		}
		i += q
		after := b[i+1:]
		if len(after) > 0 && after[0] == '"' {
			doubled = true
			continue
		}
		cell = b[at:i]
		if doubled {
			cell = bytes.ReplaceAll(cell, []byte(`""`), []byte(`"`))
		}
		switch {
		case len(after) == 0 || len(after) == 1 && after[0] == '\r':
			return cell, len(b), cellEndsInput
		case after[0] == ',':
			return cell, i + 2, cellEndsCell
		case after[0] == '\n':
			return cell, i + 2, cellEndsRecord
		case after[0] == '\r' && after[1] == '\n':
			return cell, i + 3, cellEndsRecord
		}
		return []byte(notCSV + "there is text after a closing quote"), i + 1, cellBroken
	}
}

// csvColumn puts a cell that is not empty into a row.
type csvColumn func(r *importRow, cell string)

// maxColumns is more than any header has that names each column once.
const maxColumns = maxAttributes + 20

// csvColumns says what the columns of a file mean, by their names. With any
// fault the columns are of no use.
func csvColumns(header []string) (columns []csvColumn, fs faults) {
	seen, identified := map[string]bool{}, false
	for _, name := range header[:min(len(header), maxColumns)] {
		field := "/columns/" + pointerToken(name)
		column := csvColumnOf(name)
		switch {
		case column == nil:
			fs = append(fs, Fault{
				Code: CodeValidation, Field: field, Message: "is not a known column", Value: shown(name),
				Expected: "external_id, phone, email, first_name, last_name, country, tags, opted_out or attributes.KEY",
			})
		case seen[name]:
			fs.add(CodeValidation, field, "is there twice", shown(name))
		}
		seen[name] = true
		identified = identified || name == "external_id" || name == "phone" || name == "email"
		columns = append(columns, column)
	}
	if len(header) > maxColumns {
		fs.add(CodeValidation, "/columns", fmt.Sprintf("are more than %d", maxColumns), "")
	}
	if !identified {
		fs.add(CodeMissingField, "/columns", "need at least one of external_id, phone and email", "")
	}
	const listed = 20
	return columns, fs[:min(len(fs), listed)]
}

func csvColumnOf(name string) csvColumn {
	switch name {
	case "tags":
		return func(r *importRow, cell string) { r.contact.Tags = strings.Split(cell, "|") }
	case "opted_out":
		return func(r *importRow, cell string) {
			for i, c := range strings.Split(cell, "|") {
				r.optOut(i, strings.TrimSpace(c))
			}
		}
	}
	if key, ok := strings.CutPrefix(name, "attributes."); ok && isAttributeKey(key) {
		return func(r *importRow, cell string) { r.setAttribute(key, csvAttribute(cell)) }
	}
	i := slices.IndexFunc(contactTexts[:], func(t contactText) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return func(r *importRow, cell string) { *contactTexts[i].of(&r.contact) = &cell }
}

// csvAttribute finds the type that a cell has none of: true, false, and what
// reads as a JSON number are what they look like. A number that is too long or
// too large for a float64 to keep as it is (more than 15 digits) stays text.
func csvAttribute(cell string) any {
	switch cell {
	case "true":
		return true
	case "false":
		return false
	}
	if n, ok := jsonNumber(cell); ok {
		return n
	}
	return cell
}

func jsonNumber(s string) (float64, bool) {
	const most = 15
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	digits := len(strings.TrimPrefix(strings.Replace(mantissa, ".", "", 1), "-"))
	if s == "" || digits > most || s[len(s)-1] < '0' || s[len(s)-1] > '9' || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return 0, false // before the checks that cost more
	}
	if !jsontext.Value(s).IsValid() {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && math.Abs(n) <= maxAttributeNumber
}
