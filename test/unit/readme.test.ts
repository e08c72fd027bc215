import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configMarkers, configTable, tableIn, tables, withTable } from '#platform/config/config-table.ts';
import { servedDocuments } from '../support/documents.ts';
import { sourceFiles } from '../support/source-files.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const files = sourceFiles().map(({ path }) => path);

describe('the table of settings', () => {
  const example = {
    port: { variable: 'A_PORT', kind: 'integer', fallback: '80', min: 0, max: 99, about: 'A port.' },
    level: { variable: 'A_LEVEL', kind: 'choice', fallback: 'low', choices: ['low', 'high'], about: 'This | that.' },
    pepper: { variable: 'A_PEPPER', kind: 'secret', fallback: undefined, about: 'A secret.' },
    key: { variable: 'A_KEY', kind: 'secret', fallback: '', about: 'A key.' },
    url: { variable: 'A_URL', kind: 'url', fallback: undefined, about: 'A server.' },
  } as const;

  it('says variable, default and range in columns of even width, and below what each means', () => {
    const { level } = example;
    const long = { ...level, fallback: 'a|b', about: `${'Many words. '.repeat(9)}The end.` };
    expect(configTable({ ...example, level: long }).split('\n')).toEqual([
      '| Variable   | Default  | Range         |',
      '| ---------- | -------- | ------------- |',
      '| `A_PORT`   | `80`     | 0 to 99       |',
      '| `A_LEVEL`  | `a\\|b`   | `low`, `high` |',
      '| `A_PEPPER` | required | secret        |',
      '| `A_KEY`    | none     | secret        |',
      '| `A_URL`    | required | URL           |',
      '',
      '- `A_PORT`: A port.',
      `- \`A_LEVEL\`: ${'Many words. '.repeat(8).trim()}`,
      '  Many words. The end.',
      '- `A_PEPPER`: A secret.',
      '- `A_KEY`: A key.',
      '- `A_URL`: A server.',
    ]);
  });

  const { start, end } = configMarkers;

  it('is written between the markers and read back from there, and the text around it stays', () => {
    const document = `before\n${start}\nold\n${end}\nafter\n`;
    const written = withTable(document, 'new', configMarkers) ?? '';
    expect(tableIn(written, configMarkers)).toBe('new');
    expect(written).toMatch(/^before\n/);
    expect(written).toMatch(/\nafter\n$/);
    expect(withTable(written, 'new', configMarkers)).toBe(written);
  });

  it('is not written into a document without both markers', () => {
    for (const document of ['', start, end, `${end}${start}`]) {
      expect(withTable(document, 'new', configMarkers)).toBeUndefined();
      expect(tableIn(document, configMarkers)).toBeUndefined();
    }
  });

  it.each(tables)('in $page is the one that the code gives', ({ page, markers, table }) => {
    const update = `${page} differs from the code; update it: node platform/config/config-table.ts --write`;
    expect(tableIn(read(page), markers), update).toBe(table);
  });
});

describe('docs/api.md', () => {
  it('lists every route of both hosts, and none that is not there', async () => {
    const { api, ingest } = await servedDocuments();
    const served = [api, ingest].flatMap(({ paths }) =>
      Object.entries(paths as Readonly<Record<string, object>>).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      ),
    );
    expect(served.length).toBeGreaterThan(40);
    const listed = [...read('docs/api.md').matchAll(/`((?:GET|POST|PUT|PATCH|DELETE) \/[^`]*)`/g)].map(
      (match) => match[1],
    );
    expect([...new Set(listed)].sort()).toEqual([...new Set(served)].sort());
  });
});

describe('docs/dependencies.md', () => {
  it('gives a reason for every package of package.json, and for none that is gone', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, object>;
    const [ours = ''] = read('docs/dependencies.md').split('## What a command installs for itself');
    const items = [...ours.matchAll(/^- ((?:`[^`]+`,?\s*)+):/gm)].map((match) => match[1] ?? '');
    const named = items.flatMap((names) => [...names.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ''));
    expect(named.sort()).toEqual(Object.keys({ ...dependencies, ...devDependencies }).sort());
  });
});

describe('a document is read as text in a terminal', () => {
  it('README.md has at most 150 lines', () => {
    expect(read('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(150);
  });

  it('no line of any document is wider than 110 columns', () => {
    const wide = files
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) =>
        read(path)
          .split('\n')
          .flatMap((line, index) => ([...line].length > 110 ? [`${path}:${index + 1} ${[...line].length}`] : [])),
      );
    expect(wide).toEqual([]);
  });
});

/** Targets of the links of a Markdown text that lead to a file or a heading; code is no text. */
const linksOf = (text: string): string[] => {
  const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '');
  const inline = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)];
  const references = [...prose.matchAll(/^\s{0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)/gm)];
  return [...inline, ...references]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^[a-z][a-z0-9+.-]*:|^\/\//i.test(target));
};

