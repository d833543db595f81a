package store

import (
	"bytes"
	"fmt"
	"slices"
)

// importRow is one row of a file: what it gives a contact, and what is wrong
// with it. Once parsed it is only read.
type importRow struct {
	line    int64
	contact Contact  // normalised; nil and empty are not given
	cleared uint     // bit i: contactTexts[i] was given as null
	removed []string // attributes given as null
	faults  faults
}

// contactText is a field of a contact that is text.
type contactText struct {
	name string
	of   func(*Contact) **string
}

var contactTexts = [...]contactText{
	{"external_id", func(c *Contact) **string { return &c.ExternalID }},
	{"phone", func(c *Contact) **string { return &c.Phone }},
	{"email", func(c *Contact) **string { return &c.Email }},
	{"first_name", func(c *Contact) **string { return &c.FirstName }},
	{"last_name", func(c *Contact) **string { return &c.LastName }},
	{"country", func(c *Contact) **string { return &c.Country }},
}

// maxRowFaults is how many faults of one row are kept. It is part of the
// cursors of ImportErrors.
const maxRowFaults = 20

// parsePart reads the rows of a part. It goes through the same records that the
// part was cut at.
func parsePart(format ImportFormat, header []string, p importPart) ([]importRow, error) {
	read := readNDJSON()
	if format == CSV {
		columns, fs := csvColumns(header)
		if fs != nil {
			return nil, fmt.Errorf("the columns of an import: %w", faulty(fs...)) // they were checked when it came in
		}
		read = readCSV(columns)
	}
	rows := make([]importRow, 0, min(bytes.Count(p.Data, []byte{'\n'})+1, partRecords))
	line := p.FirstLine
	for b := p.Data; len(b) > 0; {
		row := importRow{line: line}
		n, empty := read(&row, b)
		line += int64(bytes.Count(b[:n], []byte{'\n'}))
		b = b[n:]
		if empty {
			continue
		}
		row.check()
		rows = append(rows, row)
	}
	return rows, nil
}

// check normalises the contact and adds what is wrong with it. That it lacks
// something is no news if what was given could not be read.
func (r *importRow) check() {
	unread := r.faults != nil
	for _, f := range normalise(&r.contact) {
		if f.Field != "" || !unread {
			r.faults = append(r.faults, f)
		}
	}
	if len(r.faults) > maxRowFaults {
		r.faults = slices.Clone(r.faults[:maxRowFaults])
	}
}

// reader takes one record off b, which is not empty, and says how long it is.
type reader func(row *importRow, b []byte) (n int, empty bool)

func readCSV(columns []csvColumn) reader {
	var record csvRecord
	return func(row *importRow, b []byte) (int, bool) {
		n := record.read(b, true)
		switch {
		case record.fault != "":
			row.faults.add(CodeValidation, "", record.fault, "")
			return n, false
		case len(record.cells) == 0:
			return n, true
		case len(record.cells) != len(columns):
			row.faults.add(CodeValidation, "", fmt.Sprintf("has %d cells, the header has %d", len(record.cells), len(columns)), "")
			return n, false
		}
		for i, cell := range record.cells {
			if len(cell) > 0 {
				columns[i](row, string(cell))
			}
		}
		return n, false
	}
}

func (r *importRow) setAttribute(key string, value any) {
	if r.contact.Attributes == nil {
		r.contact.Attributes = map[string]any{}
	}
	r.contact.Attributes[key] = value
}

// optOut adds the i-th channel of opted_out.
func (r *importRow) optOut(i int, channel string) {
	c := Channel(channel)
	if !slices.Contains(Channels, c) {
		if len(r.faults) >= maxRowFaults {
			return
		}
		r.faults = append(r.faults, Fault{
			Code: CodeValidation, Field: fmt.Sprintf("/opted_out/%d", i), Message: "is not a channel",
			Value: shown(channel), Expected: "one of sms, whatsapp, rcs, viber, email",
		})
		return
	}
	r.contact.OptedOut |= c.bit()
}
