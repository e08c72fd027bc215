/**
 * `npm run bench:k6`: the k6 scripts, one after the other, against a stack of their own. Exits with 1 where a threshold
 * of one of them was missed.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { versionText } from '#platform/local/versions.ts';
import { findK6 } from './k6/find-k6.ts';
import { withTemporaryStack } from './temporary-stack.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '20' } } });

const say = (line: string): void => {
  process.stderr.write(`millrace  ${line}\n`);
};

const seconds = Number(values.seconds);
if (!Number.isSafeInteger(seconds) || seconds < 1) {
  say(`--seconds must be a whole number above 0, not "${values.seconds}"`);
  process.exit(2);
}

const scripts = ['single.k6.js', 'batch.k6.js', 'mixed.k6.js', 'balance.k6.js'] as const;

/** What k6 exits with where a threshold was missed. */
const thresholdMissed = 99;

const run = (command: string, words: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, words, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });

const main = async (): Promise<string[]> => {
  const k6 = await findK6({ info: say, warn: say });
  say(`k6 ${versionText(k6.version)} from ${k6.source}`);
  return withTemporaryStack({}, async (stack) => {
    const faults: string[] = [];
    const environment = {
      MILLRACE_API_URL: stack.apiUrl.replace(/\/$/, ''),
      MILLRACE_INGEST_URL: stack.ingestUrl.replace(/\/$/, ''),
      MILLRACE_API_KEY: stack.apiKey,
      // It calls home otherwise, and asks for its newest version.
      K6_NO_USAGE_REPORT: 'true',
      K6_AUTO_EXTENSION_RESOLUTION: 'false',
    };
    for (const script of scripts) {
      say(`${script}, ${seconds} s`);
      const path = fileURLToPath(new URL(script, import.meta.url));
      // The start of the services is slow in its first moments, which a threshold is not about.
      const warm = ['run', '--quiet', '--summary-mode', 'disabled', '--no-thresholds', path];
      await run(k6.path, warm, { ...environment, SECONDS: '2' });
      const code = await run(k6.path, ['run', '--quiet', path], { ...environment, SECONDS: String(seconds) });
      if (code !== 0)
        faults.push(`${script}: ${code === thresholdMissed ? 'a threshold was missed' : `k6 ended with ${code}`}`);
    }
    return faults;
  });
};

try {
  const faults = await main();
  for (const fault of faults) say(fault);
  process.exit(faults.length === 0 ? 0 : 1);
} catch (error) {
  say((error as Error).message);
  process.exit(1);
}
