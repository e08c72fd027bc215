/** vitest transpiles what Node refuses, so every process is also started by plain Node. */
import { execFile, execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { processes } from '#platform/config/processes.ts';
import { compileCache } from '../support/quick.ts';

const mains = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*main.ts'], {
  encoding: 'utf8',
})
  .trim()
  .split('\n');
/** It reads a file, and needs no configuration. */
const offline = 'api/verify/offline.main.ts';
const services = mains.filter((file) => /^(ingest|rater|invoicer|api)\//.test(file) && file !== offline);

const start = (file: string): Promise<{ code: number | null; stderr: string; stdout: string }> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [file],
      { env: { PATH: process.env.PATH ?? '', ...compileCache }, timeout: 20_000 },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
  });

it('a command that needs no configuration says how it is used', async () => {
  expect(await start(offline)).toMatchObject({ code: 2, stderr: 'usage: npm run verify -- --offline <file>\n' });
});

describe('a process that is started with plain Node and no configuration', () => {
  it('there are those of platform/config/processes.ts, and the commands', () => {
    const commands = [
      'api/access/bootstrap.main.ts',
      'api/access/set-tier.main.ts',
      'api/verify/verify.main.ts',
      'ingest/sink/dead-letters.main.ts',
      'rater/verify/quantities.main.ts',
      'rater/verify/rating.main.ts',
    ];
    const missing = 'a process is its main file and its row in platform/config/processes.ts';
    expect(services.toSorted(), missing).toEqual(
      [...commands, ...Object.values(processes).map(({ file }) => file)].toSorted(),
    );
  });

  it.each(services)('%s lists every variable that it misses, and ends with code 1', async (file) => {
    const { code, stderr } = await start(file);
    expect(stderr).toMatch(/^The configuration is not usable:\n( {2}- [A-Z_]+ is missing: .+\n)+$/);
    expect(code).toBe(1);
  });
});
