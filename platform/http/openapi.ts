/**
 * The OpenAPI 3.1 document of a process, made from what its routes say of themselves. Pure. What every route has by
 * convention (key, rate limit, request id, idempotency, versions, problems) is written here once and follows from
 * method and definition, as the behaviour does.
 *
 * Rejected: @fastify/swagger, which reads the schemas of routes. Ours say less than the document has to: headers,
 * problems by status, and scopes are not in them, and a transform that adds all that is this file again.
 */
import assert from 'node:assert/strict';
import { type TSchema, Type } from 'typebox';
import { type FailureCode, failures } from '#schemas/failures.ts';
import { Problem } from '#schemas/http/problem.ts';
import type { RateClass } from '#schemas/rate-tiers.ts';
import { errorPage } from './error-reference.ts';
import { type AnswerHeader, answerHeaders, headerParameters } from './openapi-headers.ts';
import { type Components, createComponents, type Json } from './openapi-schemas.ts';

/** What the document has to know of a route. */
export type Operation = {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With `:id` for a parameter. */
  readonly url: string;
  /** Unique. */
  readonly operation: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** Neither of the two: the route needs no key. */
  readonly scope?: string;
  readonly rateClass?: RateClass;
  /** For who has a link and no key. */
  readonly byLink?: boolean;
  readonly params?: TSchema | undefined;
  readonly query?: TSchema | undefined;
  readonly body?: TSchema | undefined;
  /** Shown instead of `body`, where a reader of its own judges the body. */
  readonly documentedBody?: TSchema | undefined;
  /** The same for bodies of more than one form, by media type. */
  readonly documentedBodies?: Readonly<Record<string, TSchema>>;
  readonly isBodyOptional?: boolean;
  /** False where repeats are told apart by what stands in the body. */
  readonly idempotencyHeader?: boolean;
  /**
   * The answer also tells what changes without a version, such as when a key was used last: its ETag is for If-Match
   * alone, and there is no 304.
   */
  readonly changesByItself?: boolean;
  /** Of a GET: its answer has an ETag that is a digest of all of it but these fields. */
  readonly taggedBut?: readonly string[];
  /** By status; a schema with `version` means that the answer has an ETag. */
  readonly answers: Readonly<Record<number, TSchema>>;
  /** Of the answers; `application/json` where nothing is said. */
  readonly mediaTypes?: readonly string[];
  /** Those of them that are documented; absent: all. */
  readonly documentedTypes?: readonly string[];
  /** Headers that answers of success may carry beyond those that follow from convention. */
  readonly answerHeaders?: readonly AnswerHeader[];
  readonly failures: readonly FailureCode[];
  /** The forms of problems that carry more than others do, by code. */
  readonly problems?: Readonly<Partial<Record<FailureCode, readonly TSchema[]>>>;
};

export type DocumentInfo = {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  /** What each tag is about. */
  readonly tags: Readonly<Record<string, string>>;
  /**
   * What a body looks like, by the name of its schema, where that has no `examples` of its own; of an answer that is
   * text, by operation and media type ("getMetrics answer text/plain"). The same for a parameter: by its name, or by
   * the path that ends with it ("/v1/customers/:id").
   */
  readonly examples: Readonly<Record<string, unknown>>;
};

const problemType = 'application/problem+json';
const pathOf = (url: string): string => url.replaceAll(/:([A-Za-z_]+)/g, '{$1}');

const versioned = (schema: TSchema | undefined): boolean =>
  'version' in ((schema as { properties?: object } | undefined)?.properties ?? {});
const hasId = (schema: TSchema | undefined): boolean =>
  'id' in ((schema as { properties?: object } | undefined)?.properties ?? {});
/** A route has one answer of success. */
const successOf = ({ answers }: Operation): TSchema | undefined =>
  Object.entries(answers).find(([status]) => Number(status) < 300)?.[1];

/** A document is answered whole, and its ETag is of its bytes. */
const isDocument = ({ mediaTypes }: Operation): boolean =>
  mediaTypes?.every((type) => type === 'application/pdf') ?? false;
const isConditionalRead = (operation: Operation): boolean =>
  operation.taggedBut !== undefined ||
  isDocument(operation) ||
  (operation.method === 'GET' && !operation.changesByItself && versioned(successOf(operation)));
const isConditionalChange = ({ method }: Operation): boolean => method === 'PATCH' || method === 'DELETE';
const hasIdempotencyHeader = ({ method, idempotencyHeader }: Operation): boolean =>
  method === 'POST' && idempotencyHeader !== false;

