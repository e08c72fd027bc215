/** The settings of what stands around invoices: the engine outside that says their taxes, and their documents. */
export const invoicingSettings = {
  taxEngineUrl: {
    variable: 'MILLRACE_TAX_ENGINE_URL',
    kind: 'url',
    fallback: '',
    about:
      'Where the invoicer asks for the taxes of organizations whose `tax_calculation` is `engine`; without it their invoices wait.',
  },
  taxEngineKey: {
    variable: 'MILLRACE_TAX_ENGINE_KEY',
    kind: 'secret',
    fallback: '',
    about: 'Bearer token for the tax engine; without it none is sent.',
  },
  taxEngineTimeoutMs: {
    variable: 'MILLRACE_TAX_ENGINE_TIMEOUT_MS',
    kind: 'integer',
    fallback: '5000',
    min: 100,
    max: 30_000,
    about: 'How long the tax engine may take for one invoice, its whole answer included.',
  },
  documentLanes: {
    variable: 'MILLRACE_DOCUMENT_LANES',
    kind: 'integer',
    fallback: '1',
    min: 0,
    max: 4,
    about:
      'How many documents of invoices the API makes at a time after their issue, for half of the time; 0: when they are asked for.',
  },
} as const;
