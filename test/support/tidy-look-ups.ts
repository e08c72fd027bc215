/**
 * The tidy rule that keeps look-ups from meaning two objects, with what breaks it. A file of its own, as its samples
 * would break it anywhere else.
 */
import type { Rule, Sample } from './tidy-paths.ts';

/** A column that is compared with something: `m.code = $2`, `id = ANY ($2)`, `c.external_id IN (...)`. */
const comparedColumn = (names: string): string =>
  `(?:\\b\\w+\\.)?\\b(?:${names})\\s*(?:=|IN\\b|IS NOT DISTINCT FROM\\b)`;
const nameColumns = 'code|external_id|name|\\w+_code|external';
/** Up to where a condition goes on beside an OR: not past the end of its pair of parentheses or of its statement. */
const beside = '[^()`;]*(?:\\([^()`;]*\\)[^()`;]*)*';
/** `id = $1 OR code = $1` in any order, also as `$1 IN (id, code)` and as a UNION over one parameter. */
const idOrName = new RegExp(
  [
    `${comparedColumn('id')}${beside}\\bOR\\b\\s*\\(?\\s*${comparedColumn(nameColumns)}`,
    `${comparedColumn(nameColumns)}${beside}\\bOR\\b\\s*\\(?\\s*${comparedColumn('id')}`,
    `\\bIN\\s*\\(\\s*(?:\\w+\\.)?id\\s*,\\s*(?:\\w+\\.)?(?:${nameColumns})\\b`,
    `\\bIN\\s*\\(\\s*(?:\\w+\\.)?(?:${nameColumns})\\s*,\\s*(?:\\w+\\.)?id\\b`,
    `\\bid\\s*=\\s*(?:ANY\\s*)?\\(?(\\$\\d)\\)?\\s*UNION\\b[^;\`]*?\\b(?:${nameColumns})\\s*=\\s*(?:ANY\\s*)?\\(?\\1(?!\\d)`,
    `\\b(?:${nameColumns})\\s*=\\s*(?:ANY\\s*)?\\(?(\\$\\d)\\)?\\s*UNION\\b[^;\`]*?\\bid\\s*=\\s*(?:ANY\\s*)?\\(?\\2(?!\\d)`,
  ].join('|'),
  'gi',
);

export const lookUpRule: Rule = {
  name: '[I34] no statement looks for an id or a name: `lookUpColumn` says which of both a text is',
  check: (files) =>
    files
      .filter(({ path }) => /\.(?:ts|sql|mjs)$/.test(path) && !path.endsWith('tidy-look-ups.ts'))
      .flatMap(({ path, text }) =>
        [...text.matchAll(idOrName)].map((match) => ({
          path,
          at: match.index,
          message: `${match[0]}: two rows may fit, one by its id and one by its name`,
        })),
      ),
  bad: [
    'SELECT 1 FROM plans WHERE organization_id = $1 AND (id = $2 OR code = $2)',
    'SELECT 1 FROM plans p WHERE p.organization_id = $1 AND (p.code = $2 OR p.id = $2)',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: SQL as a file holds it
    'SELECT 1 FROM c WHERE c.id = ${value} OR c.external_id = ${value}',
    'SELECT 1 FROM c WHERE c.external_id = $2\n   or c.id = $2',
    'SELECT 1 FROM c WHERE id = ANY ($2) OR external_id = ANY ($2)',
    'SELECT 1 FROM c WHERE id=$2 OR (name=$2)',
    'SELECT 1 FROM c WHERE id = lower($2) OR plan_code = lower($2)',
    'SELECT 1 FROM c WHERE $2 IN (id, code)',
    'SELECT 1 FROM c WHERE $2 IN (c.external_id, c.id)',
    'SELECT id FROM c WHERE id = ANY ($2) UNION SELECT id FROM c WHERE o = $1 AND external_id = ANY ($2)',
    'SELECT id FROM c WHERE external_id = $2 UNION ALL SELECT id FROM c WHERE id = $2',
  ].flatMap((sql): Sample[] => [{ 'api/a.postgres.ts': `\`${sql}\`` }, { 'schemas/postgres/0001_a.sql': sql }]),
  good: [
    'SELECT 1 FROM plans WHERE organization_id = $1 AND id = $2',
    'SELECT 1 FROM c WHERE (id = $2 OR parent_id = $2) AND code = $3',
    'SELECT id FROM c WHERE id = ANY ($2) UNION SELECT id FROM c WHERE external_id = ANY ($3)',
    'SELECT 1 FROM c WHERE c.id = $1 AND c.code = $2 OR c.state = $3',
    'SELECT 1 FROM c WHERE id = $1; SELECT 1 FROM d WHERE a = 1 OR code = $1',
    'INSERT INTO c (id, code) VALUES ($1, $2)',
  ].map((sql) => ({ 'api/a.postgres.ts': `\`${sql}\`` })),
};
