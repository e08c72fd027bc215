/** The tidy rule about long lines: what biome leaves as it is, which are comments and the texts of literals. */
import type { SourceFile } from './source-files.ts';
import { type Fault, isCode, type Rule } from './tidy-paths.ts';

const columnsMax = 120;

/** Words of SQL as we write them; nobody writes them so in a sentence. */
const sqlWords = [
  ...['SELECT', 'INSERT INTO', 'UPDATE [a-z_]+', 'DELETE FROM', 'CREATE [A-Z]+', 'ALTER [A-Z]+'],
  ...['FROM', 'JOIN', 'WHERE', 'VALUES', 'RETURNING', 'ON CONFLICT', 'ORDER BY', 'GROUP BY', 'AND', 'AS', 'IN', 'ON'],
];
const sqlWord = new RegExp(`\\b(?:${sqlWords.join('|')})\\b`);

/** A word longer than the line, such as a URL, stands in it alone. */
const words = (line: string): number => line.replace(/^\s*(?:\/\/|\/?\*+)\s*/, '').split(/\s+/).length;

const messageOf = (line: string, code: string): string | undefined => {
  if (code.trim() === '' && /^\s*(?:\/\/|\/\*|\*)/.test(line))
    return words(line) > 1 ? 'a comment is wrapped' : undefined;
  // What is no code of the line is the text of its literals.
  const text = line
    .split('')
    .map((character, index) => (code[index] === character ? ' ' : character))
    .join('');
  if (sqlWord.test(text)) return 'SQL is wrapped';
  return code.replaceAll(/\s+/g, ' ').length > columnsMax ? 'code is split' : undefined;
};

/**
 * A literal that is one text for its reader stays in one piece, so that it can be searched for: a message, the title of
 * a test, a description, a regular expression, JSON.
 */
const longLines = (files: readonly SourceFile[]): Fault[] =>
  files.filter(isCode).flatMap(({ path, text, code }) => {
    let at = 0;
    return text.split('\n').flatMap((line) => {
      const begin = at;
      at += line.length + 1;
      if ([...line].length <= columnsMax) return [];
      const message = messageOf(line, code.slice(begin, begin + line.length));
      return message === undefined ? [] : [{ path, at: begin, message: `${line.length} columns: ${message}` }];
    });
  });

const filler = 'word '.repeat(24);

export const lineRule: Rule = {
  name: 'lines of code, comments and SQL have at most 120 columns',
  check: longLines,
  bad: [
    { 'api/a.ts': `// ${filler}` },
    { 'test/a.ts': `/**\n * ${filler}\n */` },
    { 'api/a.postgres.ts': `const a = 'SELECT ${'a, '.repeat(40)}b FROM c';` },
    { 'api/a.postgres.ts': `const a = \`SELECT a\n  FROM b WHERE ${'c = 1 AND '.repeat(12)} d = 1\`;` },
    { 'bench/a.ts': `const a = \`\${${'b + '.repeat(40)}c}\`;` },
  ],
  good: [
    {
      'api/a.ts': `const a = '${filler}';\nconst b = /${'[a-z]'.repeat(30)}/;\n// https://example.org/${'a/'.repeat(60)}`,
      'test/a.ts': `it('${filler}', () => {});`,
      'docs/a.md': filler,
    },
  ],
};