/** What a route may answer by convention, beyond its own refusals. */
const conventionalFailures = (operation: Operation): FailureCode[] => [
  'BAD_REQUEST',
  'REQUEST_TIMEOUT',
  'HEADERS_TOO_LARGE',
  'INTERNAL_ERROR',
  'OVERLOADED',
  // Of a Content-Encoding, which even a GET may have.
  'UNSUPPORTED_MEDIA_TYPE',
  ...(operation.params ? (['NOT_FOUND'] as const) : []),
  ...(operation.scope === undefined
    ? []
    : ([
        ...(operation.byLink
          ? []
          : (['UNKNOWN_API_KEY', 'INVALID_SIGNATURE', 'MISSING_SCOPE', 'SECRET_KEY_IN_BROWSER'] as const)),
        'RATE_LIMITED',
        'QUOTA_EXCEEDED',
        'DEPENDENCY_UNAVAILABLE',
      ] as const)),
  ...(operation.method === 'GET' ? [] : (['MALFORMED_BODY', 'BODY_TOO_LARGE', 'VALIDATION_FAILED'] as const)),
  ...(hasIdempotencyHeader(operation) ? (['IDEMPOTENCY_KEY_IN_USE', 'IDEMPOTENCY_KEY_REUSED'] as const) : []),
  ...(isConditionalChange(operation) ? (['VERSION_MISMATCH'] as const) : []),
];

/** Every code that the operation may answer. */
export const failuresOf = (operation: Operation): FailureCode[] =>
  [...new Set([...conventionalFailures(operation), ...operation.failures])].sort(
    (a, b) => failures[a].status - failures[b].status,
  );

type ObjectSchema = { readonly properties: Readonly<Record<string, TSchema>>; readonly required?: readonly string[] };

const parametersIn = (
  place: 'path' | 'query',
  schema: TSchema | undefined,
  url: string,
  { toJson, exampleOf }: Components,
): Json[] => {
  if (schema === undefined) return [];
  const { properties, required = [] } = schema as unknown as ObjectSchema;
  return Object.entries(properties).map(([name, property]) => {
    const { description, examples = [], ...json } = toJson(property);
    const [example] = examples as unknown[];
    // What stands before the parameter says of what it is.
    const [path = ''] = url.split(new RegExp(`(?<=:${name})(?:/|$)`));
    return {
      name,
      in: place,
      required: required.includes(name),
      ...(description ? { description } : {}),
      schema: json,
      ...(example === undefined ? exampleOf(place === 'path' ? path : name) : { example }),
    };
  });
};

const headerNames = (operation: Operation): string[] => [
  ...(hasIdempotencyHeader(operation) ? ['Idempotency-Key'] : []),
  ...(isConditionalChange(operation) ? ['If-Match'] : []),
  ...(isConditionalRead(operation) ? ['If-None-Match'] : []),
  ...(operation.scope === undefined || operation.byLink ? [] : ['X-Signature']),
];

/** The headers of an answer: `true` is always there, as the first two are by themselves. */
const headersOf = (present: Readonly<Partial<Record<AnswerHeader, boolean>>>): Json =>
  Object.fromEntries(
    Object.entries({ 'X-Request-Id': false, 'API-Version': false, ...present }).map(([name, required]) => [
      name,
      required ? { ...answerHeaders[name as AnswerHeader], required } : { $ref: `#/components/headers/${name}` },
    ]),
  );

const rateHeaders = (required: boolean) =>
  ({
    'X-RateLimit-Limit': required,
    'X-RateLimit-Remaining': required,
    'X-RateLimit-Reset': required,
    'X-Quota-Warning': false,
  }) as const;

/** An operation that makes something leads to all operations of its tag that take its id. */
const linksOf = (operation: Operation, all: readonly Operation[]): Json => {
  if (operation.method !== 'POST' || !hasId(successOf(operation))) return {};
  const targets = all.filter(({ tag, url, method }) => tag === operation.tag && method !== 'POST' && /:id\b/.test(url));
  return Object.fromEntries(
    targets.map((target) => [
      target.operation,
      { operationId: target.operation, parameters: { id: '$response.body#/id' } },
    ]),
  );
};

type Answer = { readonly description: string; readonly headers: Json; readonly content?: Json };

const isJson = (type: string): boolean => /[/+]json$/.test(type);

/** A body in one of its forms, with what it looks like. */
const mediaJson = (operation: string, type: string, schema: TSchema, { toJson, exampleOf }: Components): Json => ({
  schema: toJson(schema),
  ...exampleOf(`${operation} ${type}`, schema),
});

