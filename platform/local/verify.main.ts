/**
 * `npm run verify`: runs `api/verify.main.ts`, which says what it does, wherever PostgreSQL is (with-stores.ts). A process of its own like every other of a
 * domain: what stands on platform is started from here and not imported.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { loadConfig, settings } from '../config.ts';
import { runOnStores } from './with-stores.ts';

const file = fileURLToPath(new URL('../../api/verify.main.ts', import.meta.url));

const readConfig = () => loadConfig(process.env, []);
await runOnStores({ readConfig, names: ['postgres'], failure: 'the chains could not be verified' }, async ({ urls, signal }) => {
  const { variable } = settings.databaseUrl;
  const child = spawn(process.execPath, [file, ...process.argv.slice(2)], {
    env: { ...process.env, [variable]: urls.postgres, [`${variable}_FILE`]: undefined },
    stdio: ['ignore', 'inherit', 'inherit'],
    signal,
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
});
