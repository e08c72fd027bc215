/**
 * `npm run verify` runs `api/verify/verify.main.ts`, `npm run verify -- rating` `rater/verify/rating.main.ts`, and
 * `npm run verify -- quantities` `rater/verify/quantities.main.ts`; each says what it does. They work wherever the
 * stores are (with-stores.ts). `npm run verify -- --offline <file>` runs `api/verify/offline.main.ts`, which needs
 * none.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runFileOnStores } from './with-stores.ts';

const [subject, ...words] = process.argv.slice(2);
if (subject === 'rating' || subject === 'quantities')
  await runFileOnStores(
    `rater/verify/${subject}.main.ts`,
    ['postgres', 'clickhouse'],
    `the ${subject === 'rating' ? 'ratings' : subject} could not be verified`,
    words,
  );
else if (subject === '--offline') {
  const file = fileURLToPath(new URL('../../api/verify/offline.main.ts', import.meta.url));
  process.exitCode = spawnSync(process.execPath, [file, ...words], { stdio: 'inherit' }).status ?? 1;
} else await runFileOnStores('api/verify/verify.main.ts', ['postgres'], 'the chains could not be verified');
