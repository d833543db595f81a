package contract

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProblemIsPreferredWhereItIsNamedAndJSONIsLess(t *testing.T) {
	for accept, preferred := range map[string]bool{
		"":                                    false,
		"*/*":                                 false,
		"application/*":                       false,
		"application/json":                    false,
		"application/problem+json":            true,
		"Application/Problem+JSON":            true,
		"application/problem+json;q=0":        false,
		"application/problem+json, */*":       true,
		"application/problem+json;q=0.5, */*": false,
		"application/json, application/problem+json":                false,
		"application/problem+json, application/json":                false,
		"application/problem+json, application/json;q=0.9":          true,
		"application/json;q=0.1,application/problem+json;q=0.2":     true,
		"application/json, application/problem+json;q=0.9, */*;q=0": false,
	} {
		require.Equal(t, preferred, PrefersProblem([]string{accept}), accept)
	}
	require.False(t, PrefersProblem(nil))
	require.True(t, PrefersProblem([]string{"application/json;q=0.5", "application/problem+json"}))
}
