/**
 * The settings as the Markdown of docs/configuration.md: `node platform/config/config-table.ts` prints it, `--write` puts it
 * between the two markers of that page. A test fails where both differ, so the page can't tell of a variable that is
 * not there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { settings } from './config.ts';
import type { Setting } from './setting.ts';

export const tableStart = '<!-- configuration:start -->';
export const tableEnd = '<!-- configuration:end -->';

/** As wide as the other documents are. */
const columnsMax = 110;

const inCell = (text: string): string => text.replaceAll('|', '\\|');

const fallbackCell = ({ fallback }: Setting): string => {
  if (fallback === undefined) return 'required';
  return fallback === '' ? 'none' : `\`${inCell(fallback)}\``;
};

const rangeCell = ({ kind, min, max, choices }: Setting): string => {
  switch (kind) {
    case 'integer':
      return `${min} to ${max}`;
    case 'choice':
      return (choices ?? []).map((choice) => `\`${inCell(choice)}\``).join(', ');
    case 'boolean':
      return '`true`, `false`';
    case 'url':
      return 'URL';
    case 'secret':
      return 'secret';
    case 'origins':
      return 'origins';
    case 'text':
      return 'text';
  }
};

/** One row per setting, in the order of the table. A required setting is required only of a process that uses it. */
const rowOf = (setting: Setting): string[] => [`\`${setting.variable}\``, fallbackCell(setting), rangeCell(setting)];

/** An item of a list, broken between words and never within code. */
const itemOf = (text: string): string => {
  const lines: string[] = [];
  let line = '-';
  for (const word of text.match(/(?:`[^`]*`|[^\s`])+/g) ?? []) {
    if (line.length + 1 + word.length > columnsMax) {
      lines.push(line);
      line = ' ';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
};

/** A table in columns of even width, and below it what each setting means. */
export const configTable = (of: Readonly<Record<string, Setting>>): string => {
  const rows = [['Variable', 'Default', 'Range'], ...Object.values(of).map(rowOf)];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lineOf = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const [head = '', ...body] = rows.map((row) => lineOf(row.map((cell, column) => cell.padEnd(widths[column] ?? 0))));
  const meanings = Object.values(of).map(({ variable, about }) => itemOf(`\`${variable}\`: ${about}`));
  return [head, lineOf(widths.map((width) => '-'.repeat(width))), ...body, '', ...meanings].join('\n');
};

/**
 * What stands between the markers, without the line breaks around it; undefined where the document lacks one of them.
 */
export const tableIn = (document: string): string | undefined => {
  const start = document.indexOf(tableStart);
  const end = document.indexOf(tableEnd, start);
  return start < 0 || end < 0 ? undefined : document.slice(start + tableStart.length, end).trim();
};

/** The document with `table` between its markers; undefined where it lacks one of them. */
export const withTable = (document: string, table: string): string | undefined => {
  const start = document.indexOf(tableStart);
  const end = document.indexOf(tableEnd, start);
  if (start < 0 || end < 0) return undefined;
  return `${document.slice(0, start + tableStart.length)}\n\n${table}\n\n${document.slice(end)}`;
};

if (import.meta.main) {
  const table = configTable(settings);
  if (process.argv[2] === '--write') {
    const page = new URL('../../docs/configuration.md', import.meta.url);
    const written = withTable(readFileSync(page, 'utf8'), table);
    if (written === undefined) throw new Error(`docs/configuration.md has no ${tableStart} followed by ${tableEnd}`);
    writeFileSync(page, written);
  } else {
    process.stdout.write(`${table}\n`);
  }
}
