/**
 * The OpenAPI documents of the running processes: valid, whole, and what every answer of every test here is held
 * against (support/contract.ts).
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { failuresOf } from '#platform/http/openapi.ts';
import { failures } from '#schemas/failures.ts';
import { instantPattern } from '#schemas/instant.ts';
import { hashedInstantPattern } from '#schemas/invoice/hashed-parts.ts';
import { type Answered, createContract, type Document, expectContract, fetchDocument } from '../support/contract.ts';
import { call, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { issueOneOff, makeKey } from '../support/tenants.ts';

let pipeline: Pipeline;
let documents: { readonly api: Document; readonly ingest: Document };

beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  const [api, ingest] = await Promise.all([
    fetchDocument(pipeline.stack.apiUrl),
    fetchDocument(pipeline.stack.ingestUrl),
  ]);
  documents = { api, ingest };
});
afterAll(() => pipeline.stop());

type Operation = {
  readonly operationId: string;
  readonly parameters?: readonly { readonly $ref?: string; readonly name?: string; readonly in?: string }[];
  readonly security: readonly Record<string, readonly string[]>[];
  readonly responses: Readonly<Record<string, object>>;
};
const operationsOf = (
  document: Document,
): { readonly path: string; readonly method: string; readonly operation: Operation }[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      path,
      method,
      operation: operation as unknown as Operation,
    })),
  );

const withChange = (document: Document, change: (copy: Record<string, never>) => void): Document => {
  const copy = structuredClone(document);
  change(copy as never);
  return copy;
};

describe.each(['api', 'ingest'] as const)('the document of the %s', (host) => {
  it('is valid OpenAPI 3.1', async () => {
    const { valid, errors } = await new Validator().validate(documents[host] as never);
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    expect(documents[host].openapi).toMatch(/^3\.1\./);
  });

  it('names each operation once, and each parameter of its path', () => {
    const operations = operationsOf(documents[host]);
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { path, operation } of operations) {
      const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      const declared = (operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => name);
      expect(declared, path).toEqual(inPath);
    }
  });

  it('refers to nothing that is not there', () => {
    const references = [...JSON.stringify(documents[host]).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(
      ([, target]) => target as string,
    );
    expect(references.length).toBeGreaterThan(20);
    for (const target of new Set(references)) {
      const found = target
        .split('/')
        .reduce<unknown>((inner, part) => (inner as Record<string, unknown> | undefined)?.[part], documents[host]);
      expect(found, target).toBeDefined();
    }
  });

  it('says for each operation under /v1 which scope it needs, and that it may answer 401, 403 and 429', () => {
    const guarded = operationsOf(documents[host]).filter(({ path }) => path.startsWith('/v1/'));
    expect(guarded.length).toBeGreaterThan(0);
    for (const { path, operation } of guarded) {
      // Who has a link needs no key, and is told no more than that there is none.
      if (path.startsWith('/v1/quote-links/')) {
        expect(operation.security).toEqual([]);
        expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['404', '429', '500', '503']));
        continue;
      }
      expect(operation.security[0]?.api_key?.[0]).toMatch(/^(?:read|write|admin):/);
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['401', '403', '429', '500', '503']));
    }
  });
});

describe('an answer', () => {
  const good = async (): Promise<Answered> => ({
    method: 'GET',
    path: '/v1/meters?limit=5',
    ...(await pipeline.api('GET', '/v1/meters?limit=5')),
  });

  it('passes as it is', async () => {
    expect(createContract(documents.api).violations(await good())).toEqual([]);
  });

  it('fails with a status, a header, a media type or a field that the document does not know', async () => {
    const answered = await good();
    const { violations } = createContract(documents.api);
    const headers = (change: (headers: Headers) => void): Headers => {
      const changed = new Headers(answered.headers);
      change(changed);
      return changed;
    };
    expect(violations({ ...answered, status: 418 }).join()).toContain('the status is none of');
    expect(violations({ ...answered, headers: headers((all) => all.delete('x-ratelimit-limit')) })).toEqual([
      'the header X-RateLimit-Limit is missing',
    ]);
    expect(
      violations({ ...answered, headers: headers((all) => all.set('x-ratelimit-limit', 'many')) }).join(),
    ).toContain('X-RateLimit-Limit');
    expect(
      violations({ ...answered, headers: headers((all) => all.set('content-type', 'text/csv')) }).join(),
    ).toContain('text/csv');
    expect(violations({ ...answered, body: { ...(answered.body as object), extra: 1 } }).join()).toContain('extra');
    expect(violations({ ...answered, path: '/v1/unknown' }).length).toBeGreaterThan(0);
    expect(violations({ ...answered, method: 'PUT' }).length).toBeGreaterThan(0);
  });

  it('fails with an instant that is written in another way, also where the document says nothing of it', () => {
    const loose = {
      paths: { '/x': { get: { responses: { 200: { content: { 'application/json': { schema: {} } } } } } } },
    } as unknown as Document;
    const { violations } = createContract(loose);
    const answered = (body: unknown): Answered => ({
      method: 'GET',
      path: '/x',
      status: 200,
      headers: new Headers({ 'content-type': 'application/json' }),
      body,
    });
    expect(
      violations(answered({ a: [{ at: '2026-10-01T00:00:00.000Z' }], properties: { at: '2026-10-01T00:00:00Z' } })),
    ).toEqual([]);
    for (const text of [
      '2026-10-01T00:00:00Z',
      '2026-10-01T00:00:00.5Z',
      '2026-10-01T00:00:00.000+00:00',
      '2026-10-01t00:00:00.000z',
    ])
      expect(violations(answered({ a: [{ at: text }] }))).toEqual([`the body/a/0/at writes an instant as ${text}`]);
  });

  it('has every instant in the one form that its document says, but what invoices were hashed with', () => {
    const found: string[] = [];
    const visit = (node: unknown, document: Document, seen: ReadonlySet<string>, place: string): void => {
      if (typeof node !== 'object' || node === null) return;
      const { $ref: target, format, pattern } = node as { $ref?: string; format?: string; pattern?: string };
      if (target !== undefined && !seen.has(target)) {
        const value = target
          .split('/')
          .slice(1)
          .reduce<unknown>((inner, part) => (inner as Record<string, unknown>)[part], document);
        visit(value, document, new Set([...seen, target]), target.split('/').at(-1) ?? '');
      }
      if (format === 'date-time' && pattern !== instantPattern)
        found.push(`${place} ${pattern === hashedInstantPattern ? 'as hashed' : pattern}`);
      for (const inner of Object.values(node)) visit(inner, document, seen, place);
    };
    for (const document of Object.values(documents))
      for (const { operation, path } of operationsOf(document)) visit(operation.responses, document, new Set(), path);
    expect([...new Set(found)].toSorted()).toEqual([
      'BilledToAnother as hashed',
      'CreditNote as hashed',
      'CreditNoteHead as hashed',
      'HashedPeriod as hashed',
      'Invoice as hashed',
      'InvoiceHead as hashed',
      'InvoicePeriod as hashed',
      'VoidedInvoice as hashed',
    ]);
  });

  it('fails where the document was tampered with', async () => {
    const tampered = withChange(documents.api, (copy: Record<string, never>) => {
      (
        copy as never as { components: { schemas: { Pagination: { required: string[] } } } }
      ).components.schemas.Pagination.required.push('page');
    });
    const answered = await good();
    expect(() => expectContract(createContract(tampered), answered)).toThrow(
      /GET \/v1\/meters\?limit=5 answered 200[\s\S]*'page'/,
    );
  });

  it('of any call of a test is held against the document of the host that gave it', async () => {
    const answers = {
      200: { description: '', content: { 'application/json': { schema: { type: 'object', maxProperties: 1 } } } },
    };
    const document = { openapi: '3.1.1', paths: { '/things': { get: { responses: answers } } } };
    const host = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify(
          request.url === '/openapi.json' ? document : request.url === '/things' ? { a: 1 } : { a: 1, b: 2 },
        ),
      );
    });
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
    const ask = call(`http://127.0.0.1:${(host.address() as AddressInfo).port}`, 'key');
    await expect(ask('GET', '/things')).resolves.toMatchObject({ status: 200 });
    await expect(ask('GET', '/things?more')).rejects.toThrow(/not what the OpenAPI document says[\s\S]*more than 1/);
    host.close();
  });

  it('to an unknown path is a problem 404, and to an unknown method 405 with the methods there are', async () => {
    expect((await pipeline.api('GET', '/v1/nothing')).status).toBe(404);
    const answer = await pipeline.api('PUT', '/v1/meters', {});
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD', 'OPTIONS', 'POST']);
    // A method with a body that nobody can read is as unknown as any other.
    expect(
      (await pipeline.api('PUT', '/v1/invoices/run', '{', { 'content-type': 'text/plain' })).headers.get('allow'),
    ).toBe('POST, OPTIONS');
  });
});

describe('the pages', () => {
  const open = async (base: string, path: string, accept: string) => {
    const answer = await fetch(new URL(path, base), { headers: { accept } });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  };

  it('of both hosts need no key: the document, the explorer, the error reference', async () => {
    for (const base of [pipeline.stack.apiUrl, pipeline.stack.ingestUrl])
      for (const path of ['/openapi.json', '/docs', '/docs/errors', '/docs/errors/BAD_REQUEST'])
        expect((await open(base, path, '*/*')).status, path).toBe(200);
  });

  it('load nothing from another host and run no script that is not a file of ours', async () => {
    for (const path of ['/docs', '/docs/errors', '/docs/errors/VALIDATION_FAILED']) {
      const { text, headers } = await open(pipeline.stack.apiUrl, path, 'text/html');
      expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'/);
      expect(headers.get('content-security-policy')).not.toMatch(/unsafe|https?:/);
      expect(text).not.toMatch(/https?:\/\/|<script>|\son[a-z]+=|\sstyle=/);
      for (const [, target = ''] of text.matchAll(/(?:src|href)="([^"]+)"/g))
        expect((await open(pipeline.stack.apiUrl, target, '*/*')).status, target).toBe(200);
    }
  });

  it('show each error code, as HTML to a browser and as JSON to a program', async () => {
    for (const [code, { status, title }] of Object.entries(failures)) {
      const page = await open(
        pipeline.stack.apiUrl,
        `/docs/errors/${code}`,
        'text/html,application/xhtml+xml,*/*;q=0.8',
      );
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(page.text).toContain(`<h1><code>${code}</code></h1>`);
      const { body } = await pipeline.api('GET', `/docs/errors/${code}`, undefined, { accept: 'application/json' });
      expect(body).toMatchObject({ error_code: code, status, title, example: { error_code: code, status } });
    }
  });

  it('answer 404 for a code that there is not, whatever it looks like', async () => {
    for (const code of ['NOT_A_CODE', 'constructor', '__proto__', '%3Cscript%3E']) {
      const { status, text } = await open(pipeline.stack.apiUrl, `/docs/errors/${code}`, 'text/html');
      expect(status, code).toBe(404);
      expect(text).not.toContain('<script>');
    }
  });

  it('lead from a problem to its page', async () => {
    const { body } = await pipeline.api('GET', '/v1/meters?limit=0');
    expect((await open(pipeline.stack.apiUrl, body.type, 'text/html')).text).toContain(body.error_code);
  });
});

