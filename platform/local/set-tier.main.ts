/**
 * `npm run set-tier`: runs `api/access/set-tier.main.ts`, which says what it does, wherever PostgreSQL is
 * (with-stores.ts).
 */
import { runFileOnStore } from './with-stores.ts';

await runFileOnStore('api/access/set-tier.main.ts', 'postgres', 'the tier could not be set');
