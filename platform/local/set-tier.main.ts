/**
 * `npm run set-tier`: runs `api/access/set-tier.main.ts`, which says what it does, wherever PostgreSQL is
 * (with-stores.ts).
 */
import { runFileOnStores } from './with-stores.ts';

await runFileOnStores('api/access/set-tier.main.ts', ['postgres'], 'the tier could not be set');
