// Draws the contract. Everything is loaded from, and what is tried out goes to,
// the server that the page itself came from, below the same path.
const root = new URL('.', location.href).href
const contract = root + 'openapi.json'
const key = document.currentScript.dataset.key // in development mode alone

Scalar.createApiReference('#reference', {
  url: contract,
  customFetch: load,
  servers: [{ url: root.replace(/\/$/, ''), description: 'This server' }],
  authentication: {
    preferredSecurityScheme: 'apiKey',
    securitySchemes: key ? { apiKey: { value: key } } : {},
  },

  // Nothing from elsewhere, nothing to elsewhere.
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  showDeveloperTools: 'never',

  // The contract as it is written, without decoration.
  documentDownloadType: 'direct',
  orderSchemaPropertiesBy: 'preserve',
  orderRequiredPropertiesFirst: false,
  modelsSectionLabel: 'Schemas',
  defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
  customCss: `
    a[href="https://www.scalar.com"] { display: none }
    .scalar-password-input::placeholder { color: transparent }
  `,
})

async function load(...request) {
  const response = await fetch(...request)
  if (response.url !== contract) return response
  return Response.json(withoutPresets(await response.json()))
}

// Scalar would send every parameter that has an example or a default, such as the
// cursor of a page that does not exist. The optional ones wait to be ticked. It
// looks for a parameter's example under the name of the body's.
function withoutPresets(doc) {
  const follow = (part) => (part.$ref ? part.$ref.slice(2).split('/').reduce((at, name) => at[name], doc) : part)
  const untick = (parameter, names) => {
    if (parameter.required) return parameter
    const schema = follow(parameter.schema)
    const [example = { value: schema.default ?? schema.examples?.[0] ?? schema.enum?.[0] }] = Object.values(parameter.examples ?? {})
    const unticked = { ...example, 'x-disabled': true }
    return { ...parameter, examples: Object.fromEntries(names.map((name) => [name, unticked])) }
  }
  for (const operation of Object.values(doc.paths).flatMap((path) => Object.values(path))) {
    const bodies = Object.values(operation.requestBody?.content ?? {})
    const names = bodies.flatMap((body) => Object.keys(body.examples ?? {}))
    operation.parameters = operation.parameters?.map((parameter) => untick(follow(parameter), names.length ? names : ['example']))
  }
  return doc
}
