/**
 * The tables of processes and of settings as the Markdown of the README: `node platform/config/config-table.ts` prints them,
 * `--write` puts each between its two markers of README.md. A test fails where they differ, so the README can't tell of
 * a process or a variable that is not there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { type ProcessRow, processes } from '../config/processes.ts';
import { settings } from './config.ts';
import type { Setting } from './setting.ts';

type Markers = { readonly start: string; readonly end: string };
const markersOf = (name: string): Markers => ({ start: `<!-- ${name}:start -->`, end: `<!-- ${name}:end -->` });
export const configMarkers = markersOf('configuration');
export const processMarkers = markersOf('processes');

const inCell = (text: string): string => text.replaceAll('|', '\\|');

const fallbackCell = ({ fallback }: Setting): string => {
  if (fallback === undefined) return 'required';
  return fallback === '' ? 'none' : `\`${inCell(fallback)}\``;
};

const rangeCell = ({ kind, min, max, choices, variable }: Setting): string => {
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
      return `text, or \`${variable}_FILE\` names the file that holds it`;
    case 'origins':
      return 'origins, separated by commas';
    case 'text':
      return 'text';
  }
};

/** One row per setting, in the order of the table. A required setting is required only of a process that uses it. */
const rowOf = (setting: Setting): string[] => [
  `\`${setting.variable}\``,
  fallbackCell(setting),
  inCell(setting.about),
  rangeCell(setting),
];

/** In columns of even width, as the formatter of this repository leaves a table. */
const markdown = (rows: readonly string[][]): string => {
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lineOf = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const [head = '', ...body] = rows.map((row) => lineOf(row.map((cell, column) => cell.padEnd(widths[column] ?? 0))));
  return [head, lineOf(widths.map((width) => '-'.repeat(width))), ...body].join('\n');
};

export const configTable = (of: Readonly<Record<string, Setting>>): string =>
  markdown([['Variable', 'Default', 'What it means', 'Range'], ...Object.values(of).map(rowOf)]);

const several: Readonly<Record<ProcessRow['several'], string>> = {
  share: 'share the work',
  repeat: 'all do all of it',
};

export const processTable = (of: Readonly<Record<string, ProcessRow>>): string =>
  markdown([
    ['Process', 'What it does', 'Port', 'Several of it'],
    ...Object.entries(of).map(([name, row]) => [
      `${name}, \`${row.file}\``,
      inCell(row.about),
      `\`${row.portVariable}\``,
      several[row.several],
    ]),
  ]);

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

if (import.meta.main) {
  const tables = [
    { markers: processMarkers, table: processTable(processes) },
    { markers: configMarkers, table: configTable(settings) },
  ];
  const readme = new URL('../../README.md', import.meta.url);
  for (const { markers, table } of tables) {
    if (process.argv[2] === '--write') {
      const written = withTable(readFileSync(readme, 'utf8'), table, markers);
      if (written === undefined) throw new Error(`README.md has no ${markers.start} followed by ${markers.end}`);
      writeFileSync(readme, written);
    } else {
      process.stdout.write(`${table}\n\n`);
    }
  }
}
