/**
 * `npm run test:mutation -- [--only TEXT] [--jobs N] [--list]`: every mutant of the price models, of money and of
 * billing periods against the unit tests of these. Prints the mutants that no test noticed and the score of each file;
 * ends with 1 where the score of one is under the least, or where an equivalent mutant of the list is gone.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stopwatch } from '#platform/process/clock.ts';
import { type Equivalent, equivalents } from './equivalents.ts';
import type { Task, Verdict } from './mutant-worker.main.ts';
import { type Mutant, mutantsOf } from './mutants.ts';

const scoreMinPercent = 90;
/** A child is replaced after as many mutants: what it has loaded is never freed. */
const mutantsPerChildMax = 60;
/** Of a mutant that ends: its tests take less than a tenth of it on a busy machine. */
const mutantTimeoutMs = 60_000;

const root = fileURLToPath(new URL('../../', import.meta.url));
const print = (line: string): void => void process.stderr.write(`millrace  ${line}\n`);
const read = (path: string): string => readFileSync(root + path, 'utf8');
const inFolder = (folder: string, form: RegExp): string[] =>
  readdirSync(root + folder)
    .filter((name) => form.test(name))
    .sort()
    .map((name) => `${folder}/${name}`);

const sources = [
  'schemas/money.ts',
  'schemas/fixed-point.ts',
  'schemas/proration.ts',
  'schemas/billing-cycle.ts',
  ...inFolder('rater/price', /\.ts$/),
  ...inFolder('schemas/price', /\.ts$/),
];
const tests = [
  ...inFolder('test/unit/rater/price', /\.test\.ts$/),
  ...inFolder('test/unit/schemas', /^(?:money|quantity|proration|billing-cycle|price.*)\.test\.ts$/),
  // Previews are what makes usage of events in code.
  'test/unit/api/catalog/preview-price.test.ts',
];

/** The tests that are named as the file is come first: most mutants end there. */
const testsFor = (path: string): string[] => {
  const [folder = '', name = ''] = path.replace(/\.ts$/, '').split(/\/(?=[^/]+$)/);
  const words = name.split('-');
  const rank = (test: string): number => {
    if (test === `test/unit/${folder}/${name}.test.ts`) return 0;
    return words.some((word) => test.includes(word)) ? 1 : 2;
  };
  return tests.toSorted((a, b) => rank(a) - rank(b));
};

const lineOf = ({ path, line }: Mutant): string => read(path).split('\n')[line - 1] ?? '';
const changeOf = ({ before, after }: Mutant): string =>
  after === ';' ? 'removed' : `${before} -> ${after}`.replace(/\s+/g, ' ');
const equivalentOf = (mutant: Mutant): Equivalent | undefined =>
  equivalents.find(
    ({ path, within, changes }) =>
      path === mutant.path && changes.includes(changeOf(mutant)) && lineOf(mutant).includes(within),
  );
/** What the list has and the program no longer. */
const goneFrom = (mutants: readonly Mutant[], paths: readonly string[]): string[] =>
  equivalents
    .filter(({ path }) => paths.includes(path))
    .flatMap((known) =>
      known.changes
        .filter((change) => !mutants.some((one) => equivalentOf(one) === known && changeOf(one) === change))
        .map((change) => `${known.path}: ${known.within}: ${change}`),
    );

