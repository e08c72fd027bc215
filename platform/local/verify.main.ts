/**
 * `npm run verify` runs `api/verify/verify.main.ts`, and `npm run verify -- rating` `rater/verify/rating.main.ts`; each
 * says what it does. Both work wherever the stores are (with-stores.ts).
 */
import { runFileOnStores } from './with-stores.ts';

const [subject, ...words] = process.argv.slice(2);
if (subject === 'rating')
  await runFileOnStores(
    'rater/verify/rating.main.ts',
    ['postgres', 'clickhouse'],
    'the ratings could not be verified',
    words,
  );
else await runFileOnStores('api/verify/verify.main.ts', ['postgres'], 'the chains could not be verified');
