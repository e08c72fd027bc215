/** What makes tests of whole processes wait less, as far as nothing that they prove depends on it. */
import { fileURLToPath } from 'node:url';
import type { Backoff } from '#platform/start/restart-pause.ts';

/**
 * What our processes compiled is kept, as the commands keep it: a start takes half of the time, and the suite has
 * hundreds.
 */
export const compileCache = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../../.millrace/compile-cache', import.meta.url)),
};

/**
 * The shortest lease that there is, after which what a dead gateway had claimed is free, and tries to publish that end
 * within it: by default, a client that sends the same again waits for 15 s.
 */
export const shortLeases = { MILLRACE_CLAIM_LEASE_SECONDS: '5', MILLRACE_PUBLISH_TIMEOUT_MS: '1000' };

/**
 * What a test kills again and again is started again soon; on a user's machine what dies within 10 s is at fault
 * itself, and waits up to 5 s. How these pauses grow is held by the tests of the supervisor.
 */
export const shortRestarts: Backoff = { firstMs: 100, longestMs: 200, healthyAfterMs: 10_000 };