/** One child at a time, with what it is asked; it is replaced when it is used up, hangs or dies. */
const createJudge = () => {
  let child: ChildProcess | undefined;
  let judged = 0;
  const end = (): void => {
    child?.kill('SIGKILL');
    child = undefined;
    judged = 0;
  };
  const answerOf = (process: ChildProcess, timeoutMs: number): Promise<Verdict | undefined> =>
    new Promise((resolve) => {
      const done = (verdict?: Verdict): void => {
        clearTimeout(timer);
        process.off('message', done).off('exit', gone);
        resolve(verdict);
      };
      const gone = (): void => done();
      const timer = setTimeout(gone, timeoutMs);
      process.on('message', done).on('exit', gone);
    });
  return {
    end,
    /** Undefined where the mutant did not end, or ended its process. */
    judge: async (task: Task): Promise<Verdict | undefined> => {
      if (judged >= mutantsPerChildMax) end();
      if (!child) {
        child = fork(new URL('./mutant-worker.main.ts', import.meta.url), {
          cwd: root,
          // A tenth of the random cases: a mutant that only a rare case tells is one that needs a row of its own.
          env: { ...process.env, MILLRACE_TEST_SCALE: '0.1' },
          stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        });
        await answerOf(child, mutantTimeoutMs);
      }
      judged += 1;
      const answer = answerOf(child, mutantTimeoutMs);
      child.send(task);
      const verdict = await answer;
      if (!verdict) end();
      return verdict;
    },
  };
};

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '1' },
    list: { type: 'boolean', default: false },
  },
});
const chosen = sources.filter((path) => path.includes(values.only));
const sourceOf = new Map(chosen.map((path) => [path, read(path)]));
const mutants = chosen.flatMap((path) => mutantsOf(path, sourceOf.get(path) ?? ''));
const elapsed = stopwatch();
const tell = (mutant: Mutant): string =>
  mutant.after === ';'
    ? `${mutant.path}:${mutant.line}  removed: ${mutant.before}`
    : `${mutant.path}:${mutant.line}  ${changeOf(mutant)}`;

if (values.list) {
  for (const mutant of mutants) process.stdout.write(`${tell(mutant)}\n`);
  process.exit();
}

const baseline = createJudge();
const whole = await baseline.judge({ id: 0, mutant: null, source: '', tests });
baseline.end();
if (!whole || whole.failed !== undefined) {
  print(`the tests fail without a mutant: ${whole?.failed}`);
  process.exit(1);
}
print(`${mutants.length} mutants of ${chosen.length} files against ${whole.passed} tests`);

const survivors: Mutant[] = [];
const todo = mutants.map((mutant, index) => ({ mutant, id: index + 1 }));
const counts = new Map(chosen.map((path) => [path, { killed: 0, equivalent: 0, survived: 0 }]));
const work = async (): Promise<void> => {
  const judge = createJudge();
  for (let next = todo.shift(); next; next = todo.shift()) {
    const { mutant, id } = next;
    const count = counts.get(mutant.path);
    if (!count) continue;
    if (equivalentOf(mutant)) {
      count.equivalent += 1;
      continue;
    }
    const source = sourceOf.get(mutant.path) ?? '';
    const verdict = await judge.judge({ id, mutant, source, tests: testsFor(mutant.path) });
    if (verdict && verdict.failed === undefined) {
      count.survived += 1;
      survivors.push(mutant);
      print(`survived: ${tell(mutant)}`);
    } else count.killed += 1;
  }
  judge.end();
};
await Promise.all(Array.from({ length: Number(values.jobs) }, work));

const percent = (killed: number, survived: number): number =>
  killed + survived === 0 ? 100 : (100 * killed) / (killed + survived);
let isSound = true;
for (const [path, { killed, equivalent, survived }] of counts) {
  const score = percent(killed, survived);
  if (score < scoreMinPercent) isSound = false;
  print(`${score.toFixed(1).padStart(5)} %  ${path}: ${killed} killed, ${survived} survived, ${equivalent} equivalent`);
}
const gone = goneFrom(mutants, chosen);
for (const known of gone) print(`the list of equivalent mutants has one that is not there: ${known}`);
const killed = [...counts.values()].reduce((sum, count) => sum + count.killed, 0);
print(
  `${percent(killed, survivors.length).toFixed(1)} % of ${killed + survivors.length} mutants in ${(elapsed() / 1000).toFixed(0)} s`,
);
process.exitCode = isSound && gone.length === 0 ? 0 : 1;
