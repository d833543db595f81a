package content

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Values is what one contact offers to a template. An empty field counts as
// missing.
type Values struct {
	FirstName      string
	LastName       string
	Email          string
	Phone          string
	Country        string
	ExternalID     string
	ContactID      string
	UnsubscribeURL string
	CampaignName   string

	// Attributes is a JSON object of strings, numbers and booleans, or nil.
	// Other values in it count as missing. It is read only by templates that
	// name an attribute, and never changed or kept.
	Attributes []byte
}

// attributesName is the variable under which {{ attributes.KEY }} finds KEY.
// {{ KEY }} finds it too, as long as KEY is not the name of a field.
const attributesName = "attributes"

// field is a member of Values as a template names it.
type field uint8

const (
	fieldNone field = iota
	fieldFirstName
	fieldLastName
	fieldEmail
	fieldPhone
	fieldCountry
	fieldExternalID
	fieldContactID
	fieldUnsubscribeURL
	fieldCampaignName
	fieldAttribute // the key is kept elsewhere
)

var fieldNames = map[string]field{
	"first_name":      fieldFirstName,
	"last_name":       fieldLastName,
	"email":           fieldEmail,
	"phone":           fieldPhone,
	"country":         fieldCountry,
	"external_id":     fieldExternalID,
	"contact_id":      fieldContactID,
	"unsubscribe_url": fieldUnsubscribeURL,
	"campaign_name":   fieldCampaignName,
}

func (v *Values) field(f field) string {
	switch f {
	case fieldFirstName:
		return v.FirstName
	case fieldLastName:
		return v.LastName
	case fieldEmail:
		return v.Email
	case fieldPhone:
		return v.Phone
	case fieldCountry:
		return v.Country
	case fieldExternalID:
		return v.ExternalID
	case fieldContactID:
		return v.ContactID
	case fieldUnsubscribeURL:
		return v.UnsubscribeURL
	case fieldCampaignName:
		return v.CampaignName
	default:
		return ""
	}
}

// attributeReader walks over attributes without allocating.
type attributeReader struct {
	decoder jsontext.Decoder
	buffer  bytes.Buffer
	slots   []jsontext.Value // for plainTemplate: the value of each key it names
}

var attributeReaders = sync.Pool{New: func() any { return new(attributeReader) }}

// each calls visit with every name (without its quotes, as written) and value.
// Both are parts of attributes.
func (r *attributeReader) each(attributes []byte, visit func(name []byte, value jsontext.Value)) error {
	if len(attributes) == 0 {
		return nil
	}
	r.buffer = *bytes.NewBuffer(attributes)
	// Names are unique in what the database gives; checking would allocate.
	r.decoder.Reset(&r.buffer, jsontext.AllowDuplicateNames(true))
	defer func() { r.buffer = bytes.Buffer{} }()

	if token, err := r.decoder.ReadToken(); err != nil {
		return fmt.Errorf("read attributes: %w", err)
	} else if token.Kind() != '{' {
		return errors.New("read attributes: not a JSON object")
	}
	next := func() (jsontext.Value, error) {
		value, err := r.decoder.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("read attributes: %w", noEOF(err))
		}
		end := r.decoder.InputOffset() // value itself lives only until the next read
		return attributes[int(end)-len(value) : end], nil
	}
	for r.decoder.PeekKind() != '}' {
		name, err := next()
		if err != nil {
			return err
		}
		value, err := next()
		if err != nil {
			return err
		}
		visit(name[1:len(name)-1], value)
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decodeAttributes returns string, int, float64 and bool values by name; empty
// strings, null, objects and arrays are left out.
func decodeAttributes(attributes []byte) (map[string]any, error) {
	r := attributeReaders.Get().(*attributeReader)
	defer attributeReaders.Put(r)

	decoded := map[string]any{}
	err := r.each(attributes, func(name []byte, value jsontext.Value) {
		if v := attributeValue(value); v != nil {
			decoded[string(name)] = v
		}
	})
	return decoded, err
}

// attributeValue returns a string, int, float64, bool or, for a value that
// counts as missing, nil.
func attributeValue(value jsontext.Value) any {
	switch value.Kind() {
	case '"':
		if text, _ := jsontext.AppendUnquote(nil, value); len(text) > 0 {
			return string(text)
		}
	case '0':
		if isInteger(value) {
			n, _ := strconv.Atoi(string(value))
			return n
		}
		if f, err := strconv.ParseFloat(string(value), 64); err == nil {
			return f
		}
	case 't', 'f':
		return value.Kind() == 't'
	}
	return nil
}

// appendAttribute appends what {{ KEY }} shows for a value, in the very form in
// which the library would show attributeValue(value).
func appendAttribute(dst []byte, value jsontext.Value, html bool) []byte {
	switch value.Kind() {
	case '"':
		if text := value[1 : len(value)-1]; bytes.IndexByte(text, '\\') < 0 {
			return appendValue(dst, text, html)
		}
		text, _ := jsontext.AppendUnquote(nil, value)
		return appendValue(dst, text, html)
	case '0':
		if isInteger(value) {
			n, _ := strconv.Atoi(string(value))
			return strconv.AppendInt(dst, int64(n), 10)
		}
		if f, err := strconv.ParseFloat(string(value), 64); err == nil {
			return strconv.AppendFloat(dst, f, 'f', -1, 64)
		}
	case 't', 'f':
		return append(dst, value...)
	}
	return dst
}

// isInteger tells whether a JSON number is written without fraction and exponent
// and surely fits an int. Trying Atoi instead would allocate an error.
func isInteger(number jsontext.Value) bool {
	return len(number) <= maxDigits && !bytes.ContainsAny(number, ".eE")
}
