/**
 * Schemathesis, a property-based fuzzer of APIs that was not written here: its installation, its run, and what its
 * report says.
 */
import { type SpawnOptions, spawn } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const schemathesisVersion = '4.32.5';

const here = fileURLToPath(new URL('.', import.meta.url));

const run = (command: string, words: readonly string[], options: SpawnOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, words, options);
    child.once('error', (error) => reject(new Error(`can't run ${command}: ${error.message}`)));
    child.once('exit', (code) => resolve(code ?? 1));
  });

/** Installs it into a folder of its own, once. Gives the path of its command. */
export const ensureSchemathesis = async (folder: string): Promise<string> => {
  const command = join(folder, 'bin', 'schemathesis');
  if (existsSync(command)) return command;
  const steps = [
    ['python3', '-m', 'venv', folder],
    [
      join(folder, 'bin', 'pip'),
      'install',
      '--quiet',
      '--disable-pip-version-check',
      `schemathesis==${schemathesisVersion}`,
    ],
  ] as const;
  for (const [program, ...words] of steps) {
    const code = await run(program, words, { stdio: ['ignore', 2, 2] });
    if (code !== 0)
      throw new Error(
        `${program} ${words.join(' ')} ended with ${code}; it needs Python 3.10 or newer with venv and pip`,
      );
  }
  return command;
};

export type FuzzTarget = { readonly url: string; readonly key: string; readonly keyId: string };
export type FuzzBounds = {
  readonly examples: number;
  readonly seed: number;
  readonly reportFile: string;
  /** For what the fuzzer keeps of itself. */
  readonly storage: string;
};

/**
 * Runs what schemathesis.toml says against one host; `--checks all` on the command line would overrule its exceptions.
 * Gives the exit code: 0 is no failure. One worker: it is Python that the time goes to, which works on one thread at a
 * time, and on two Hypothesis ends now and then with "AST constructor recursion depth mismatch".
 */
export const runSchemathesis = (
  command: string,
  { url, key, keyId }: FuzzTarget,
  { examples, seed, reportFile, storage }: FuzzBounds,
): Promise<number> =>
  run(
    command,
    [
      ...['--config-file', 'schemathesis.toml', 'run', `${url}/openapi.json`, '--no-color'],
      ...[
        '--max-examples',
        String(examples),
        '--seed',
        String(seed),
        '--workers',
        '1',
        '--generation-database',
        'none',
      ],
      ...['--report', 'ndjson', '--report-ndjson-path', reportFile],
    ],
    {
      cwd: here,
      stdio: ['ignore', 2, 2],
      env: {
        ...process.env,
        MILLRACE_FUZZ_KEY: key,
        MILLRACE_FUZZ_KEY_ID: keyId,
        PYTHONDONTWRITEBYTECODE: '1',
        HYPOTHESIS_STORAGE_DIRECTORY: storage,
      },
    },
  );

export type FuzzReport = {
  readonly cases: number;
  readonly statuses: ReadonlyMap<number, number>;
  readonly operations: ReadonlySet<string>;
  readonly checks: ReadonlySet<string>;
};

type Scenario = {
  readonly ScenarioFinished?: {
    readonly recorder: {
      readonly label: string;
      readonly checks?: Record<string, readonly { readonly name: string }[]>;
      readonly interactions?: Record<string, { readonly response?: { readonly status_code: number } | null }>;
    };
  };
};

/**
 * How many cases were sent, and how they were answered. A scenario of one operation is called by it: `GET /v1/meters`.
 */
export const readReport = async (file: string): Promise<FuzzReport> => {
  const statuses = new Map<number, number>();
  const operations = new Set<string>();
  const checks = new Set<string>();
  let cases = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const { ScenarioFinished: scenario } = JSON.parse(line) as Scenario;
    const { label = '', interactions = {}, checks: done = {} } = scenario?.recorder ?? {};
    if (/^[A-Z]+ \//.test(label) && Object.keys(interactions).length > 0) operations.add(label);
    for (const { name } of Object.values(done).flat()) checks.add(name);
    for (const { response } of Object.values(interactions)) {
      const status = response?.status_code ?? 0;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      cases += 1;
    }
  }
  return { cases, statuses, operations, checks };
};
