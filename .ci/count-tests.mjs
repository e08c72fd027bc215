// Reads vitest's reports of a run and of the second run of its failed files: `counts` prints passed and failed, `files` the files to run again (none where they
// are too many to be bad luck), `names` each test that failed and what became of it.
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const [folder, what] = process.argv.slice(2);
const filesMax = 3;

const read = (name) => {
  const path = join(folder, `${name}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).testResults : undefined;
};
const first = read('vitest');
if (!first) process.exit(1);
const again = read('again') ?? [];

const idOf = (file, test) => `${relative(process.cwd(), file.name)}: ${test.fullName}`;
// A file that can't even be loaded has no tests, and counts as one that failed.
const testsOf = (files) =>
  files.flatMap((file) =>
    file.assertionResults.length > 0 || file.status === 'passed'
      ? file.assertionResults.map((test) => [idOf(file, test), test.status])
      : [[`${relative(process.cwd(), file.name)}: ${file.message.slice(0, 300)}`, 'failed']],
  );
const before = testsOf(first);
const after = new Map(testsOf(again));
const outcomes = before.map(([id, status]) => [id, status === 'failed' ? (after.get(id) ?? 'failed') : status, status]);

if (what === 'counts') {
  const count = (wanted) => outcomes.filter(([, status]) => status === wanted).length;
  console.log(count('passed'), count('failed'));
} else if (what === 'files') {
  const files = first.filter((file) => file.status === 'failed').map((file) => relative(process.cwd(), file.name));
  console.log(files.length <= filesMax ? files.join(' ') : '');
} else
  for (const [id, status, was] of outcomes)
    if (was === 'failed') console.log(`${status === 'passed' ? 'UNSTABLE (passed when run again)' : 'FAILED'}  ${id}`);
