/**
 * A generator of load as a process of its own: it is told what to send, says `ready` with its connections open, sends
 * on `go`, and reports.
 */
import { type LoadOptions, prepareLoad } from './run-load.ts';

const told = (): Promise<unknown> => new Promise((resolve) => process.once('message', resolve));
// Whoever started it is gone.
process.once('disconnect', () => process.exit(1));

try {
  const run = await prepareLoad((await told()) as LoadOptions);
  const go = told();
  process.send?.('ready');
  await go;
  process.send?.({ report: await run() }, () => process.exit(0));
} catch (error) {
  process.send?.({ fault: (error as Error).message }, () => process.exit(1));
}
