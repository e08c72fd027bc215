/** The result of a matrix as a Markdown table, one row for each scenario over all of its seeds. */
import type { RoundResult } from './round.ts';

/** Undefined: a round that could not be judged. */
export type Row = { readonly name: string; readonly results: readonly (RoundResult | undefined)[] };

const columns = [
  'scenario',
  'seeds',
  'accepted',
  'billed',
  'open month',
  'lost',
  'doubled',
  'other faults',
  'deaths',
  's to recover',
  's to settle',
];

const seconds = (ms: readonly number[]): string => (ms.length === 0 ? '' : (Math.max(...ms) / 1000).toFixed(1));

const cellsOf = ({ name, results }: Row): string[] => {
  const judged = results.filter((result) => result !== undefined);
  const sum = (of: (result: RoundResult) => number) => String(judged.reduce((total, result) => total + of(result), 0));
  const unjudged = results.length - judged.length;
  return [
    name,
    unjudged === 0 ? String(results.length) : `${results.length}, ${unjudged} not judged`,
    sum(({ accepted }) => accepted),
    sum(({ billed }) => billed),
    sum(({ open }) => open),
    sum(({ lost }) => lost.length),
    sum(({ doubled }) => doubled.length),
    sum(({ faults }) => faults.length),
    sum(({ deaths }) => deaths),
    seconds(judged.map(({ recoveredMs }) => recoveredMs)),
    seconds(judged.map(({ settledMs }) => settledMs)),
  ];
};

/** Times are the longest over the seeds. */
export const tableOf = (rows: readonly Row[]): string => {
  const lines = [columns, ...rows.map(cellsOf)];
  const widths = columns.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(columns), line(widths.map((width) => '-'.repeat(width))), ...lines.slice(1).map(line)].join('\n');
};
