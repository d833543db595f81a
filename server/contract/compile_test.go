package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func allowAll(echo.Context, string, []string) error { return nil }

// compileText compiles a document of one operation.
func compileText(t *testing.T, operation, components string) error {
	t.Helper()
	doc := parseSpec(t, fmt.Sprintf(`
openapi: 3.1.1
info: {title: t, version: "1"}
paths:
  /v1/things/{id}:
    post: {operationId: postThing, responses: {"200": {description: done}}, %s}
components:
  securitySchemes:
    apiKey: {type: apiKey, in: header, name: X-API-Key}
    bearer: {type: http, scheme: bearer}
    basic: {type: http, scheme: basic}
    inQuery: {type: apiKey, in: query, name: key}
    inCookie: {type: apiKey, in: cookie, name: key}
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: https://example.com/token, scopes: {}}}}
    openID: {type: openIdConnect, openIdConnectUrl: https://example.com/id}
    mutual: {type: mutualTLS}
  schemas: {%s}
`, operation, components))
	_, err := Compile(doc, Options{MaxBody: 1000, Authorize: allowAll})
	return err
}

func compileSchema(t *testing.T, schema, components string) error {
	t.Helper()
	return compileText(t, `security: [], requestBody: {content: {application/json: {schema: `+schema+`}}}`, components)
}