describe('the examples of the documents', () => {
  type Shown = Omit<Operation, 'parameters'> & {
    readonly parameters?: readonly { readonly name: string; readonly in: string; readonly example?: unknown }[];
    readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: unknown }>> };
  };
  type Asked = { readonly path: string; readonly method: string; readonly type?: string; readonly example?: unknown };

  /** Path and query as the examples of the parameters fill them. */
  const filledOf = (path: string, { parameters = [] }: Shown): string => {
    const shown = parameters.filter(({ example }) => example !== undefined);
    const query = new URLSearchParams(
      shown.flatMap((one): [string, string][] => (one.in === 'query' ? [[one.name, String(one.example)]] : [])),
    );
    const filled = path.replaceAll(/\{([^}]+)\}/g, (_, name) =>
      String(shown.find((one) => one.name === name)?.example),
    );
    return query.size > 0 ? `${filled}?${query}` : filled;
  };
  /**
   * In the order of the document: a request for each body with an example, and one for each operation without a body.
   */
  const requestsOf = (document: Document): Asked[] =>
    operationsOf(document).flatMap(({ path, method, operation }) => {
      const shown = operation as Shown;
      const asked = { path: filledOf(path, shown), method: method.toUpperCase() };
      if (!shown.requestBody) return [asked];
      const bodies = Object.entries(shown.requestBody.content).filter(([, { example }]) => example !== undefined);
      return bodies.map(([type, { example }]) => ({ ...asked, type, example }));
    });
  const send = (base: string, { method, path, type, example }: Asked, key = pipeline.key) =>
    type === undefined
      ? call(base, key)(method, path)
      : call(base, key)(method, path, typeof example === 'string' ? example : JSON.stringify(example), {
          'content-type': type,
        });

  /** Of the subscription of a path, made for this: its id can't be known before. */
  const changeAhead = async (path: string): Promise<string> => {
    const of = path.replace('/undo-change', '');
    const at = new Date(Date.now() + 60_000).toISOString();
    expect((await pipeline.api('POST', `${of}/seats`, { quantity: 50, at })).status).toBe(200);
    const { body } = await pipeline.api('GET', `${of}/changes`);
    return body.items.find(({ quantity }: { quantity: number }) => quantity === 50).id;
  };

  /** An invoice to credit or void is one that was issued, made for this. */
  const ofIssued = async (path: string, example: unknown): Promise<{ path: string; example: unknown }> => {
    if (path.endsWith('/void'))
      return { path: `/v1/invoices/${await issueOneOff(pipeline.api, 'acme')}/void`, example };
    if (!path.startsWith('/v1/credit-notes')) return { path, example };
    return { path, example: { ...(example as object), invoice_id: await issueOneOff(pipeline.api, 'acme') } };
  };

  /** Where a quote that was sent is, made for this: neither its id nor its token can be known before. */
  const sentQuote = async (path: string): Promise<string> => {
    const { body } = await pipeline.api('POST', '/v1/customers', { external_id: randomUUID(), name: 'A customer' });
    const offer = { customer_id: body.id, plan: 'llm-team', valid_until: '2040-01-01T00:00:00Z' };
    const { id } = (await pipeline.api('POST', '/v1/quotes', offer)).body;
    const { link } = (await pipeline.api('POST', `/v1/quotes/${id}/send`)).body;
    return path.startsWith('/v1/quote-links/')
      ? path.replace(/^\/v1\/quote-links\/[^/]+/, link.path)
      : `/v1/quotes/${id}/accept`;
  };

  it('work one after the other in an empty installation', async () => {
    const events = requestsOf(documents.ingest).filter(({ type }) => type !== undefined);
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['application/json', 'application/x-ndjson']),
    );
    for (const asked of events) {
      const { status, body } = await send(pipeline.stack.ingestUrl, asked);
      expect([asked.path, asked.type, status], JSON.stringify(body)).toEqual([asked.path, asked.type, 200]);
    }
    const { api } = pipeline;
    await until(
      () => api('GET', '/v1/events/req-1'),
      ({ body }) => body.state === 'counted',
    );
    // What a subscription changes to.
    const currency = 'USD';
    const charges = [{ code: 'base', name: 'Base', price: { model: 'flat', amount: '1.00' } }];
    for (const more of [{ code: 'llm-team' }, { code: 'more-storage', kind: 'add_on' }])
      expect((await api('POST', '/v1/plans', { name: 'A plan', currency, charges, ...more })).status).toBe(201);
    // Who lives by a test clock.
    const sandbox = await makeKey(pipeline, api, { scopes: ['admin'], world: 'test' });
    const inAYear = { external_id: 'acme-in-a-year', name: 'Acme' };
    expect((await sandbox.api('POST', '/v1/customers', inAYear)).status).toBe(201);
    const made: Record<string, string> = {};
    for (const asked of requestsOf(documents.api).filter(({ type }) => type !== undefined)) {
      // What we name ourselves can't be known before.
      const path = /^\/v1\/quotes\/[^/]+\/accept$|^\/v1\/quote-links\//.test(asked.path)
        ? await sentQuote(asked.path)
        : asked.path.replace(
            /\/(subscriptions|quotes|price-overrides|promotion-codes|api-keys|test-clocks|issuing-entities|invoices(?=\/inv_))\/[^/]+/,
            (_, kind) => `/${kind}/${made[`/v1/${kind}`]}`,
          );
      const example = path.endsWith('/undo-change') ? { change_id: await changeAhead(path) } : asked.example;
      const key = path.startsWith('/v1/test-clocks') ? sandbox.key : pipeline.key;
      const good = { ...asked, ...(await ofIssued(path, example)) };
      const { status, body } = await send(pipeline.stack.apiUrl, good, key);
      expect([path, status], JSON.stringify(body)).toEqual([
        path,
        expect.toSatisfy((of: number) => of >= 200 && of < 300),
      ]);
      made[path] ??= body.id;
    }
  });

  it('ask for what is there by the names that the caller gave it, and what we name ourselves is not found', async () => {
    const found: string[] = [];
    for (const asked of requestsOf(documents.api).filter(({ method }) => method === 'GET')) {
      const { status, body } = await send(pipeline.stack.apiUrl, asked);
      if (status === 200) found.push(asked.path);
      else
        expect([asked.path, status], JSON.stringify(body)).toEqual([
          expect.stringMatching(/\/(?:[a-z]+_[0-9a-f]{32}|mr_quote_)/),
          404,
        ]);
    }
    const named = ['/v1/meters/tokens', '/v1/plans/starter', '/v1/customers/acme', '/v1/events/req-1'];
    expect(found).toEqual(expect.arrayContaining(named));
    expect(found.some((path) => path.startsWith('/v1/meters/tokens/usage?from='))).toBe(true);
  });
});

describe('an operation', () => {
  it('lists the codes of its method and of its own', () => {
    const of = failuresOf({
      method: 'PATCH',
      url: '/v1/things/:id',
      operation: 'updateThing',
      tag: 'Things',
      summary: 'Change a thing',
      scope: 'write:things',
      answers: {},
      failures: ['METER_NOT_FOUND'],
    });
    expect(of).toEqual(
      expect.arrayContaining(['METER_NOT_FOUND', 'VERSION_MISMATCH', 'MISSING_SCOPE', 'MALFORMED_BODY']),
    );
    expect(of).not.toContain('IDEMPOTENCY_KEY_REUSED');
  });
});
