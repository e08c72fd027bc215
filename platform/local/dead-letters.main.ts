/**
 * `npm run dead-letters`: runs `ingest/sink/dead-letters.main.ts`, which says what it does, wherever NATS is
 * (with-stores.ts).
 */
import { runFileOnStores } from './with-stores.ts';

await runFileOnStores('ingest/sink/dead-letters.main.ts', ['nats'], 'the dead letters could not be worked on');
