/** The headers of requests and answers as the OpenAPI documents show them. Pure. */

const text = (description: string, schema: object = { type: 'string' }) => ({ description, schema });
const count = (description: string) => text(description, { type: 'integer', minimum: 0 });

const parameter = (name: string, description: string, schema: object) => ({
  name,
  in: 'header',
  required: false,
  description,
  schema,
});

/** By name, as components. */
export const headerParameters = {
  'Idempotency-Key': parameter(
    'Idempotency-Key',
    'Makes the request safe to repeat: the same key with the same request, from an API key of the same scopes, gets the same answer for at least 24 hours. `X-Idempotency-Key` is the same.',
    { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' },
  ),
  'If-Match': parameter('If-Match', 'The ETag of the version that the change is meant for; any other answers 412.', {
    type: 'string',
  }),
  'If-None-Match': parameter(
    'If-None-Match',
    'The ETag of the version that is known already; if it is the newest, the answer is 304.',
    {
      type: 'string',
    },
  ),
  'X-Signature': parameter(
    'X-Signature',
    'For a key that takes signed requests only: `t=<unix time>,v1=<hex HMAC-SHA256 of time, method, path and body>`.',
    { type: 'string' },
  ),
} as const;

const always = <H extends object>(header: H) => ({ ...header, required: true });

/** By name, as components. */
export const answerHeaders = {
  'X-Request-Id': always(
    text('The name of the request; the one that the caller gave, where it is 1 to 128 of letters, digits and . _ : -', {
      type: 'string',
      pattern: '^[A-Za-z0-9._:-]{1,128}$',
    }),
  ),
  'API-Version': always(text('The date of the contract that the answer follows.', { type: 'string', format: 'date' })),
  ETag: text(
    'The version of the object, for If-Match and If-None-Match; to a publishable key, and of what has no version, a digest of the answer, for If-None-Match. A weak one is of all but the watermark.',
    { type: 'string', pattern: '^(W/)?"([0-9]+|[0-9a-f]{32})"$' },
  ),
  Location: text('Where the object is read.', { type: 'string', format: 'uri-reference' }),
  'X-RateLimit-Limit': count('How many requests the bucket of this kind of request holds.'),
  'X-RateLimit-Remaining': count('How many are left in it.'),
  'X-RateLimit-Reset': count('Seconds until it is full again.'),
  'X-Quota-Warning': text('Once 80 % of the requests of the day are used: `used=n, limit=n, reset=seconds`.'),
  'Retry-After': count('Seconds after which the same request may succeed.'),
  'Idempotency-Replayed': text('The answer is that of an earlier request with this Idempotency-Key.', {
    type: 'string',
    const: 'true',
  }),
  'Millrace-Watermark': text(
    'The highest stream sequence that is counted; given as `watermark` it gives the same answer again.',
    {
      type: 'string',
      pattern: '^[0-9]+$',
    },
  ),
  'Millrace-Next-Cursor': text('Where there are more rows: what to send as `cursor` for the next page.'),
  'WWW-Authenticate': text('The scheme: Bearer.'),
} as const;

export type AnswerHeader = keyof typeof answerHeaders;
