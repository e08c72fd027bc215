/**
 * `npm run verify`: runs `api/verify/verify.main.ts`, which says what it does, wherever PostgreSQL is (with-stores.ts).
 */
import { runFileOnStore } from './with-stores.ts';

await runFileOnStore('api/verify/verify.main.ts', 'postgres', 'the chains could not be verified');
