package server

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/spec"
)

// beside is what is served besides the operations of openapi.yaml. An address that
// ends in /* stands for all below it.
var beside = []string{
	"GET /openapi.yaml", "GET /openapi.json", "GET /docs", "GET /docs/*", "GET /healthz", "GET /readyz",
	"GET /unsubscribe/{token}", "POST /unsubscribe/{token}", "POST /carriers/{name}/receipts",
}

func isBeside(route string) bool {
	for _, address := range beside {
		below, whole := strings.CutSuffix(address, "*")
		if route == address || whole && strings.HasPrefix(route, below) {
			return true
		}
	}
	return false
}

func TestEveryRouteIsAnOperationOrStandsBeside(t *testing.T) {
	e, err := routes(Options{})
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(spec.YAML)
	require.NoError(t, err)
	operations := map[string]bool{} // whether it has a route
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			operations[method+" "+path] = false
		}
	}
	for _, r := range e.Routes() {
		parts := strings.Split(r.Path, "/")
		for i, part := range parts {
			if name, ok := strings.CutPrefix(part, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		route := r.Method + " " + strings.Join(parts, "/")
		if _, ok := operations[route]; ok {
			operations[route] = true
			continue
		}
		require.True(t, isBeside(route), "%s is neither an operation of openapi.yaml nor known to stand beside", route)
	}
	for operation, routed := range operations {
		require.True(t, routed, "%s has no route", operation)
	}
}
