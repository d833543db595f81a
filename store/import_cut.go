package store

import (
	"bytes"
	"fmt"
	"io"
)

// The bounds of a file to import.
const (
	maxRecord      = 1 << 20   // bytes of a row
	maxRecordLines = 100       // lines that a row of a CSV file may go over
	partSize       = 512 << 10 // bytes of a part, if its rows allow
	partRecords    = 4_000     // rows of a part: what is applied in one transaction
)

// cutter cuts a file into parts of whole rows as it comes in. What is one row is
// decided by the same code that later reads it, see record.
type cutter struct {
	raw    *countingReader
	r      io.Reader // raw without the rest of lines that are too long
	record func(b []byte, last bool) int
	header []string

	buf  []byte // read and not yet given out, after used
	used int    // given out by the last next
	line int64  // the number of buf[used:]'s first line

	ended bool // there is nothing after buf
}

// newCutter reads the beginning of the file: the byte order mark goes, the
// header of a CSV file is checked.
func newCutter(format ImportFormat, body io.Reader) (*cutter, error) {
	raw := &countingReader{r: body}
	c := &cutter{raw: raw, r: &lineClipper{r: raw, limit: maxRecord + 1}, record: lineLength, header: []string{}, line: 1}
	if format == CSV {
		c.record = new(csvRecord).read
	}
	if err := c.fill(partSize); err != nil {
		return nil, err
	}
	c.buf = bytes.TrimPrefix(c.buf, []byte("\ufeff"))
	if len(bytes.TrimSpace(c.buf)) == 0 && c.ended {
		return nil, faulty(Fault{Code: CodeValidation, Message: "is empty", Expected: "a file of contacts"})
	}
	if format == CSV {
		return c, c.readHeader()
	}
	return c, nil
}

// readHeader takes the first record that is not an empty line.
func (c *cutter) readHeader() error {
	for {
		var r csvRecord
		n, err := c.wait(r.read)
		if err != nil {
			return err
		}
		line := c.line
		c.take(n)
		if r.fault != "" {
			return faulty(Fault{Code: CodeValidation, Field: "/columns", Message: fmt.Sprintf("cannot be read: line %d %s", line, r.fault)})
		}
		if len(r.cells) > 0 {
			for _, cell := range r.cells {
				c.header = append(c.header, string(bytes.TrimSpace(cell)))
			}
			_, faults := csvColumns(c.header)
			return faulty(faults...)
		}
	}
}

// next gives the next part; ok is false after the last. The part's data is good
// until the following call.
func (c *cutter) next() (part importPart, ok bool, err error) {
	c.buf = c.buf[:copy(c.buf, c.buf[c.used:])]
	c.used = 0
	if err := c.fill(partSize); err != nil {
		return importPart{}, false, err
	}
	part.FirstLine = c.line
	for records := 0; records < partRecords && c.used < len(c.buf); {
		n := c.record(c.buf[c.used:], c.ended)
		if n == 0 && c.used > 0 || c.used > 0 && c.used+n > partSize {
			break // it begins the next part
		}
		if n == 0 {
			if n, err = c.wait(c.record); err != nil {
				return importPart{}, false, err
			}
		}
		if emptyLine(c.buf[c.used:]) == 0 {
			records++
		}
		c.take(n)
	}
	part.Data = c.buf[:c.used]
	return part, c.used > 0, nil
}

// wait reads on until the record at c.used is there whole.
func (c *cutter) wait(record func(b []byte, last bool) int) (int, error) {
	for {
		n := record(c.buf[c.used:], c.ended)
		if n > 0 || c.ended {
			return n, nil
		}
		if err := c.fill(len(c.buf) + partSize); err != nil {
			return 0, err
		}
	}
}

func (c *cutter) take(n int) {
	c.line += int64(bytes.Count(c.buf[c.used:c.used+n], []byte{'\n'}))
	c.used += n
}

// fill reads until buf holds size bytes or the file ends.
func (c *cutter) fill(size int) error {
	if cap(c.buf) < size {
		c.buf = append(make([]byte, 0, size), c.buf...)
	}
	for len(c.buf) < size && !c.ended {
		n, err := c.r.Read(c.buf[len(c.buf):size])
		c.buf = c.buf[:len(c.buf)+n]
		switch {
		case err == io.EOF: // itself: an error that only wraps it is a body that broke off
			c.ended = true
		case err != nil:
			return fmt.Errorf("read the file to import: %w", err)
		}
	}
	return nil
}

func (c *cutter) bytes() int64 { return c.raw.n }

// lineLength is a record of NDJSON: one line, with its end.
func lineLength(b []byte, last bool) int {
	if n := bytes.IndexByte(b, '\n'); n >= 0 {
		return n + 1
	}
	if last {
		return len(b)
	}
	return 0
}

// countingReader knows how much was read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// lineClipper drops what goes beyond limit in a line, so that a line without end
// takes no memory. The rest still tells that it was too long.
type lineClipper struct {
	r     io.Reader
	limit int
	at    int // bytes of this line that were passed on
}

func (l *lineClipper) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	kept := 0
	for rest := p[:n]; len(rest) > 0; {
		line := rest
		end := bytes.IndexByte(rest, '\n')
		if end >= 0 {
			line = rest[:end]
		}
		rest = rest[len(line):]
		line = line[:min(len(line), l.limit-l.at)]
		kept += copy(p[kept:], line)
		l.at += len(line)
		if end >= 0 {
			p[kept], l.at = '\n', 0
			kept, rest = kept+1, rest[1:]
		}
	}
	return kept, err
}
