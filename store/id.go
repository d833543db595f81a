package store

import "go.jetify.com/typeid/v2"

// newID makes a public id: prefix, underscore, 26 characters that sort by time
// (TypeID, a UUIDv7 in Crockford's base32). The integer keys never leave the
// database.
func newID(prefix string) string { return typeid.MustGenerate(prefix).String() }
