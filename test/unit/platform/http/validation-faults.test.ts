/** What a schema refuses is told in words: over every schema that judges a request of either host. */

import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import type { FastifyError } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { validationFaults, validatorOptions } from '#platform/http/validation-faults.ts';
import { unknownFieldMessage } from '#schemas/fault.ts';
import { NewCustomer } from '#schemas/http/customers.ts';
import { EventsQuery, ValidationQuery } from '#schemas/http/events.ts';
import { CurrencyCode } from '#schemas/http/fields.ts';
import { definedRoutes } from '../../../support/api-routes.ts';

const judging = [
  ...definedRoutes().flatMap(({ operation, params, query, body }) =>
    Object.entries({ params, query, body }).flatMap(([part, schema]) =>
      schema ? [[`${part} of ${operation}`, schema as TSchema] as const] : [],
    ),
  ),
  ['query of POST /v1/events', EventsQuery] as const,
  ['query of POST /v1/events/validate', ValidationQuery] as const,
];

type Node = Readonly<Record<string, unknown>>;
const nodesOf = (schema: unknown): Node[] => {
  if (typeof schema !== 'object' || schema === null) return [];
  return [schema as Node, ...Object.values(schema).flatMap(nodesOf)];
};

const faultsOf = (schema: TSchema, value: unknown) => {
  const ajv = new Ajv(validatorOptions);
  addFormats.default(ajv);
  const validate = ajv.compile(schema);
  validate(value);
  return validationFaults({ validation: validate.errors ?? [], validationContext: 'body' } as unknown as FastifyError);
};

describe('what a request may be', () => {
  it.each(judging)('has each pattern in words beside it: %s', (_, schema) => {
    for (const node of nodesOf(schema)) {
      if (typeof node.pattern === 'string')
        expect(node, node.pattern).toMatchObject({ 'x-expected': expect.stringMatching(/\w/) });
      if (typeof node.patternProperties === 'object')
        expect(node).toMatchObject({ 'x-expected-names': expect.stringMatching(/\w/) });
    }
  });

  it('is looked at on both hosts', () => {
    expect(judging.length).toBeGreaterThan(25);
    expect(
      judging.flatMap(([, schema]) => nodesOf(schema)).filter(({ pattern }) => pattern !== undefined).length,
    ).toBeGreaterThan(30);
  });
});

describe('a fault', () => {
  it.each(judging)('shows no pattern and no word of JSON schema: %s', (_, schema) => {
    const wrong = (node: Node): unknown => {
      if (node.type === 'object')
        return {
          ...Object.fromEntries(
            Object.entries((node.properties ?? {}) as Record<string, Node>).map(([name, inner]) => [
              name,
              wrong(inner),
            ]),
          ),
          'un\u0000known': '\u0000',
        };
      if (node.type === 'array') return [wrong((node.items ?? {}) as Node)];
      if (Array.isArray(node.anyOf)) return wrong(node.anyOf[0] as Node);
      return '\u0000';
    };
    for (const { field, message } of faultsOf(schema, wrong(schema as unknown as Node))) {
      expect(message, field).not.toMatch(/[\^$\\]|\[[a-z0-9]-|pattern|anyOf|additional|schema/i);
      expect(message.length).toBeGreaterThan(8);
    }
  });

  it('of a field that may be null is one, and says what the field may be', () => {
    const schema = Type.Object({
      email: Type.Union([Type.String({ pattern: '^x$', 'x-expected': 'an x' }), Type.Null()]),
    });
    expect(faultsOf(schema, { email: 'y' })).toEqual([
      { field: 'email', code: 'wrong_format', message: 'must be an x' },
    ]);
    expect(faultsOf(schema, { email: 1 })).toEqual([{ field: 'email', code: 'wrong_type', message: 'must be string' }]);
    expect(faultsOf(Type.Object({ only: Type.Null() }), { only: 1 })).toMatchObject([
      { field: 'only', code: 'wrong_type' },
    ]);
  });

  it('of a value that is none of some names them, and of too many says where they stand', () => {
    const schema = Type.Object({ tiers: Type.Enum(['restart', 'continue']), currency: CurrencyCode });
    expect(faultsOf(schema, { tiers: 'x', currency: 'usd' })).toEqual([
      { field: 'tiers', code: 'not_allowed', message: 'must be one of restart, continue' },
      {
        field: 'currency',
        code: 'not_allowed',
        message: 'must be an active ISO 4217 code that has a minor unit, such as USD',
      },
    ]);
    const many = Type.Enum(Array.from({ length: 21 }, (_, index) => `v${index}`));
    expect(faultsOf(many, 'x')).toMatchObject([{ message: 'must be one of the values that the documents list' }]);
  });

  it('of a list that names one twice says which, and of an object that has nothing that it must have something', () => {
    const names = Type.Array(Type.String(), { uniqueItems: true });
    expect(faultsOf(Type.Object({ names }), { names: ['a', 'b', 'a'] })).toEqual([
      { field: 'names', code: 'unique_items', message: 'must not hold anything twice: [2] is [0] again' },
    ]);
    expect(faultsOf(Type.Object({}, { minProperties: 1 }), {})).toMatchObject([
      { field: 'body', message: 'must have at least 1 of its fields' },
    ]);
  });

  it('of an unknown field names all that is known, at every depth', () => {
    const [outer, inner] = faultsOf(NewCustomer, {
      external_id: 'a',
      name: 'A',
      colour: 1,
      address: { line1: '1', city: 'C', country: 'DE', zip: 1 },
    });
    expect(outer).toEqual({
      field: 'colour',
      code: 'unknown_field',
      message: unknownFieldMessage(Object.keys(NewCustomer.properties)),
    });
    expect(inner).toMatchObject({
      field: 'address.zip',
      message: 'is not known here; known are line1, line2, postal_code, city, state, country',
    });
    expect(faultsOf(NewCustomer, { external_id: 'a', name: 'A', metadata: { '\n': 'x' } })).toMatchObject([
      {
        code: 'unknown_field',
        message: 'is not a name that may stand here: names are of 1 to 64 characters, none of them a control character',
      },
    ]);
  });

  it('is one of at most 100, with a field of at most 300 characters', () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`${'f'.repeat(400)}${index}`, 1]));
    const faults = faultsOf(NewCustomer, many);
    expect(faults.length).toBeLessThanOrEqual(100);
    expect(Math.max(...faults.map(({ field }) => field.length))).toBeLessThanOrEqual(300);
  });
});

describe('all that is known', () => {
  it('is told in a bounded text', () => {
    expect(unknownFieldMessage([])).toBe('is not known here; nothing is');
    expect(unknownFieldMessage(['a', 'b'])).toBe('is not known here; known are a, b');
    const long = unknownFieldMessage(Array.from({ length: 500 }, (_, index) => `field-${index}`));
    expect(long).toMatch(/ and \d+ more$/);
    expect(long.length).toBeLessThan(1_100);
  });
});