func TestCompileRefusesWhatIsNotEnforcedInASchema(t *testing.T) {
	for schema, why := range map[string]string{
		`{not: {type: string}}`:                                   `keyword "not"`,
		`{if: {type: string}, then: {}}`:                          `keyword "if"`,
		`{then: {}}`:                                              `keyword "then"`,
		`{else: {}}`:                                              `keyword "else"`,
		`{patternProperties: {a: {}}}`:                            `keyword "patternProperties"`,
		`{dependentRequired: {a: [b]}}`:                           `keyword "dependentRequired"`,
		`{dependentSchemas: {a: {}}}`:                             `keyword "dependentSchemas"`,
		`{contains: {}}`:                                          `keyword "contains"`,
		`{minContains: 1}`:                                        `keyword "minContains"`,
		`{maxContains: 1}`:                                        `keyword "maxContains"`,
		`{prefixItems: [{}]}`:                                     `keyword "prefixItems"`,
		`{unevaluatedItems: false}`:                               `keyword "unevaluatedItems"`,
		`{unevaluatedProperties: false}`:                          `keyword "unevaluatedProperties"`,
		`{type: number, multipleOf: 2}`:                           `keyword "multipleOf"`,
		`{type: string, nullable: true}`:                          `keyword "nullable"`,
		`{contentEncoding: base64}`:                               `keyword "contentEncoding"`,
		`{contentMediaType: image/png}`:                           `keyword "contentMediaType"`,
		`{contentSchema: {}}`:                                     `keyword "contentSchema"`,
		`{$id: x}`:                                                `keyword "$id"`,
		`{$anchor: x}`:                                            `keyword "$anchor"`,
		`{$dynamicRef: '#x'}`:                                     `keyword "$dynamicRef"`,
		`{$dynamicAnchor: x}`:                                     `keyword "$dynamicAnchor"`,
		`{$schema: 'https://example.com/s'}`:                      `keyword "$schema"`,
		`{$defs: {a: {}}}`:                                        `keyword "$defs"`,
		`{allowEmptyValue: true}`:                                 `keyword "allowEmptyValue"`,
		`{maxLenght: 5}`:                                          `keyword "maxLenght"`,
		`{divisibleBy: 2}`:                                        `keyword "divisibleBy"`,
		`{$ref: '#/components/schemas/S', maxLenght: 5}`:          `keyword "maxLenght"`,
		`{$ref: '#/components/schemas/S', multipleOf: 5}`:         `keyword "multipleOf"`,
		`{type: object, properties: {a: {not: {}}}}`:              `properties/a: keyword "not"`,
		`{type: array, items: {not: {}}}`:                         `items: keyword "not"`,
		`{additionalProperties: {not: {}}}`:                       `additionalProperties: keyword "not"`,
		`{propertyNames: {not: {}}}`:                              `propertyNames: keyword "not"`,
		`{anyOf: [{}, {not: {}}]}`:                                `anyOf/1: keyword "not"`,
		`{oneOf: [{}, {not: {}}]}`:                                `oneOf/1: keyword "not"`,
		`{allOf: [{}, {not: {}}]}`:                                `allOf/1: keyword "not"`,
		`{type: string, format: iso-country-code}`:                `format "iso-country-code"`,
		`{type: string, format: uri-reference}`:                   `format "uri-reference"`,
		`{type: string, pattern: '(?=a)'}`:                        `pattern`,
		`{type: [text]}`:                                          `types`,
		`{type: [string, string]}`:                                `types`,
		`{enum: [{a: 1}]}`:                                        `only scalars`,
		`{const: [1]}`:                                            `only scalars`,
		`{enum: [a], const: a}`:                                   `enum and const`,
		`{enum: [9007199254740993]}`:                              `too large`,
		`{type: integer, maximum: 9223372036854775807}`:           `too large`,
		`{type: integer, minimum: 1, exclusiveMinimum: true}`:     `boolean exclusiveMinimum`,
		`{type: string, maxLength: 10000000000}`:                  `too large`,
		`{type: array, maxItems: 10000000000}`:                    `too large`,
		`{type: array, uniqueItems: true, items: {type: number}}`: `uniqueItems`,
		`{type: array, uniqueItems: true}`:                        `uniqueItems`,
		`{propertyNames: {type: integer}}`:                        `propertyNames`,
		`{propertyNames: {anyOf: [{}, {}]}}`:                      `propertyNames`,
		`{type: string, x-error-code: 5}`:                         `x-error-code`,
		`false`:                                                   `schema false`,
		`{properties: {a: false}}`:                                `schema false`,

		`{discriminator: {propertyName: t}}`: `discriminator`,
		`{anyOf: [{$ref: '#/components/schemas/O'}], discriminator: {propertyName: t, mapping: {o: '#/components/schemas/O'}}}`:                                   `discriminator`,
		`{oneOf: [{$ref: '#/components/schemas/O'}], discriminator: {propertyName: t}}`:                                                                           `stand in the mapping`,
		`{oneOf: [{$ref: '#/components/schemas/O'}, {$ref: '#/components/schemas/P'}], discriminator: {propertyName: t, mapping: {o: '#/components/schemas/O'}}}`: `stand in the mapping`,
		`{oneOf: [{$ref: '#/components/schemas/O'}], discriminator: {propertyName: t, mapping: {o: '#/components/schemas/O', s: '#/components/schemas/S'}}}`:      `not in oneOf`,
		`{oneOf: [{$ref: '#/components/schemas/S'}], discriminator: {propertyName: t, mapping: {s: '#/components/schemas/S'}}}`:                                   `not an object that requires "t"`,
		`{oneOf: [{$ref: '#/components/schemas/O'}], discriminator: {propertyName: u, mapping: {o: '#/components/schemas/O'}}}`:                                   `not an object that requires "u"`,
		`{oneOf: [{type: object, required: [t]}, {$ref: '#/components/schemas/O'}], discriminator: {propertyName: t, mapping: {o: '#/components/schemas/O'}}}`:    `stand in the mapping`,
		`{type: object, required: [` + strings.Join(numbered("f", 65), ",") + `]}`:                                                                                `64 names`,
		`{$ref: '#/components/schemas/Loop'}`:     `consists of itself`,
		`{$ref: '#/components/schemas/Ping'}`:     `consists of itself`,
		`{$ref: '#/components/schemas/Tree'}`:     `several parts`,
		`{$ref: '#/components/schemas/AnyTree'}`:  `several parts`,
		`{$ref: '#/components/schemas/BothTree'}`: `several parts`,
	} {
		t.Run(schema, func(t *testing.T) {
			err := compileSchema(t, schema, `
    S: {type: string},
    O: {type: object, required: [t]},
    P: {type: object, required: [t]},
    Loop: {allOf: [{$ref: '#/components/schemas/Loop'}]},
    Ping: {anyOf: [{type: string}, {$ref: '#/components/schemas/Pong'}]},
    Pong: {oneOf: [{type: integer}, {$ref: '#/components/schemas/Ping'}]},
    Tree: {oneOf: [{$ref: '#/components/schemas/Left'}, {$ref: '#/components/schemas/Right'}]},
    Left: {type: object, properties: {left: {$ref: '#/components/schemas/Tree'}}},
    Right: {type: object, properties: {left: {$ref: '#/components/schemas/Tree'}}},
    AnyTree: {anyOf: [{type: array, items: {$ref: '#/components/schemas/AnyTree'}}, {items: {$ref: '#/components/schemas/AnyTree'}}]},
    BothTree: {items: {$ref: '#/components/schemas/BothTree'}, allOf: [{items: {$ref: '#/components/schemas/BothTree'}}]}`)
			require.ErrorContains(t, err, why)
			require.ErrorContains(t, err, "compile the contract: ")
		})
	}
}

