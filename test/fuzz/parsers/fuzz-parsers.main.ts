/**
 * `npm run fuzz:parsers -- [--cases N] [--seed N] [--format NAME] [--case NAME:HORIZON:BASE64]`: every reader of events
 * against a plain one, on random and mutated bodies. Ends with 1 on the first case on which they differ, made small;
 * `--case` looks at one again.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { stopwatch } from '#platform/process/clock.ts';
import { type Format, formats } from './formats.ts';
import { type FuzzCase, type FuzzStats, fuzzParsers, type Problem, problemOf } from './fuzz.ts';
import { type HorizonName, horizons } from './outcome.ts';

const print = (line: string): void => void process.stderr.write(`millrace  ${line}\n`);

const options = {
  cases: { type: 'string', default: '50000' },
  seed: { type: 'string', default: String(randomInt(1, 2 ** 31)) },
  format: { type: 'string' },
  case: { type: 'string' },
} as const;

const numberOf = (name: string, text: string): number => {
  if (!/^\d{1,10}$/.test(text)) throw new Error(`--${name} is a whole number, not ${text}`);
  return Number(text);
};

const formatOf = (name: string): Format => {
  const format = formats.find((one) => one.name === name);
  if (!format) throw new Error(`no format ${name}; there are ${formats.map((one) => one.name).join(', ')}`);
  return format;
};

const printProblem = (format: string, { kind, what }: Problem, { horizon, body }: FuzzCase): void => {
  print(`${format}: ${kind}: ${what}`);
  print(`body: ${JSON.stringify(body.toString('utf8').slice(0, 1000))}`);
  print(`npm run fuzz:parsers -- --case ${format}:${horizon}:${body.toString('base64')}`);
};

const again = (text: string): boolean => {
  const [name = '', horizon = '', base64 = ''] = text.split(':');
  if (!Object.hasOwn(horizons, horizon)) throw new Error('--case is FORMAT:HORIZON:BASE64, as a run prints it');
  const one = { horizon: horizon as HorizonName, body: Buffer.from(base64, 'base64') };
  const { decoded, problem } = problemOf(formatOf(name), one);
  if (problem) printProblem(name, problem, one);
  else print(`no difference: ${JSON.stringify(decoded?.outcome)}`);
  return problem === undefined;
};

const told = (name: string, { cases, malformed, tooMany, accepted, refused }: FuzzStats): string =>
  `${name}: ${cases} cases: ${malformed} malformed, ${tooMany} with too many events, the others with ${accepted} accepted and ${refused} refused events`;

const run = (cases: number, seed: number, chosen: readonly Format[]): boolean => {
  print(`${cases} cases over ${chosen.map(({ name }) => name).join(', ')}, seed ${seed}`);
  const elapsed = stopwatch();
  const { stats, finding } = fuzzParsers(chosen, cases, seed, (number) => {
    if (number % 100_000 === 99_999) print(`${number + 1} cases in ${(elapsed() / 1000).toFixed(0)} s`);
  });
  for (const [name, ofFormat] of stats) print(told(name, ofFormat));
  if (finding) {
    print(`case ${finding.number} of seed ${seed}`);
    printProblem(finding.format, finding.problem, finding.case);
  }
  print(`${finding ? 'failed' : 'no difference'} after ${(elapsed() / 1000).toFixed(1)} s; seed ${seed}`);
  return finding === undefined;
};

const { values } = parseArgs({ options });
const isSound =
  values.case === undefined
    ? run(
        numberOf('cases', values.cases),
        numberOf('seed', values.seed),
        values.format === undefined ? formats : [formatOf(values.format)],
      )
    : again(values.case);
process.exitCode = isSound ? 0 : 1;
