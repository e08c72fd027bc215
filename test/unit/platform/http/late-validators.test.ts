import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { compileLate } from '../../../../platform/http/late-validators.ts';
import { validatorOptions } from '../../../../platform/http/validation-faults.ts';
import { registeredRoutes } from '../../../support/api-routes.ts';

const newAjv = () => {
  const ajv = new Ajv(validatorOptions);
  addFormats.default(ajv);
  return ajv;
};

describe('a schema', () => {
  it('is compiled when it judges first, and once; what it refuses is told as by Ajv itself', () => {
    const [late, eager] = [newAjv(), newAjv()];
    const compiled: object[] = [];
    const compile = late.compile.bind(late);
    late.compile = ((schema: object) => {
      compiled.push(schema);
      return compile(schema);
    }) as typeof late.compile;
    compileLate(late);
    const schema = { type: 'object', required: ['a'], properties: { b: { type: 'integer' } } };
    const [judge, expected] = [late.compile(schema), eager.compile(schema)];
    expect(compiled).toEqual([]);
    for (const value of [{ a: 1 }, {}, { b: 'x' }, { a: 1, b: 2 }]) {
      expect(judge(value)).toBe(expected(value));
      expect(judge.errors).toEqual(expected.errors);
    }
    expect(compiled).toEqual([schema]);
  });

  it('that is none throws where it judges', () => {
    const ajv = newAjv();
    compileLate(ajv);
    const judge = ajv.compile({ type: 'nothing' });
    expect(() => judge({})).toThrow('schema is invalid');
  });

  const parts = ['params', 'querystring', 'body', 'headers'] as const;
  const schemas = registeredRoutes().flatMap(({ method, url, schema }) =>
    parts.flatMap((part) => (schema?.[part] ? [[`${method} ${url} ${part}`, schema[part] as object] as const] : [])),
  );

  it('of every route can be compiled, though no start of a process does it', () => {
    expect(schemas.length).toBeGreaterThan(100);
    const ajv = newAjv();
    for (const [place, schema] of schemas) expect(() => ajv.compile(schema), place).not.toThrow();
  });
});