/** A heading as GitHub names it in a link. */
const anchorsOf = (text: string): Set<string> =>
  new Set(
    [...text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)].map((match) =>
      (match[1] ?? '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

const isThere = (path: string): boolean =>
  files.includes(path) || path === '' || files.some((file) => file.startsWith(`${path}/`));

/** The links of a document that lead nowhere. */
const deadLinks = (path: string, text: string): string[] =>
  linksOf(text).filter((target) => {
    const [file = '', anchor] = decodeURI(target).split('#');
    const resolved =
      file === '' ? path : file.startsWith('/') ? file : join(dirname(path), file).replace(/^\.$|\/$/g, '');
    if (file !== '' && !isThere(resolved)) return true;
    if (!anchor || !resolved.endsWith('.md')) return false;
    return !anchorsOf(resolved === path ? text : read(resolved)).has(anchor);
  });

describe('links', () => {
  it('that lead to no file, out of the repository or to no heading are found', () => {
    const text = [
      '# A first heading, with `code`',
      '[a](absent.md) [b](../platform/config/config.ts) [c](#a-first-heading-with-code) [d](#absent) [e](/etc/passwd) [f](../../outside.md)',
      '[g](https://example.com/x) `[h](absent-in-code.md)` [i](config/config.ts "title") [j][ref] [k](local/)',
      '```',
      '[l](absent-in-a-block.md)',
      '```',
      '[ref]: absent-reference.md',
    ].join('\n');
    expect(deadLinks('platform/example.md', text)).toEqual([
      'absent.md',
      '#absent',
      '/etc/passwd',
      '../../outside.md',
      'absent-reference.md',
    ]);
  });

  const documents = files.filter((path) => path.endsWith('.md'));

  it('are looked at in more than one document', () => {
    expect(documents.length).toBeGreaterThan(1);
  });

  it.each(documents)('of %s all lead somewhere', (path) => {
    expect(deadLinks(path, read(path))).toEqual([]);
  });
});

/** What a README names in code: a file, or a folder with a slash behind it, which stands for all that is in it. */
const namesIn = (text: string): string[] => [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');

const isFile = (name: string): boolean => /^[\w./-]+\.(?:ts|mjs|sql|avsc)$/.test(name);

const unnamed = (readme: string, paths: readonly string[]): string[] => {
  const names = namesIn(readme);
  return paths.filter((path) => !names.some((name) => name === path || (name.endsWith('/') && path.startsWith(name))));
};

describe('the README of a folder', () => {
  it('that leaves a file out is found', () => {
    expect(unnamed('`a.ts`, `routes/` and b.ts', ['a.ts', 'b.ts', 'routes/c.ts'])).toEqual(['b.ts']);
  });

  it.each(['ingest', 'rater', 'invoicer', 'api', 'schemas', 'platform', 'platform/local', 'bench'])(
    '%s names every file that is there, and none that is not',
    (folder) => {
      const readme = read(`${folder}/README.md`);
      const inFolder = files
        .filter((path) => path.startsWith(`${folder}/`) && !path.endsWith('.md'))
        .map((path) => path.slice(folder.length + 1));
      expect(unnamed(readme, inFolder)).toEqual([]);
      const named = namesIn(readme).filter(isFile);
      expect(named.filter((name) => !inFolder.includes(name) && !files.includes(name))).toEqual([]);
    },
  );

  it.each(['ingest', 'rater', 'invoicer', 'api', 'schemas', 'platform', 'platform/local', 'bench', 'test'])(
    '%s says what it owns and what not, its invariants, and its files in reading order',
    (folder) => {
      const readme = read(`${folder}/README.md`);
      for (const part of ['**Owns**', '**Does not own**', '\n## Invariants\n', '\n## Files in reading order\n'])
        expect(readme).toContain(part);
    },
  );

  it.each(files.filter((path) => path.startsWith('docs/decisions/')))(
    'has its decisions in %s, which names no file that is gone',
    (path) => {
      expect(
        namesIn(read(path))
          .filter(isFile)
          .filter((name) => !files.includes(name)),
      ).toEqual([]);
    },
  );

  it('test/README.md states every invariant that the name of a test or another README gives by its number', () => {
    const numbers = (text: string) => text.match(/(?<=\[)I\d+(?=\])/g) ?? [];
    const used = new Set(
      files.filter((path) => /^test\/.+\.ts$|README\.md$/.test(path)).flatMap((path) => numbers(read(path))),
    );
    const stated = new Set([...read('test/README.md').matchAll(/^- (I\d+): \S/gm)].map((match) => match[1]));
    expect([...used].filter((number) => !stated.has(number))).toEqual([]);
    expect(used.size).toBeGreaterThan(10);
  });
});
