import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { compileCache } from './quick.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export type Verdict = {
  readonly code: number | null;
  readonly faults: readonly string[];
  readonly stdout: string;
  readonly stderr: string;
};

/** How the command is run over a database: what whoever made the database says of it. */
type Run = {
  /** What is run in the place of a file, where our processes are bundled. */
  readonly fileOf: (file: string) => string;
  /** Where files share the database, those of the file that runs. Nobody else's are looked at then. */
  readonly organizations?: readonly string[];
};
const runs = new Map<string, Run>();
export const verifyBy = (databaseUrl: string, run: Run): void => {
  runs.set(databaseUrl, run);
};

const isOfNothing = ({ code, stderr }: Verdict): boolean => code === 2 && stderr.includes('nothing is billed');

/** Runs the command over a database. `faults` are the lines that tell of one. */
export const verify = async (
  databaseUrl: string,
  words: readonly string[] = [],
  file = 'api/verify/verify.main.ts',
  environment: Readonly<Record<string, string>> = {},
): Promise<Verdict> => {
  const { fileOf = (path: string) => path, organizations } = runs.get(databaseUrl) ?? {};
  const run = (more: readonly string[]) => verifyOnce(databaseUrl, [...words, ...more], fileOf(file), environment);
  if (!organizations || words.includes('--organization')) return run([]);
  const all = await Promise.all(organizations.map((id) => run(['--organization', id])));
  const verdicts = all.filter((verdict) => !isOfNothing(verdict));
  return {
    code: verdicts.find(({ code }) => code !== 0)?.code ?? 0,
    faults: verdicts.flatMap(({ faults }) => faults),
    stdout: verdicts.map(({ stdout }) => stdout).join(''),
    stderr: verdicts.map(({ stderr }) => stderr).join(''),
  };
};

const verifyOnce = async (
  databaseUrl: string,
  words: readonly string[],
  file: string,
  environment: Readonly<Record<string, string>>,
): Promise<Verdict> => {
  const child = spawn(process.execPath, [resolve(root, file), ...words], {
    env: { PATH: process.env.PATH ?? '', ...compileCache, DATABASE_URL: databaseUrl, ...environment },
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code, faults: stdout.split('\n').filter((line) => line.includes('FAULT')), stdout, stderr };
};
