/** The style that no compiler checks. The rules are in `support/tidy-rules.ts`; here they meet the repository. */
import { describe, expect, it } from 'vitest';
import { codeIn, type SourceFile, sourceFile, sourceFiles } from './support/source-files.ts';
import type { Rule, Sample } from './support/tidy-paths.ts';
import { rules } from './support/tidy-rules.ts';

type Exemption = { readonly rule: string; readonly path: string; readonly line: string; readonly reason: string };

/** What may stay although a rule forbids it. One that is no longer needed fails the test. */
const exemptions: readonly Exemption[] = [
  {
    rule: 'no binary float comes near money or quantities',
    path: 'invoicer/issuing/invoices.postgres.ts',
    line: 'Math.round(elapsedMs)',
    reason: 'The time of a stopwatch for the statistics of a run; no amount.',
  },
  ...['platform/local/service.ts', 'platform/local/services.ts', 'test/integration/local/fixtures/service.main.ts'].map(
    (path) => ({
      rule: 'names are kebab-case and say what a file is',
      path,
      line: '',
      reason: 'Here a service is a process that a supervisor keeps alive, and no layer of the business.',
    }),
  ),
  {
    rule: 'imports point one way: ingest, rater, invoicer, api -> platform -> schemas',
    path: 'api/api.main.ts',
    line: 'pdf-pool.piscina.ts',
    reason: 'The API makes documents, by the master key that the invoicer has not.',
  },
  {
    rule: 'a use case imports no adapter, but for its types',
    path: 'invoicer/documents/pdf.worker.ts',
    line: 'invoice-pdf.typst.ts',
    reason: 'The entry of a thread, which nothing can be handed to.',
  },
  ...['hey-api', 'openapi-fetch'].map((name) => ({
    rule: 'a relative import names a file that is there, with its extension',
    path: `test/clients/typescript/${name}.ts`,
    line: /hey/.test(name) ? './hey-api/' : './openapi-typescript/',
    reason: 'Generators make these files beside a copy of it.',
  })),
];

const faultsOf = (rule: Rule, files: readonly SourceFile[]) =>
  rule.check(files).map(({ path, at, message }) => {
    const text = files.find((file) => file.path === path)?.text ?? '';
    const number = text.slice(0, at).split('\n').length;
    return { path, number, line: text.split('\n')[number - 1] ?? '', message };
  });

const isExempt = (rule: Rule, fault: { path: string; line: string }) => (exemption: Exemption) =>
  exemption.rule === rule.name && exemption.path === fault.path && fault.line.includes(exemption.line);

const sampleFiles = (sample: Sample): SourceFile[] =>
  Object.entries(sample).map(([path, text]) => sourceFile(path, text));

const repository = sourceFiles();

describe.each(rules)('$name', (rule) => {
  it('catches what breaks it', () => {
    for (const sample of rule.bad) expect(faultsOf(rule, sampleFiles(sample)), JSON.stringify(sample)).not.toEqual([]);
  });

  it('lets pass what does not', () => {
    for (const sample of rule.good) expect(faultsOf(rule, sampleFiles(sample))).toEqual([]);
  });

  it('holds in every file', () => {
    const faults = faultsOf(rule, repository).filter((fault) => !exemptions.some(isExempt(rule, fault)));
    expect(faults.map(({ path, number, message }) => `${path}:${number} ${message}`)).toEqual([]);
  });
});

describe('this test', () => {
  it('looks at the whole repository', () => {
    for (const path of [
      'package.json',
      'test/tidy.test.ts',
      'ingest/sink/sink.ts',
      'schemas/postgres/0001_billing.sql',
    ]) {
      expect(repository.map((file) => file.path)).toContain(path);
    }
  });

  it('sees code and not what stands in comments, strings and regular expressions, at the same places', () => {
    const text =
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a template literal as a file holds it
      "const a = `x ${b(`y ${c} z`)} }`; // d\nconst e = f / g / h; const i = /[/'\"]j/; /* k\n l */ m = '\\'n' + \"o\";";
    const code = codeIn(text);
    expect(code).toHaveLength(text.length);
    expect(code.match(/\w+/g)).toEqual(['const', 'a', 'b', 'c', 'const', 'e', 'f', 'g', 'h', 'const', 'i', 'm']);
    expect(code.indexOf('e =')).toBe(text.indexOf('e ='));
  });

  it('finds its way through every file of code: what it opens it closes, and no import is missed', () => {
    for (const { path, text, code, imports } of repository.filter((file) => file.code !== '')) {
      expect(code, path).toHaveLength(text.length);
      expect(code.split('{').length, path).toBe(code.split('}').length);
      expect(imports.length, path).toBeGreaterThanOrEqual(code.match(/^import\b/gm)?.length ?? 0);
    }
  });

  it('exempts nothing without need and reason', () => {
    for (const exemption of exemptions) {
      const rule = rules.find(({ name }) => name === exemption.rule);
      expect(rule, exemption.rule).toBeDefined();
      expect(exemption.reason).not.toBe('');
      expect(
        faultsOf(rule as Rule, repository).some((fault) => isExempt(rule as Rule, fault)(exemption)),
        JSON.stringify(exemption),
      ).toBe(true);
    }
  });
});