func numbered(prefix string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprint(prefix, i))
	}
	return list
}

func TestCompileTakesWhatIsEnforced(t *testing.T) {
	for _, schema := range []string{
		`{}`, `true`, `{title: t, description: d, default: 1, example: 1, examples: [1], deprecated: true, externalDocs: {url: 'https://example.com'}, xml: {name: x}, $comment: c, x-go-type: any}`,
		`{type: object, required: [` + strings.Join(numbered("f", 64), ",") + `]}`,
		`{type: object, required: [a, a]}`,
		`{type: integer, maximum: 9007199254740991, exclusiveMinimum: 0.5}`,
		`{$ref: '#/components/schemas/Tree', maxProperties: 3}`,
		`{oneOf: [{$ref: '#/components/schemas/Tree'}, {type: "null"}]}`,
		`{$ref: '#/components/schemas/Node'}`,
		`{$ref: '#/components/schemas/And'}`,
	} {
		t.Run(schema, func(t *testing.T) {
			require.NoError(t, compileSchema(t, schema, `
    Tree: {type: object, properties: {left: {oneOf: [{$ref: '#/components/schemas/Tree'}, {type: "null"}]}, right: {$ref: '#/components/schemas/Tree', description: r}}},
    Node: {oneOf: [{$ref: '#/components/schemas/And'}, {$ref: '#/components/schemas/Or'}], discriminator: {propertyName: op, mapping: {and: '#/components/schemas/And', or: '#/components/schemas/Or'}}},
    And: {type: object, required: [op], properties: {op: {const: and}, all: {type: array, items: {$ref: '#/components/schemas/Node'}}}},
    Or: {type: object, required: [op], properties: {op: {const: or}, any: {type: array, items: {$ref: '#/components/schemas/Node'}}}}`))
		})
	}
}

func TestCompileRefusesWhatIsNotEnforcedInAnOperation(t *testing.T) {
	parameter := func(p string) string { return `security: [], parameters: [{` + p + `}]` }
	body := func(content string) string { return `security: [], requestBody: {content: {` + content + `}}` }
	for operation, why := range map[string]string{
		parameter(`name: a, in: cookie, schema: {type: string}`):                                                                                                          `cookie parameter a: parameters in "cookie"`,
		parameter(`name: a, in: query, schema: {type: object}`):                                                                                                           `one plain type`,
		parameter(`name: a, in: query, schema: {}`):                                                                                                                       `one plain type`,
		parameter(`name: a, in: query, schema: {type: [string, "null"]}`):                                                                                                 `one plain type`,
		parameter(`name: a, in: query, schema: {type: "null"}`):                                                                                                           `one plain type`,
		parameter(`name: a, in: query, schema: {type: string, anyOf: [{}, {}]}`):                                                                                          `one plain type`,
		parameter(`name: a, in: header, schema: {type: array, maxItems: 3, items: {type: string}}`):                                                                       `one plain type`,
		parameter(`name: id, in: path, required: true, schema: {type: array, maxItems: 3, items: {type: string}}`):                                                        `one plain type`,
		parameter(`name: a, in: query, schema: {type: array, maxItems: 3, items: {type: array, items: {}}}`):                                                              `one plain type`,
		parameter(`name: a, in: query, schema: {type: array, items: {type: string}}`):                                                                                     `maxItems`,
		parameter(`name: a, in: query, schema: {type: array, maxItems: 3}`):                                                                                               `items`,
		parameter(`name: a, in: query, explode: false, schema: {type: array, maxItems: 3, items: {type: string}}`):                                                        `explode: false`,
		parameter(`name: a, in: query, style: deepObject, schema: {type: object}`):                                                                                        `style "deepObject"`,
		parameter(`name: a, in: query, style: pipeDelimited, schema: {type: array, maxItems: 3, items: {type: string}}`):                                                  `style "pipeDelimited"`,
		parameter(`name: id, in: path, required: true, style: matrix, schema: {type: string}`):                                                                            `style "matrix"`,
		parameter(`name: a, in: query, allowReserved: true, schema: {type: string}`):                                                                                      `allowReserved`,
		parameter(`name: a, in: query, allowEmptyValue: true, schema: {type: string}`):                                                                                    `allowEmptyValue`,
		parameter(`name: a, in: query, content: {application/json: {schema: {}}}`):                                                                                        `content`,
		parameter(`name: a, in: query, schema: {type: string, format: x}`):                                                                                                `query parameter a: format "x"`,
		parameter(`name: Authorization, in: header, schema: {type: string}`):                                                                                              `ignores`,
		parameter(`name: content-type, in: header, schema: {type: string}`):                                                                                               `ignores`,
		`security: [], parameters: [{name: ` + strings.Join(numbered("q", 65), `, in: query, schema: {type: string}}, {name: `) + `, in: query, schema: {type: string}}]`: `64 query`,

		body(`application/json: {}`):                                               `schema is missing`,
		body(`application/json: {schema: {not: {}}}`):                              `body application/json: keyword "not"`,
		body(`'*/*': {schema: {type: string}}`):                                    `ranges`,
		body(`'text/*': {schema: {type: string}}`):                                 `ranges`,
		body(`'text/csv; charset=utf-8': {schema: {type: string}}`):                `ranges`,
		body(`text/csv: {schema: {type: string, pattern: a}}`):                     `pattern is not enforced for a body that is not JSON`,
		body(`text/csv: {schema: {type: string, maxLength: 999}}`):                 `maxLength is not enforced`,
		body(`text/csv: {schema: {type: string, minLength: 2}}`):                   `minLength is not enforced`,
		body(`text/csv: {schema: {type: object}}`):                                 `type is not enforced`,
		body(`multipart/form-data: {schema: {type: object, properties: {a: {}}}}`): `is not enforced`,
		body(`application/x-www-form-urlencoded: {schema: {type: object}}`):        `is not enforced`,
		body(`application/json: {x-max-body-bytes: 0, schema: {}}`):                `x-max-body-bytes`,
		`security: [], x-max-body-bytes: 1.5`:                                      `x-max-body-bytes`,
		`security: [], x-max-body-bytes: many`:                                     `x-max-body-bytes`,

		`summary: says nothing`:                    `says nothing of its security`,
		`security: [{apiKey: [], bearer: []}]`:     `exactly one scheme`,
		`security: [{}]`:                           `exactly one scheme`,
		`security: [{apiKey: []}, {}]`:             `exactly one scheme`,
		`security: [{nobody: []}]`:                 `not declared`,
		`security: [{basic: []}]`:                  `not enforced`,
		`security: [{inQuery: []}]`:                `not enforced`,
		`security: [{inCookie: []}]`:               `not enforced`,
		`security: [{oauth: []}]`:                  `not enforced`,
		`security: [{openID: []}]`:                 `not enforced`,
		`security: [{mutual: []}]`:                 `not enforced`,
		`security: [{apiKey: [a]}, {bearer: [b]}]`: `differ in their scopes`,
	} {
		t.Run(operation, func(t *testing.T) {
			require.ErrorContains(t, compileText(t, operation, ""), why)
		})
	}
}

