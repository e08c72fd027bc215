/**
 * What generators of clients need of the OpenAPI documents of both hosts, asked of every schema, parameter and body in
 * them.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { usageCsv } from '../../../api/usage/usage-csv.ts';
import { type Json, servedDocuments } from '../../support/documents.ts';

type Schema = { readonly [keyword: string]: unknown };
type Media = { readonly schema?: Schema; readonly 'x-schema'?: Schema; readonly example?: unknown };
type Content = Readonly<Record<string, Media>>;
type Parameter = { readonly name: string; readonly in: string; readonly schema: Schema; readonly example?: unknown };
type Operation = {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
};
type Document = Json & {
  readonly tags: readonly { readonly name: string; readonly description?: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly responses: Json;
    readonly headers: Readonly<Record<string, { readonly schema: Schema }>>;
  };
};
type Place = { readonly at: string; readonly schema: Schema };

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A schema and all within it, each with its place. */
const schemasIn = (at: string, schema: unknown): Place[] => {
  if (!isObject(schema)) return [];
  const inner = Object.entries(schema).flatMap(([keyword, value]): Place[] => {
    if (keyword === 'properties')
      return Object.entries(value as Schema).flatMap(([name, property]) => schemasIn(`${at}.${name}`, property));
    if (['items', 'additionalProperties', 'not', 'contains', 'propertyNames'].includes(keyword))
      return schemasIn(`${at}/${keyword}`, value);
    if (['anyOf', 'oneOf', 'allOf'].includes(keyword))
      return (value as unknown[]).flatMap((member, index) => schemasIn(`${at}/${keyword}[${index}]`, member));
    return [];
  });
  return [{ at, schema }, ...inner];
};

const bodiesIn = (at: string, content: Content = {}) =>
  Object.entries(content).map(([type, media]) => ({ at: `${at} ${type}`, type, media }));

const documents = (await servedDocuments()) as unknown as { readonly api: Document; readonly ingest: Document };