/**
 * Where a body has several forms of JSON, the first has the schema, and the others name theirs in `x-schema`: of two
 * with arrays in them a client of openapi-python-client asks `isinstance(body, list[Event])`, which raises, whatever
 * was sent.
 */
const bodyJson = (operation: string, type: string, schema: TSchema, components: Components): Json => {
  const { schema: json, ...rest } = mediaJson(operation, type, schema, components);
  return type === 'application/json' || !isJson(type) ? { schema: json, ...rest } : { 'x-schema': json, ...rest };
};

const contentOf = (
  { operation, mediaTypes = ['application/json'], documentedTypes = mediaTypes }: Operation,
  schema: TSchema,
  components: Components,
): Json =>
  Object.fromEntries(
    documentedTypes.map((type) => [
      type,
      mediaJson(`${operation} answer`, type, isJson(type) ? schema : Type.String(), components),
    ]),
  );

const answersOf = (operation: Operation, all: readonly Operation[], components: Components): Record<string, Answer> => {
  const isGuarded = operation.scope !== undefined;
  const isMaking = operation.method === 'POST' && hasId(successOf(operation));
  const entries = Object.entries(operation.answers).map(([status, schema]): [string, Answer] => {
    const links = linksOf(operation, all);
    const headers = headersOf({
      ...(isGuarded ? rateHeaders(true) : {}),
      ...(versioned(schema) || operation.taggedBut || isDocument(operation) ? { ETag: true } : {}),
      ...(isMaking ? { Location: true } : {}),
      ...(hasIdempotencyHeader(operation) ? { 'Idempotency-Replayed': false } : {}),
      ...Object.fromEntries((operation.answerHeaders ?? []).map((name) => [name, false])),
    });
    const content = status === '204' ? {} : { content: contentOf(operation, schema, components) };
    return [
      status,
      { description: operation.summary, headers, ...content, ...(Object.keys(links).length > 0 ? { links } : {}) },
    ];
  });
  if (isConditionalRead(operation))
    entries.push([
      '304',
      {
        description: 'What If-None-Match names is what would be answered.',
        headers: headersOf({ ...rateHeaders(true), ETag: true }),
      },
    ]);
  return Object.fromEntries(entries) as Record<string, Answer>;
};

/** The body of one status: the codes without more fields together, then those with more. */
const problemSchema = (
  codes: readonly FailureCode[],
  status: number,
  { problems = {} }: Operation,
  { toJson }: Components,
): Json => {
  const shapes = new Map<TSchema, FailureCode[]>();
  for (const code of codes) {
    for (const shape of problems[code] ?? [Problem]) shapes.set(shape, [...(shapes.get(shape) ?? []), code]);
  }
  // One that has more fields stands first: who tries one after the other would take it for a plain one.
  const schemas = [...shapes]
    .toSorted(([a], [b]) => Number(a === Problem) - Number(b === Problem))
    .map(([shape, ofShape]) => ({
      ...toJson(shape),
      properties: { status: { type: 'integer', const: status }, error_code: { type: 'string', enum: ofShape } },
    }));
  return schemas.length === 1 ? (schemas[0] as Json) : { anyOf: schemas };
};

/** As the error reference shows them; those that carry more than others do are shown where they are described. */
const problemExamples = (codes: readonly FailureCode[], { problems = {} }: Operation): Json => {
  const plain = codes.filter((code) => (problems[code] ?? [Problem]).includes(Problem));
  const examples = plain.map((code) => [code, { summary: failures[code].title, value: errorPage(code).example }]);
  return examples.length === 0 ? {} : { examples: Object.fromEntries(examples) };
};

const pascalCase = (code: string): string =>
  code.toLowerCase().replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Generators make the name of a type of it: `NotFoundOrMeterNotFound`. */
const responseName = (codes: readonly FailureCode[], operation: Operation): string =>
  [
    codes.map(pascalCase).join('Or'),
    operation.scope === undefined ? 'WithoutKey' : '',
    operation.byLink ? 'ByLink' : '',
    hasIdempotencyHeader(operation) ? 'Repeatable' : '',
  ].join('');

const problemResponse = (
  codes: readonly FailureCode[],
  status: number,
  operation: Operation,
  components: Components,
): Json => ({
  description: codes.map((code) => `[${code}](/docs/errors/${code}): ${failures[code].title}.`).join('\n\n'),
  headers: headersOf({
    ...(operation.scope === undefined ? {} : rateHeaders(status === 429)),
    ...(status === 401 ? { 'WWW-Authenticate': true } : {}),
    ...(status === 429 || status === 503 ? { 'Retry-After': true } : {}),
    ...(status === 409 && hasIdempotencyHeader(operation) ? { 'Retry-After': false } : {}),
    ...(hasIdempotencyHeader(operation) && status < 500 ? { 'Idempotency-Replayed': false } : {}),
  }),
  content: {
    [problemType]: {
      schema: problemSchema(codes, status, operation, components),
      ...problemExamples(codes, operation),
    },
  },
});