func TestCompileRefusesOptionsThatWouldLeaveGaps(t *testing.T) {
	doc := loadSpec(t)
	_, err := Compile(doc, Options{Authorize: allowAll})
	require.ErrorContains(t, err, "MaxBody")
	_, err = Compile(doc, Options{MaxBody: 1})
	require.ErrorContains(t, err, "Authorize")
	doc.Paths.Value("/v1/status").Get.OperationID = "getCampaign"
	_, err = Compile(doc, Options{MaxBody: 1, Authorize: allowAll})
	require.ErrorContains(t, err, "used twice")
	doc.Paths.Value("/v1/status").Get.OperationID = ""
	_, err = Compile(doc, Options{MaxBody: 1, Authorize: allowAll})
	require.ErrorContains(t, err, "empty")
}

func TestAuthorizeIsAskedForTheOperationsScopes(t *testing.T) {
	asked := map[string][]string{}
	doc := loadSpec(t)
	c, err := Compile(doc, Options{MaxBody: 1, Authorize: func(_ echo.Context, key string, scopes []string) error {
		asked[key] = scopes
		return nil
	}})
	require.NoError(t, err)
	e := echo.New()
	e.GET(campaigns, ok, c.Middlewares()["listCampaigns"]...)
	e.GET(campaigns+"/:id", ok, c.Middlewares()["getCampaign"]...)
	var last error
	_, _ = send(e, &last, get(campaigns, "X-API-Key: of-the-operation").request())
	_, _ = send(e, &last, get(campaign1, "X-API-Key: of-the-document").request())
	require.Equal(t, map[string][]string{"of-the-operation": {"campaigns:read"}, "of-the-document": {"campaigns:write"}}, asked)
}

func TestEveryOperationHasAMiddleware(t *testing.T) {
	middlewares := compileSpec(t).Middlewares()
	for _, item := range loadSpec(t).Paths.Map() {
		for _, op := range item.Operations() {
			require.Len(t, middlewares[op.OperationID], 1, op.OperationID)
		}
	}
}
