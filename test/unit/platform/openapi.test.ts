import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { documentRoutes } from '#platform/docs.ts';
import { createHttpApp } from '#platform/http.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { type DocumentInfo, type Operation, openApiDocument } from '#platform/openapi.ts';

const info: DocumentInfo = { title: 'Things', version: '1', description: 'Things.', tags: { Things: 'What there is.' }, examples: {} };
const Thing = Type.Object({ id: Type.String(), version: Type.Integer() }, { title: 'Thing', additionalProperties: false });
const Id = Type.Object({ id: Type.String() });
const scoped = { tag: 'Things', summary: 'A thing', scope: 'write:things', rateClass: 'write', failures: [] } as const;
const create: Operation = { ...scoped, method: 'POST', url: '/v1/things', operation: 'createThing', body: Thing, answers: { 201: Thing } };
const read: Operation = { ...scoped, method: 'GET', url: '/v1/things/:id', operation: 'getThing', params: Id, answers: { 200: Thing } };
const change: Operation = { ...read, method: 'PATCH', operation: 'updateThing' };

type Shown = {
  readonly parameters: readonly { readonly $ref?: string; readonly name?: string }[];
  readonly security: unknown;
  readonly responses: Readonly<Record<string, { readonly headers: object; readonly links?: object }>>;
};
const shown = (operations: readonly Operation[], path: string, method: string): Shown => {
  const { paths } = openApiDocument(info, operations) as { paths: Record<string, Record<string, Shown>> };
  return paths[path]?.[method] as Shown;
};
const parameterNames = ({ parameters }: Shown): string[] => parameters.map(({ $ref, name }) => name ?? $ref?.split('/').at(-1) ?? '');

describe('what a definition means in the document', () => {
  const all = [create, read, change];

  it('a POST takes an Idempotency-Key, may be replayed, and leads to the routes that take the id of what it made', () => {
    const post = shown(all, '/v1/things', 'post');
    expect(parameterNames(post)).toEqual(['Idempotency-Key', 'X-Signature']);
    expect(Object.keys(post.responses['201']?.headers ?? {})).toEqual(expect.arrayContaining(['Location', 'ETag', 'Idempotency-Replayed']));
    expect(Object.keys(post.responses['201']?.links ?? {})).toEqual(['getThing', 'updateThing']);
    expect(Object.keys(post.responses)).toEqual(expect.arrayContaining(['409', '413', '415', '422']));
    expect(post.security).toEqual([{ api_key: ['write:things'] }]);
  });

  it('a GET of something with a version answers 304, and a PATCH of it 412', () => {
    const get = shown(all, '/v1/things/{id}', 'get');
    expect(parameterNames(get)).toEqual(['id', 'If-None-Match', 'X-Signature']);
    expect(Object.keys(get.responses)).toEqual(expect.arrayContaining(['200', '304', '404']));
    expect(Object.keys(get.responses)).not.toContain('412');
    const patch = shown(all, '/v1/things/{id}', 'patch');
    expect(parameterNames(patch)).toEqual(['id', 'If-Match', 'X-Signature']);
    expect(Object.keys(patch.responses)).toContain('412');
  });

  it('without a scope it needs no key, and answers no 401', () => {
    const { scope: _scope, rateClass: _rateClass, ...open } = read;
    const get = shown([open], '/v1/things/{id}', 'get');
    expect(get.security).toEqual([]);
    for (const status of ['401', '403', '429']) expect(get.responses[status]).toBeUndefined();
  });
});

describe('a document', () => {
  it('is not made of two operations of one name or place, or of two schemas of one title', () => {
    expect(() => openApiDocument(info, [create, { ...read, operation: 'createThing' }])).toThrow('two routes are called createThing');
    expect(() => openApiDocument(info, [create, { ...create, operation: 'again' }])).toThrow('POST /v1/things is there twice');
    const other = Type.Object({ id: Type.String() }, { title: 'Thing' });
    expect(() => openApiDocument(info, [create, { ...read, answers: { 200: other } }])).toThrow('two schemas have the title Thing');
  });

  it('holds every route of its process: one that does not say what it is can not be added', () => {
    const app = createHttpApp({ log: createLog('test', 'silent'), metrics: createMetrics(), health: [], bodyBytesMax: 1_024 });
    const { document } = documentRoutes(app, info);
    const { operation } = { operation: { ...read, scope: 'read:things' } };
    app.get('/v1/things/:id', { config: { operation }, exposeHeadRoute: false }, async () => ({}));
    expect(() => app.get('/v1/secrets', { exposeHeadRoute: false }, async () => ({}))).toThrow(
      'GET /v1/secrets has no place in the OpenAPI document',
    );
    expect(Object.keys(document().paths as object)).toEqual(
      expect.arrayContaining(['/health/live', '/openapi.json', '/docs', '/v1/things/{id}']),
    );
  });
});
