// Package gen holds what openapi.yaml is turned into. Everything below it is
// generated, but for this file, the generator's settings (*.cfg.yaml,
// *.overlay.yaml) and spec/spec.go: change openapi.yaml and generate again.
package gen

//go:generate go tool -modfile=../tools.mod oapi-codegen -config types.cfg.yaml ../openapi.yaml
//go:generate go tool -modfile=../tools.mod oapi-codegen -config server.cfg.yaml ../openapi.yaml
//go:generate go tool -modfile=../tools.mod oapi-codegen -config client.cfg.yaml ../openapi.yaml
//go:generate cp ../openapi.yaml spec/openapi.yaml
