// Package spec carries openapi.yaml inside the binary. It is written by hand;
// the copy of openapi.yaml beside it is made by go generate, because an embedded
// file has to lie below its package. It knows nothing of what the document says.
package spec

import _ "embed"

// YAML is openapi.yaml, byte for byte. Callers must not change it.
//
//go:embed openapi.yaml
var YAML []byte
