package contract

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// security is how an operation's key may be presented, and what it must allow.
// A public operation has neither.
type security struct {
	headers   []string // of apiKey schemes, in canonical form
	bearer    bool
	scopes    []string
	authorize func(c echo.Context, key string, scopes []string) error
}

// compileSecurity takes alternatives of one scheme each: an API key in a header
// or a bearer token. All must name the same scopes, since one key is meant.
func compileSecurity(doc *openapi3.T, src *openapi3.Operation, authorize func(echo.Context, string, []string) error) (security, error) {
	s := security{authorize: authorize}
	requirements := src.Security
	if requirements == nil {
		requirements = &doc.Security
	}
	if *requirements == nil {
		return s, errors.New("it says nothing of its security: write `security: []` for a public operation")
	}
	for i, requirement := range *requirements {
		if len(requirement) != 1 {
			return s, errors.New("security: each alternative must name exactly one scheme")
		}
		for name, scopes := range requirement {
			if err := s.add(name, doc.Components); err != nil {
				return s, fmt.Errorf("security scheme %s: %w", name, err)
			}
			if i > 0 && !slices.Equal(s.scopes, scopes) {
				return s, errors.New("security: the alternatives differ in their scopes")
			}
			s.scopes = scopes
		}
	}
	if len(*requirements) > 0 && authorize == nil {
		return s, errors.New("it has security, but Options.Authorize is nil")
	}
	return s, nil
}

func (s *security) add(name string, components *openapi3.Components) error {
	if components == nil || components.SecuritySchemes[name] == nil || components.SecuritySchemes[name].Value == nil {
		return errors.New("it is not declared")
	}
	switch scheme := components.SecuritySchemes[name].Value; {
	case scheme.Type == "apiKey" && scheme.In == "header":
		s.headers = append(s.headers, http.CanonicalHeaderKey(scheme.Name))
	case scheme.Type == "http" && strings.EqualFold(scheme.Scheme, "bearer"):
		s.bearer = true
	default:
		return fmt.Errorf("type %s %s%s is not enforced", scheme.Type, scheme.In, scheme.Scheme)
	}
	return nil
}

func (s *security) check(c echo.Context, h http.Header) error {
	if len(s.headers) == 0 && !s.bearer {
		return nil
	}
	key, err := s.key(h)
	if err != nil {
		return err
	}
	return s.authorize(c, key, s.scopes)
}

// key is the one key that the request presents. Two that differ are no key, nor
// is a header that is given twice: a proxy in between may have read the other.
func (s *security) key(h http.Header) (string, error) {
	key := ""
	for _, name := range s.headers {
		if err := merge(&key, h[name]); err != nil {
			return "", err
		}
	}
	if s.bearer {
		var tokens []string
		for _, v := range h["Authorization"] {
			if scheme, token, _ := strings.Cut(v, " "); strings.EqualFold(scheme, "bearer") {
				tokens = append(tokens, strings.TrimLeft(token, " "))
			}
		}
		if err := merge(&key, tokens); err != nil {
			return "", err
		}
	}
	if key == "" {
		return "", &Violation{Status: http.StatusUnauthorized, Code: codeUnauthorized}
	}
	return key, nil
}

func merge(key *string, given []string) error {
	switch {
	case len(given) == 0 || len(given) == 1 && given[0] == "":
		return nil
	case len(given) > 1, *key != "" && subtle.ConstantTimeCompare([]byte(*key), []byte(given[0])) == 0:
		return &Violation{Status: http.StatusUnauthorized, Code: codeInvalidKey}
	}
	*key = given[0]
	return nil
}
