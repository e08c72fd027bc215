import { describe, expect, it } from 'vitest';
import {
  type ErrorPage,
  errorIndexHtml,
  errorPage,
  errorPageHtml,
  errorPages,
  escapeHtml,
  isFailureCode,
} from '#platform/http/error-reference.ts';
import { failuresOf } from '#platform/http/openapi.ts';
import { type FailureCode, failures } from '#schemas/failures.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { sourceFiles } from '../../support/source-files.ts';

const codes = Object.keys(failures) as FailureCode[];

/** Where codes are used: everything that runs, but the table itself and the examples of the reference. */
const sources = sourceFiles().filter(
  ({ path }) =>
    /^(?:api|ingest|invoicer|platform|rater|schemas)\/.*\.ts$/.test(path) &&
    !['schemas/failures.ts', 'platform/http/error-reference.ts'].includes(path),
);
const quoted = /'([A-Z][A-Z0-9_]+)'/g;

/** Codes where they are answered. What a definition lists, or the document, is only said. */
const usedCodes = (): Set<string> => {
  const said = /failures(?::| =) \[[^\]]*\]|problems: \{[^}]*\}/g;
  return new Set(
    sources
      .filter(({ path }) => !path.includes('openapi'))
      .flatMap(({ text }) => [...text.replaceAll(said, '').matchAll(quoted)].map(([, code]) => code as string)),
  );
};

describe('a code', () => {
  it.each(codes)('%s has a status, a title, a cause and a cure, each a text of its own', (code) => {
    const { status, title, cause, cure } = failures[code];
    expect(code).toMatch(/^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(title).toMatch(/^[A-Z].*[^.]$/);
    for (const text of [cause, cure]) expect(text).toMatch(/^[A-Z`].{10,}\.$/);
    expect(new Set([title, cause, cure]).size).toBe(3);
  });

  it('is not in the table unless something answers it', () => {
    const used = usedCodes();
    expect(codes.filter((code) => !used.has(code))).toEqual([]);
  });

  it('is not answered unless it is in the table', () => {
    const thrown = sources.flatMap(({ text }) => [
      ...text.matchAll(/(?:FailureError|toProblem|sendProblem)\((?:request, reply, )?'([^']+)'/g),
    ]);
    expect(thrown.length).toBeGreaterThan(20);
    expect(thrown.map(([, code]) => code).filter((code) => !isFailureCode(code as string))).toEqual([]);
  });

  it('is documented for an operation that answers it', () => {
    const listed = sources.flatMap(({ text }) =>
      [...text.matchAll(/failures(?::| =) \[([^\]]*)\]/g)].flatMap(([, list = '']) =>
        [...list.matchAll(quoted)].map(([, code]) => code as string),
      ),
    );
    const thrownInRoutes = sources
      .filter(({ path }) => /^api\/(?!route\/|verify\/).+\.ts$/.test(path) || path === 'ingest/gateway/gateway.ts')
      .flatMap(({ text }) =>
        [...text.replaceAll(/failures(?::| =) \[[^\]]*\]/g, '').matchAll(quoted)].map(([, code]) => code as string),
      )
      .filter(isFailureCode);
    const anywhere = {
      url: '/v1/a/:id',
      operation: 'a',
      tag: 'A',
      summary: 'A',
      scope: 'read:a',
      params: IdParam,
      answers: {},
      failures: [],
    };
    const conventional = (['POST', 'PATCH'] as const).flatMap((method) => failuresOf({ method, ...anywhere }));
    expect(thrownInRoutes.length).toBeGreaterThan(10);
    expect(
      thrownInRoutes.filter((code) => !listed.includes(code) && !conventional.includes(code as FailureCode)),
    ).toEqual([]);
  });
});

describe('the error reference', () => {
  it('has a page for every code, with all its parts', () => {
    expect(
      errorPages()
        .map(({ error_code: code }) => code)
        .sort(),
    ).toEqual([...codes].sort());
    for (const page of errorPages()) {
      expect(page.example).toMatchObject({
        type: `/docs/errors/${page.error_code}`,
        status: page.status,
        error_code: page.error_code,
      });
      const html = errorPageHtml(page);
      for (const part of [page.error_code, String(page.status), 'Cause', 'Cure', 'Example'])
        expect(html).toContain(part);
      expect(html).toContain(escapeHtml(page.cause).split('`')[0]);
    }
  });

  it('lists every code on one page, each with a link to its own', () => {
    const html = errorIndexHtml(errorPages());
    for (const code of codes) expect(html).toContain(`href="/docs/errors/${code}"`);
  });

  it('shows any text as text', () => {
    const hostile = `<script>alert("1" & '2')</script>`;
    const page: ErrorPage = { ...errorPage('NOT_FOUND'), title: hostile, cause: hostile, cure: hostile };
    for (const html of [errorPageHtml(page), errorIndexHtml([page])]) {
      expect(html).not.toContain('<script');
      expect(html).toContain('&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;');
    }
  });

  it('knows no code that only JavaScript knows', () => {
    for (const text of ['constructor', '__proto__', 'toString', '', 'not_found'])
      expect(isFailureCode(text)).toBe(false);
  });
});
