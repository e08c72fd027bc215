// Reads vitest's reports of a run and of the second run of its failed files. `counts` prints passed and failed; `files`
// the files to run again (none where they are too many to be bad luck); `names` each test that failed or was left out,
// with the beginning of what it said, and the ten slowest files.
//
// Three things that a green run could hide count as failed: a test that was skipped, a file that never ran, and a test
// that passes only when it runs again. The last may stand in `unstable-tests.json`, by its name and with the reason.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const [folder, what] = process.argv.slice(2);
const filesMax = 3;
const slowestMax = 10;
const messageLengthMax = 1_000;

const read = (name) => {
  const path = join(folder, `${name}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).testResults : undefined;
};
const first = read('vitest');
if (!first) process.exit(1);
const again = read('again') ?? [];
const unstable = JSON.parse(readFileSync(new URL('unstable-tests.json', import.meta.url), 'utf8'));

const pathOf = (file) => relative(process.cwd(), file.name);
const idOf = (file, test) => `${pathOf(file)}: ${test.fullName}`;
// A file that can't even be loaded has no tests, and counts as one that failed.
const testsOf = (files) =>
  files.flatMap((file) =>
    file.assertionResults.length > 0 || file.status === 'passed'
      ? file.assertionResults.map((test) => [idOf(file, test), test.status])
      : [[`${pathOf(file)}: ${file.message.slice(0, 300)}`, 'failed']],
  );

const messageOf = ({ failureMessages = [] }) => failureMessages.join('\n').slice(0, messageLengthMax);
const messages = new Map(
  first.flatMap((file) => file.assertionResults.map((test) => [idOf(file, test), messageOf(test)])),
);

const later = new Map(testsOf(again));
const verdictOf = (id, status) => {
  if (status === 'passed') return 'passed';
  if (status !== 'failed') return 'left out';
  if (later.get(id) !== 'passed') return 'failed';
  return Object.hasOwn(unstable, id) ? 'unstable' : 'failed at first';
};
const there = readdirSync('test', { recursive: true }).filter((path) => path.endsWith('.test.ts'));
const missing = there.map((path) => join('test', path)).filter((path) => !first.some((file) => pathOf(file) === path));
const verdicts = [
  ...testsOf(first).map(([id, status]) => [id, verdictOf(id, status)]),
  ...missing.map((path) => [path, 'never run']),
];
const isGood = (verdict) => verdict === 'passed' || verdict === 'unstable';

const secondsOf = ({ startTime, endTime }) => (endTime - startTime) / 1000;
const slowest = () => [...first].sort((a, b) => secondsOf(b) - secondsOf(a)).slice(0, slowestMax);

if (what === 'counts') {
  const passed = verdicts.filter(([, verdict]) => isGood(verdict)).length;
  console.log(passed, verdicts.length - passed);
} else if (what === 'files') {
  const files = first.filter((file) => file.status === 'failed').map(pathOf);
  console.log(files.length <= filesMax ? files.join(' ') : '');
} else {
  for (const [id, verdict] of verdicts) {
    if (verdict === 'passed') continue;
    console.log(`${verdict.toUpperCase()}  ${id}`);
    const message = messages.get(id);
    if (message) console.log(message.replaceAll(/^/gm, '    '));
  }
  console.log('The slowest files:');
  for (const file of slowest()) console.log(`  ${secondsOf(file).toFixed(1).padStart(6)} s  ${pathOf(file)}`);
}
