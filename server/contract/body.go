package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// body is what an operation takes as one media type.
type body struct {
	mediaType string  // in lower case
	schema    *schema // nil: the body is streamed and its content not looked at
	limit     int64   // bytes
}

// bodies compiles the body by media type. A type other than JSON is taken as a
// stream of bytes: its schema may say that it is a string, and no more.
func (c *compiler) bodies(src *openapi3.RequestBody, limit int64) (map[string]*body, error) {
	all := map[string]*body{}
	for name, media := range src.Content {
		b := &body{mediaType: strings.ToLower(name)}
		var err error
		if b.limit, err = limitOf(media.Extensions, limit); err != nil {
			return nil, fmt.Errorf("body %s: %w", name, err)
		}
		switch {
		case strings.ContainsAny(name, "*;") || len(media.Encoding) > 0 || media.ItemSchema != nil:
			err = errors.New("ranges, parameters, encoding and itemSchema are not enforced")
		case b.mediaType == "application/json" || strings.HasSuffix(b.mediaType, "+json"):
			b.schema, err = c.compile(media.Schema, false)
		default:
			err = checkStream(media.Schema, b.limit)
		}
		if err != nil {
			return nil, fmt.Errorf("body %s: %w", name, err)
		}
		all[b.mediaType] = b
	}
	return all, nil
}

// checkStream fails on a schema that asks more of a stream than its size. A
// maxLength, which counts characters, is kept by a limit in bytes not above it;
// a minLength of 1 because an empty body is none.
func checkStream(ref *openapi3.SchemaRef, limit int64) error {
	if ref == nil {
		return nil
	}
	keywords, err := keywordsOf(ref)
	if err != nil {
		return err
	}
	src := ref.Value
	for _, k := range keywords {
		kept := k == "type" && src.Type.Is("string") ||
			k == "format" && src.Format == "binary" ||
			k == "minLength" && src.MinLength == 1 ||
			k == "maxLength" && int64(*src.MaxLength) >= limit
		if !kept {
			return fmt.Errorf("%s is not enforced for a body that is not JSON", k)
		}
	}
	return nil
}

// checkBody checks the body's headers, then reads and checks JSON, or puts a
// limit on a stream. A Violation that it returns ends the check at once; what
// else is wrong with the body goes to f.
func (op *operation) checkBody(r *http.Request, f *faults) error {
	if op.bodies == nil {
		refuseBody(r, f)
		return nil
	}
	if r.ContentLength == 0 && len(r.Header["Content-Type"]) == 0 {
		op.missingBody(r, f)
		return nil
	}
	b, err := op.media(r.Header)
	if err != nil {
		return err
	}
	if r.ContentLength > b.limit {
		return tooLarge(b.limit)
	}
	stream := &limited{http.MaxBytesReader(nil, r.Body, b.limit), b.limit}
	if b.schema == nil && r.ContentLength != 0 {
		r.Body = stream
		return nil
	}
	data, err := readAll(stream, r.ContentLength)
	switch {
	case err != nil:
		if v, exceeded := errors.AsType[*Violation](err); exceeded {
			return v
		}
		f.fault(inBody, "", &ruleCutShort, nil)
	case len(data) == 0:
		op.missingBody(r, f)
	default:
		kept := &checked{data: checkJSON(data, b.schema, f)}
		kept.Reset(kept.data)
		r.Body, r.ContentLength = kept, int64(len(kept.data))
	}
	return nil
}

// refuseBody looks for a first byte where no body is declared. Its length
// alone does not tell: that of a chunked body is not announced.
func refuseBody(r *http.Request, f *faults) {
	if r.Body == nil || r.ContentLength == 0 {
		return
	}
	if _, err := io.ReadFull(r.Body, make([]byte, 1)); err != io.EOF {
		f.fault(inBody, "", &ruleNoBody, nil)
	}
	r.Body = http.NoBody
}

func (op *operation) missingBody(r *http.Request, f *faults) {
	if !op.optional {
		f.fault(inBody, "", &ruleRequired, nil)
	}
	r.Body = http.NoBody
}

// media is what the body's headers say that it is. The header is rewritten in
// the document's letters, since the generated server compares prefixes.
func (op *operation) media(h http.Header) (*body, error) {
	for _, encoding := range h["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return nil, unsupported("Content-Encoding", "identity: bodies are taken uncompressed")
		}
	}
	given := h["Content-Type"]
	if len(given) == 1 {
		if b := op.bodies[given[0]]; b != nil {
			return b, nil
		}
		name, parameters, err := mime.ParseMediaType(given[0])
		charset := parameters["charset"]
		if b := op.bodies[name]; b != nil && err == nil && (charset == "" || strings.EqualFold(charset, "utf-8")) {
			h["Content-Type"] = []string{b.mediaType}
			return b, nil
		}
	}
	return nil, unsupported("Content-Type", "in UTF-8 and one of: "+strings.Join(slices.Sorted(maps.Keys(op.bodies)), ", "))
}

func unsupported(header, expected string) error {
	r := must("unsupported", "be", expected, codeUnsupportedMedia)
	return refuse(http.StatusUnsupportedMediaType, codeUnsupportedMedia, inHeader, header, r)
}

func tooLarge(limit int64) error {
	r := must("maxBytes", "have", fmt.Sprintf("at most %d bytes", limit), codePayloadTooLarge)
	return refuse(http.StatusRequestEntityTooLarge, codePayloadTooLarge, inBody, "", r)
}

// limited is a body that fails with a Violation of status 413 beyond its limit.
type limited struct {
	io.ReadCloser // an http.MaxBytesReader
	limit         int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if _, exceeded := errors.AsType[*http.MaxBytesError](err); exceeded {
		err = tooLarge(l.limit)
	}
	return n, err
}

// maxAhead is the most memory given to a body on the strength of its announced
// length; the rest is given as it arrives.
const maxAhead = 64 << 10

// readAll is io.ReadAll into a buffer that fits the announced length at once.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(announced, 0), maxAhead)) + bytes.MinRead) // MinRead: room for Buffer to meet the end
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}
