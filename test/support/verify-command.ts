import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { compileCache } from './quick.ts';

export type Verdict = {
  readonly code: number | null;
  readonly faults: readonly string[];
  readonly stdout: string;
  readonly stderr: string;
};

/** Runs the command over a database. `faults` are the lines that tell of one. */
export const verify = async (
  databaseUrl: string,
  words: readonly string[] = [],
  file = 'api/verify/verify.main.ts',
  environment: Readonly<Record<string, string>> = {},
): Promise<Verdict> => {
  const child = spawn(process.execPath, [new URL(`../../${file}`, import.meta.url).pathname, ...words], {
    env: { PATH: process.env.PATH ?? '', ...compileCache, DATABASE_URL: databaseUrl, ...environment },
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code, faults: stdout.split('\n').filter((line) => line.includes('FAULT')), stdout, stderr };
};