/** `own` are the statuses that the route answers by itself, too. */
const problemsOf = (operation: Operation, components: Components, own: readonly string[]): Json => {
  const codes = failuresOf(operation);
  const statuses = [...new Set(codes.map((code) => failures[code].status))];
  return Object.fromEntries(
    statuses.map((status) => {
      const ofStatus = codes.filter((code) => failures[code].status === status);
      const name = responseName(ofStatus, operation);
      const make = (): Json => problemResponse(ofStatus, status, operation, components);
      // A name says all that a problem depends on, but for forms that are the route's own.
      const isPlain = ofStatus.every((code) => operation.problems?.[code] === undefined);
      const response = isPlain ? components.once(name, make) : make();
      return [String(status), own.includes(String(status)) ? response : components.share(name, response)];
    }),
  );
};

/** One status may be an answer of the route's own and a problem, too: their media types tell them apart. */
const responsesOf = (operation: Operation, all: readonly Operation[], components: Components): Json => {
  const answers = answersOf(operation, all, components);
  const problems = problemsOf(operation, components, Object.keys(answers));
  const both = Object.keys(answers).filter((status) => status in problems);
  const merged = both.map((status) => {
    const [answer, problem] = [answers[status] as Answer, problems[status] as Answer];
    return [status, { ...answer, content: { ...answer.content, ...problem.content } }];
  });
  return { ...problems, ...answers, ...Object.fromEntries(merged) };
};

const operationJson = (operation: Operation, all: readonly Operation[], components: Components): Json => {
  const { operation: operationId, tag, summary, description, scope, rateClass, byLink, params, query } = operation;
  const body = operation.documentedBody ?? operation.body;
  const bodies = operation.documentedBodies ?? (body === undefined ? {} : { 'application/json': body });
  const content = Object.fromEntries(
    Object.entries(bodies).map(([type, schema]) => [type, bodyJson(operationId, type, schema, components)]),
  );
  const parameters = [
    ...parametersIn('path', params, operation.url, components),
    ...parametersIn('query', query, operation.url, components),
    ...headerNames(operation).map((name) => ({ $ref: `#/components/parameters/${name}` })),
  ];
  return {
    operationId,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(scope === undefined || byLink
      ? { security: [] }
      : { security: [{ api_key: [scope] }], 'x-scope': scope, 'x-rate-class': rateClass }),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(Object.keys(content).length > 0 ? { requestBody: { required: !operation.isBodyOptional, content } } : {}),
    responses: responsesOf(operation, all, components),
  };
};

/** Throws where two operations have one name, one place, or two schemas one title. */
export const openApiDocument = (info: DocumentInfo, operations: readonly Operation[]): Json => {
  const components = createComponents(info.examples);
  components.toJson(Problem);
  const paths: Record<string, Json> = {};
  const names = new Set<string>();
  for (const operation of operations) {
    assert(!names.has(operation.operation), `two routes are called ${operation.operation}`);
    names.add(operation.operation);
    const path = paths[pathOf(operation.url)] ?? {};
    paths[pathOf(operation.url)] = path;
    const method = operation.method.toLowerCase();
    assert(path[method] === undefined, `${operation.method} ${operation.url} is there twice`);
    path[method] = operationJson(operation, operations, components);
  }
  assert.deepEqual(components.unusedExamples(), [], 'examples that nothing in the document asks for');
  const tags = [...new Set(operations.map(({ tag }) => tag))];
  return {
    openapi: '3.1.1',
    info: { title: info.title, version: info.version, description: info.description },
    servers: [{ url: '/' }],
    externalDocs: { url: '/docs/errors', description: 'Every error code, with its cause and its cure' },
    tags: tags.map((name) => ({ name, ...(info.tags[name] === undefined ? {} : { description: info.tags[name] }) })),
    paths,
    components: {
      securitySchemes: {
        api_key: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'mr_live_..., mr_test_... or mr_pub_...',
          description:
            'An API key; `x-scope` names the scope that an operation needs. In a web page only a publishable key (`mr_pub_...`) is taken, which reads plans and nothing else.',
        },
      },
      parameters: headerParameters,
      headers: answerHeaders,
      responses: components.responses,
      schemas: components.schemas,
    },
  };
};
