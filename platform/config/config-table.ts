/**
 * The tables of processes and of settings as the Markdown of docs/running.md and docs/configuration.md: `node
 * platform/config/config-table.ts` prints them, `--write` puts each between its two markers. A test fails where they
 * differ, so no page can tell of a process or a variable that is not there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { settings } from './config.ts';
import { type ProcessRow, processes } from './processes.ts';
import type { Setting } from './setting.ts';

type Markers = { readonly start: string; readonly end: string };
const markersOf = (name: string): Markers => ({ start: `<!-- ${name}:start -->`, end: `<!-- ${name}:end -->` });
export const configMarkers = markersOf('configuration');
const processMarkers = markersOf('processes');

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

/** A table in columns of even width, and below it a list. */
const markdown = (rows: readonly string[][], items: readonly string[]): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lineOf = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const [head = '', ...body] = rows.map((row) => lineOf(row.map((cell, column) => cell.padEnd(widths[column] ?? 0))));
  return [head, lineOf(widths.map((width) => '-'.repeat(width))), ...body, '', ...items.map(itemOf)].join('\n');
};

/** A table of the settings, and below it what each means. */
export const configTable = (of: Readonly<Record<string, Setting>>): string =>
  markdown(
    [['Variable', 'Default', 'Range'], ...Object.values(of).map(rowOf)],
    Object.values(of).map(({ variable, about }) => `\`${variable}\`: ${about}`),
  );

const several: Readonly<Record<ProcessRow['several'], string>> = {
  share: 'share the work',
  repeat: 'all do all of it',
};

/** A table of the processes, and below it what each does. */
const processTable = (of: Readonly<Record<string, ProcessRow>>): string =>
  markdown(
    [
      ['Process', 'Main', 'Port', 'Several of it'],
      ...Object.entries(of).map(([name, row]) => [
        name,
        `\`${row.file}\``,
        `\`${row.portVariable}\``,
        several[row.several],
      ]),
    ],
    Object.entries(of).map(([name, row]) => `${name}: ${row.about}`),
  );

/**
 * What stands between the markers, without the line breaks around it; undefined where the document lacks one of them.
 */
export const tableIn = (document: string, markers: Markers): string | undefined => {
  const start = document.indexOf(markers.start);
  const end = document.indexOf(markers.end, start);
  return start < 0 || end < 0 ? undefined : document.slice(start + markers.start.length, end).trim();
};

/** The document with `table` between its markers; undefined where it lacks one of them. */
export const withTable = (document: string, table: string, markers: Markers): string | undefined => {
  const start = document.indexOf(markers.start);
  const end = document.indexOf(markers.end, start);
  if (start < 0 || end < 0) return undefined;
  return `${document.slice(0, start + markers.start.length)}\n\n${table}\n\n${document.slice(end)}`;
};

/** Which page has which table. */
export const tables = [
  { page: 'docs/running.md', markers: processMarkers, table: processTable(processes) },
  { page: 'docs/configuration.md', markers: configMarkers, table: configTable(settings) },
];

if (import.meta.main) {
  for (const { page, markers, table } of tables) {
    if (process.argv[2] === '--write') {
      const file = new URL(`../../${page}`, import.meta.url);
      const written = withTable(readFileSync(file, 'utf8'), table, markers);
      if (written === undefined) throw new Error(`${page} has no ${markers.start} followed by ${markers.end}`);
      writeFileSync(file, written);
    } else process.stdout.write(`${table}\n\n`);
  }
}
