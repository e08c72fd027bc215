/** What `.ci/run` makes of vitest's reports: nothing that a green run could hide is counted as passed. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../../.ci/count-tests.mjs', import.meta.url));
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

type Statuses = Readonly<Record<string, string>>;
/** Tests by file; one without tests could not be loaded, and one that is there and was not run is not named. */
type Files = Readonly<Record<string, Statuses>>;

/**
 * Runs the script in a checkout that has the files `there`, over the reports of a first and, where there was one, of a
 * second run.
 */
const judged = (there: readonly string[], first: Files, again?: Files) => {
  const root = mkdtempSync(join(tmpdir(), 'millrace-count-'));
  folders.push(root);
  mkdirSync(join(root, 'test'));
  for (const name of there) writeFileSync(join(root, 'test', name), '');
  const reportOf = (files: Files) => ({
    testResults: Object.entries(files).map(([name, statuses], index) => ({
      name: join(root, 'test', name),
      status:
        Object.values(statuses).every((status) => status !== 'failed') && Object.keys(statuses).length > 0
          ? 'passed'
          : 'failed',
      message: 'it could not be loaded',
      startTime: 0,
      endTime: (index + 1) * 1_000,
      assertionResults: Object.entries(statuses).map(([fullName, status]) => ({
        fullName,
        status,
        failureMessages: status === 'failed' ? [`Error: ${fullName} is wrong\n  at a line`] : [],
      })),
    })),
  });
  writeFileSync(join(root, 'vitest.json'), JSON.stringify(reportOf(first)));
  if (again) writeFileSync(join(root, 'again.json'), JSON.stringify(reportOf(again)));
  const say = (what: string) =>
    execFileSync(process.execPath, [script, root, what], { cwd: root, encoding: 'utf8' }).trim();
  return { counts: say('counts'), files: say('files'), names: say('names') };
};

describe('a run of the tests', () => {
  it('is counted test by test', () => {
    const { counts, files, names } = judged(['a.test.ts', 'b.test.ts'], {
      'a.test.ts': { one: 'passed', two: 'passed' },
      'b.test.ts': { three: 'passed' },
    });
    expect([counts, files]).toEqual(['3 0', '']);
    expect(names).toBe('The slowest files:\n     2.0 s  test/b.test.ts\n     1.0 s  test/a.test.ts');
  });

  it('fails by a test that was skipped', () => {
    const { counts, names } = judged(['a.test.ts'], {
      'a.test.ts': { one: 'passed', two: 'skipped', three: 'pending', four: 'todo' },
    });
    expect(counts).toBe('1 3');
    expect(names).toContain('LEFT OUT  test/a.test.ts: two');
  });

  it('fails by a file that never ran', () => {
    const { counts, names } = judged(['a.test.ts', 'b.test.ts'], { 'a.test.ts': { one: 'passed' } });
    expect(counts).toBe('1 1');
    expect(names).toContain('NEVER RUN  test/b.test.ts');
  });

  it('fails by a test that passes only when it runs again, and by one that fails again', () => {
    const { counts, files, names } = judged(
      ['a.test.ts'],
      { 'a.test.ts': { one: 'failed', two: 'failed', three: 'passed' } },
      { 'a.test.ts': { one: 'passed', two: 'failed', three: 'passed' } },
    );
    expect([counts, files]).toEqual(['1 2', 'test/a.test.ts']);
    expect(names).toContain('FAILED AT FIRST  test/a.test.ts: one\n    Error: one is wrong\n      at a line');
    expect(names).toContain('FAILED  test/a.test.ts: two');
  });

  it('fails by a file that could not be loaded', () => {
    const { counts, names } = judged(['a.test.ts'], { 'a.test.ts': {} });
    expect(counts).toBe('0 1');
    expect(names).toContain('FAILED  test/a.test.ts: it could not be loaded');
  });
});