describe.each(['api', 'ingest'] as const)('of the document of the %s', (host) => {
  const document = documents[host];
  const named = Object.entries(document.components.schemas);
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  const parameters = operations.flatMap(({ operationId, parameters = [] }) =>
    parameters
      .filter(({ name }) => name !== undefined)
      .map((parameter) => ({ at: `${operationId} ${parameter.name}`, parameter })),
  );
  const requests = operations.flatMap(({ operationId, requestBody }) => bodiesIn(operationId, requestBody?.content));
  const answers = operations.flatMap(({ operationId, responses }) =>
    Object.entries(responses).flatMap(([status, { content }]) =>
      status < '300' ? bodiesIn(`${operationId} ${status}`, content) : [],
    ),
  );
  const problems = operations.flatMap(({ operationId, responses }) =>
    Object.entries(responses).flatMap(([status, { content }]) =>
      status >= '400' ? bodiesIn(`${operationId} ${status}`, content) : [],
    ),
  );
  const everywhere = [
    ...named.flatMap(([name, schema]) => schemasIn(name, schema)),
    ...[...requests, ...answers, ...problems].flatMap(({ at, media }) => schemasIn(at, media.schema)),
    ...parameters.flatMap(({ at, parameter }) => schemasIn(at, parameter.schema)),
    ...Object.entries(document.components.headers).flatMap(([at, { schema }]) => schemasIn(at, schema)),
  ];
  const where = (isAtFault: (schema: Schema) => boolean): string[] =>
    everywhere.filter(({ schema }) => isAtFault(schema)).map(({ at }) => at);

  it('every enum and const says its type', () => {
    expect(everywhere.filter(({ schema }) => 'enum' in schema || 'const' in schema).length).toBeGreaterThan(10);
    expect(where((schema) => ('enum' in schema || 'const' in schema) && schema.type === undefined)).toEqual([]);
  });

  it('every object says whether it takes more fields, and none hides its fields in patterns', () => {
    expect(
      where(
        (schema) =>
          schema.type === 'object' && schema.additionalProperties === undefined && schema.required === undefined,
      ),
    ).toEqual([]);
    expect(where((schema) => schema.patternProperties !== undefined)).toEqual([]);
    // A charge that is explained is as its release stored it.
    const ofHost = host === 'ingest' ? ['CloudEvent'] : ['StoredCharge', 'StoredPrice'];
    const free = ['EventProperties', 'OpenApiDocument', ...ofHost];
    expect(
      named
        .filter(([, { additionalProperties }]) => additionalProperties === true)
        .map(([name]) => name)
        .sort(),
    ).toEqual(free.sort());
  });

  it('every body of JSON has a name, in requests and in answers', () => {
    const isNamed = ({ media: { schema, 'x-schema': told } }: { media: Media }) =>
      /^#\/components\/schemas\//.test(String((schema ?? told)?.$ref));
    const inJson = [...requests, ...answers].filter(({ type }) => /[/+]json$/.test(type));
    expect(inJson.length).toBeGreaterThan(5);
    expect(inJson.filter((body) => !isNamed(body)).map(({ at }) => at)).toEqual([]);
  });

  it('an object within another, an item and a member of a union has a name', () => {
    const isInline = ({ at, schema }: Place) =>
      /[./]/.test(at.replace(/^[^ ]* \d+ \S+/, '')) &&
      (schema.properties !== undefined || schema.anyOf !== undefined || schema.oneOf !== undefined);
    const isUnion = (schema: Schema) =>
      [schema.anyOf, schema.oneOf].some(
        (members) => Array.isArray(members) && members.filter((member) => member.type !== 'null').length > 1,
      );
    const inline = everywhere
      .filter(({ at }) => named.some(([name]) => at.startsWith(`${name}.`) || at.startsWith(`${name}/`)))
      .filter((place) => isInline(place) && !/\/(?:contains|not)/.test(place.at))
      .filter(({ schema }) => schema.properties !== undefined || isUnion(schema));
    expect(inline.map(({ at }) => at)).toEqual([]);
  });

  it('no two schemas are the same, and none is numbered', () => {
    const texts = named
      .filter(([, { properties }]) => properties)
      .map(
        ([name, { title: _, description: __, examples: ___, ...schema }]) => [JSON.stringify(schema), name] as const,
      );
    const twins = texts.filter(([text], index) => texts.findIndex(([other]) => other === text) !== index);
    expect(twins.map(([, name]) => name)).toEqual([]);
    expect(named.map(([name]) => name).filter((name) => !/^[A-Z][A-Za-z]*$/.test(name))).toEqual([]);
    expect(Object.keys(document.components.responses).filter((name) => !/^[A-Z][A-Za-z]*$/.test(name))).toEqual([]);
  });

  it('prices and amendments are told apart by a discriminator, which leads from every value to a member, and to every member', () => {
    const told = named.filter(([, { discriminator }]) => discriminator !== undefined).map(([name]) => name);
    expect(told.sort()).toEqual(
      host === 'api'
        ? ['CellPrice', 'MeteredPrice', 'NewAmendment', 'NewCellPrice', 'NewMeteredPrice', 'NewSeatPrice', 'SeatPrice']
        : [],
    );
    for (const { schema } of everywhere.filter(({ schema }) => schema.discriminator !== undefined)) {
      const { discriminator, oneOf = [] } = schema as {
        discriminator: { mapping: Record<string, string> };
        oneOf?: { $ref: string }[];
      };
      expect(new Set(Object.values(discriminator.mapping))).toEqual(new Set(oneOf.map(({ $ref }) => $ref)));
    }
  });

  it('a number or a flag in a query is no text', () => {
    const isNumeric = ({ pattern }: Schema) =>
      typeof pattern === 'string' &&
      ['1', '7', '25'].some((text) => new RegExp(pattern, 'u').test(text)) &&
      !['a', 'acme', '2026-10-01T00:00:00Z'].some((text) => new RegExp(pattern, 'u').test(text));
    const isFlag = ({ enum: values }: Schema) => Array.isArray(values) && values.includes('true');
    const inQuery = parameters.filter(({ parameter }) => parameter.in === 'query');
    expect(inQuery.length).toBeGreaterThan(3);
    // More digits than a JSON number keeps everywhere: they are texts in bodies, too.
    const exact = ['watermark', 'changed_since', 'total_min', 'total_max'];
    const atFault = inQuery.filter(
      ({ parameter: { name, schema } }) => !exact.includes(name) && (isNumeric(schema) || isFlag(schema)),
    );
    expect(atFault.map(({ at }) => at)).toEqual([]);
  });

  it('operations are named as functions are, each has one tag, and every tag says what it is about', () => {
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^[a-z]+(?:[A-Z][a-z]*)+$/.test(id))).toEqual([]);
    expect(operations.filter(({ tags }) => tags.length !== 1).map(({ operationId }) => operationId)).toEqual([]);
    expect(document.tags.filter(({ description }) => !description).map(({ name }) => name)).toEqual([]);
  });

  it('one form of a body in JSON has a schema: of two with arrays in them the client for Python raises', () => {
    for (const { operationId, requestBody } of operations) {
      const typed = Object.entries(requestBody?.content ?? {}).filter(
        ([type, { schema }]) => /[/+]json$/.test(type) && schema !== undefined,
      );
      expect(typed.length, operationId).toBeLessThanOrEqual(1);
    }
  });

  describe('every example', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
    addFormats.default(ajv);
    ajv.addSchema(
      JSON.parse(JSON.stringify(document).replaceAll('"#/components', '"document#/components')),
      'document',
    );
    const faultsOf = (schema: Schema, value: unknown): unknown => {
      const validate = ajv.compile(
        JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"document#/components')),
      );
      return validate(value) ? undefined : validate.errors;
    };
    // No text stands for a page or for bytes.
    const unshown = ['text/html', 'application/avro', 'application/pdf'];
    const shown = [...requests, ...answers].filter(({ type }) => !unshown.includes(type));

    it('is there for every body of a request and of a success', () => {
      expect(shown.filter(({ media }) => media.example === undefined).map(({ at }) => at)).toEqual([]);
    });

    it('is there for what stands in a path', () => {
      const inPath = parameters.filter(({ parameter }) => parameter.in === 'path');
      expect(inPath.filter(({ parameter }) => parameter.example === undefined).map(({ at }) => at)).toEqual([]);
    });

    it('is what its schema says', () => {
      for (const { at, media } of shown)
        expect(faultsOf((media.schema ?? media['x-schema']) as Schema, media.example), at).toBeUndefined();
      for (const [name, { examples = [], ...schema }] of named)
        for (const example of examples as unknown[]) expect(faultsOf(schema, example), name).toBeUndefined();
      for (const { at, parameter } of parameters.filter(({ parameter }) => parameter.example !== undefined))
        expect(faultsOf(parameter.schema, parameter.example), at).toBeUndefined();
      const [response] = Object.values(document.components.responses) as {
        content: Record<string, { examples?: Record<string, { value: unknown }> }>;
      }[];
      expect(Object.keys(response?.content['application/problem+json']?.examples ?? {}).length).toBeGreaterThan(0);
    });

    it('of a problem is one of the problems that the answer may be', () => {
      const responses = Object.values(document.components.responses) as {
        content: Record<string, { schema: Schema; examples?: Record<string, { value: unknown }> }>;
      }[];
      const media = responses.flatMap(({ content }) => Object.values(content));
      expect(media.filter(({ examples }) => examples).length).toBeGreaterThan(10);
      for (const { schema, examples = {} } of media)
        for (const { value } of Object.values(examples)) expect(faultsOf(schema, value)).toBeUndefined();
    });
  });
});

it('the usage that is shown as CSV is the usage that is shown as JSON', () => {
  const content = documents.api.paths['/v1/meters/{id}/usage']?.get?.responses['200']?.content;
  const { items } = (content?.['application/json']?.example ?? {}) as { items: Parameters<typeof usageCsv>[1] };
  expect(content?.['text/csv']?.example).toBe(usageCsv([], items));
});
