import { type TSchema, Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { documentRoutes } from '#platform/http/docs.ts';
import { createHttpApp } from '#platform/http/http.ts';
import { type DocumentInfo, type Operation, openApiDocument } from '#platform/http/openapi.ts';
import type { Json } from '#platform/http/openapi-schemas.ts';
import { createLog } from '#platform/process/log.ts';
import { createMetrics } from '#platform/process/metrics.ts';

const info: DocumentInfo = {
  title: 'Things',
  version: '1',
  description: 'Things.',
  tags: { Things: 'What there is.' },
  examples: {},
};
const Thing = Type.Object(
  { id: Type.String(), version: Type.Integer() },
  { title: 'Thing', additionalProperties: false },
);
const Id = Type.Object({ id: Type.String() });
const scoped = { tag: 'Things', summary: 'A thing', scope: 'write:things', rateClass: 'write', failures: [] } as const;
const create: Operation = {
  ...scoped,
  method: 'POST',
  url: '/v1/things',
  operation: 'createThing',
  body: Thing,
  answers: { 201: Thing },
};
const read: Operation = {
  ...scoped,
  method: 'GET',
  url: '/v1/things/:id',
  operation: 'getThing',
  params: Id,
  answers: { 200: Thing },
};
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
const parameterNames = ({ parameters }: Shown): string[] =>
  parameters.map(({ $ref, name }) => name ?? $ref?.split('/').at(-1) ?? '');

describe('what a definition means in the document', () => {
  const all = [create, read, change];

  it('a POST takes an Idempotency-Key, may be replayed, and leads to the routes that take the id of what it made', () => {
    const post = shown(all, '/v1/things', 'post');
    expect(parameterNames(post)).toEqual(['Idempotency-Key', 'X-Signature']);
    expect(Object.keys(post.responses['201']?.headers ?? {})).toEqual(
      expect.arrayContaining(['Location', 'ETag', 'Idempotency-Replayed']),
    );
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

describe('a schema in the document', () => {
  const schemasOf = (thing: TSchema, examples: Readonly<Record<string, unknown>> = {}) => {
    const operation: Operation = { ...create, body: thing, answers: { 201: Thing } };
    const { components } = openApiDocument({ ...info, examples }, [operation]) as {
      components: { schemas: Record<string, Json> };
    };
    return components.schemas;
  };
  const named = (fields: Record<string, TSchema>) =>
    schemasOf(Type.Object(fields, { title: 'Named' })).Named?.properties as Json;

  it('has a type beside each enum and const, several where the values have several', () => {
    const Unsafe = (schema: object): TSchema => Type.Unsafe(schema);
    expect(
      named({
        a: Unsafe({ enum: ['x', 'y'] }),
        b: Unsafe({ const: 1 }),
        c: Unsafe({ enum: ['x', null] }),
        d: Unsafe({ const: 0.5 }),
      }),
    ).toEqual({
      a: { type: 'string', enum: ['x', 'y'] },
      b: { type: 'integer', const: 1 },
      c: { type: ['string', 'null'], enum: ['x', null] },
      d: { type: 'number', const: 0.5 },
    });
  });

  it('of a map has the fields that the map takes, and what their names are', () => {
    const names = Type.Record(Type.String({ pattern: '^[a-z]+$' }), Type.Integer(), {
      additionalProperties: false,
      maxProperties: 3,
    });
    expect(named({ names, anyName: Type.Record(Type.String(), Type.Integer()) })).toEqual({
      names: {
        type: 'object',
        maxProperties: 3,
        propertyNames: { pattern: '^[a-z]+$' },
        additionalProperties: { type: 'integer' },
      },
      anyName: { type: 'object', additionalProperties: { type: 'integer' } },
    });
  });

  it('that may be null is of two types where it has no name, and a union where it has one', () => {
    const Or = (schema: TSchema) => Type.Union([schema, Type.Null()]);
    expect(named({ text: Or(Type.String({ pattern: '^a$', description: 'About it.' })), thing: Or(Thing) })).toEqual({
      text: { type: ['string', 'null'], pattern: '^a$', description: 'About it.' },
      thing: { anyOf: [{ $ref: '#/components/schemas/Thing' }, { type: 'null' }] },
    });
  });

  it('has its fields whatever they are called, and values are left as they are', () => {
    const like = { title: 'No schema', enum: ['x'] };
    const fields = {
      enum: Type.String(),
      example: Thing,
      title: Type.String(),
      type: Type.Unsafe({ type: 'object', default: like }),
    };
    expect(named(fields)).toMatchObject({
      enum: { type: 'string' },
      example: { $ref: '#/components/schemas/Thing' },
      type: { default: like },
    });
  });

  it('of a union leads to its members by the value that each has alone, or can not be made', () => {
    const member = (title: string, model: string) => Type.Object({ model: Type.Literal(model) }, { title });
    const union = (...members: TSchema[]) =>
      Type.Union(members, { title: 'Price', discriminator: { propertyName: 'model' } });
    expect(schemasOf(union(member('Flat', 'flat'), member('Tiered', 'tiered'))).Price).toMatchObject({
      oneOf: [{ $ref: '#/components/schemas/Flat' }, { $ref: '#/components/schemas/Tiered' }],
      discriminator: {
        propertyName: 'model',
        mapping: { flat: '#/components/schemas/Flat', tiered: '#/components/schemas/Tiered' },
      },
    });
    expect(() => schemasOf(union(member('Flat', 'flat'), member('Tiered', 'flat')))).toThrow(
      'model does not tell the members of a union apart',
    );
  });

  it('has the example of its name, and an example of nothing is refused', () => {
    const example = { id: 'a', version: 1 };
    expect(schemasOf(Thing, { Thing: example }).Thing?.examples).toEqual([example]);
    expect(() => schemasOf(Thing, { Thing: example, Things: example })).toThrow(
      'examples that nothing in the document asks for',
    );
  });
});

describe('a document', () => {
  it('is not made of two operations of one name or place, or of two schemas of one title', () => {
    expect(() => openApiDocument(info, [create, { ...read, operation: 'createThing' }])).toThrow(
      'two routes are called createThing',
    );
    expect(() => openApiDocument(info, [create, { ...create, operation: 'again' }])).toThrow(
      'POST /v1/things is there twice',
    );
    const other = Type.Object({ id: Type.String() }, { title: 'Thing' });
    expect(() => openApiDocument(info, [create, { ...read, answers: { 200: other } }])).toThrow(
      'two schemas have the title Thing',
    );
  });

  it('holds every route of its process: one that does not say what it is can not be added', () => {
    const app = createHttpApp({
      log: createLog('test', 'silent'),
      metrics: createMetrics(),
      health: [],
      bodyBytesMax: 1_024,
    });
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
