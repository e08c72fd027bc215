import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { settings } from '#platform/config/config.ts';
import {
  configMarkers,
  configTable,
  processMarkers,
  processTable,
  tableIn,
  withTable,
} from '#platform/config/config-table.ts';
import { processes } from '#platform/config/processes.ts';
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

  it('says variable, default, meaning and range, in columns of even width, and keeps a bar inside its cell', () => {
    expect(configTable(example).split('\n')).toEqual([
      '| Variable   | Default  | What it means | Range                                                 |',
      '| ---------- | -------- | ------------- | ----------------------------------------------------- |',
      '| `A_PORT`   | `80`     | A port.       | 0 to 99                                               |',
      '| `A_LEVEL`  | `low`    | This \\| that. | `low`, `high`                                         |',
      '| `A_PEPPER` | required | A secret.     | text, or `A_PEPPER_FILE` names the file that holds it |',
      '| `A_KEY`    | none     | A key.        | text, or `A_KEY_FILE` names the file that holds it    |',
      '| `A_URL`    | required | A server.     | URL                                                   |',
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

  it.each([
    ['platform/config/config.ts', configMarkers, configTable(settings)],
    ['platform/config/processes.ts', processMarkers, processTable(processes)],
  ])('in README.md is the one of %s', (file, markers, table) => {
    const update = 'update it: node platform/config/config-table.ts --write';
    const shown = existsSync(new URL('README.md', root)) ? tableIn(read('README.md'), markers) : undefined;
    expect(shown, `README.md must have ${markers.start} and, below it, ${markers.end}; ${update}`).toBeDefined();
    // How wide its columns are is the formatter's business.
    const rowsOf = (text: string) => text.split('\n').map((row) => row.replace(/ +\|/g, ' |').replace(/-+/g, '-'));
    expect(rowsOf(shown ?? ''), `README.md differs from ${file}; ${update}`).toEqual(rowsOf(table));
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

const unnamed = (readme: string, paths: readonly string[]): string[] => {
  const names = namesIn(readme);
  return paths.filter((path) => !names.some((name) => name === path || (name.endsWith('/') && path.startsWith(name))));
};

describe('the README of a folder', () => {
  it('that leaves a file out is found', () => {
    expect(unnamed('`a.ts`, `routes/` and b.ts', ['a.ts', 'b.ts', 'routes/c.ts'])).toEqual(['b.ts']);
  });

  it.each(['ingest', 'rater', 'invoicer', 'schemas', 'platform'])(
    '%s names every file that is there, and none that is not',
    (folder) => {
      const readme = read(`${folder}/README.md`);
      const inFolder = files
        .filter((path) => path.startsWith(`${folder}/`) && !path.endsWith('.md'))
        .map((path) => path.slice(folder.length + 1));
      expect(unnamed(readme, inFolder)).toEqual([]);
      const named = namesIn(readme).filter((name) => /^[\w./-]+\.(?:ts|mjs|sql|avsc)$/.test(name));
      expect(named.filter((name) => !inFolder.includes(name) && !files.includes(name))).toEqual([]);
    },
  );

  it('test/README.md states every invariant that the name of a test or another README gives by its number', () => {
    const numbers = (text: string) => text.match(/(?<=\[)I\d+(?=\])/g) ?? [];
    const used = new Set(
      files.filter((path) => /^test\/.+\.ts$|README\.md$/.test(path)).flatMap((path) => numbers(read(path))),
    );
    const stated = new Set(
      [...read('test/README.md').matchAll(/^\|\s*(I\d+)\s*\|\s*\S.*\|$/gm)].map((match) => match[1]),
    );
    expect([...used].filter((number) => !stated.has(number))).toEqual([]);
    expect(used.size).toBeGreaterThan(10);
  });
});
