/** The processes of a run: raters, invoicers and whoever credits, with the real use cases, until they end. */
import { isPassing } from '#platform/stores/retry.ts';
import { FailureError } from '#schemas/failures.ts';
import { formatAmount } from '#schemas/money.ts';
import { drawUpRequest } from '../../../api/credits/credit-invoice.ts';
import { advanceClock } from '../../../invoicer/clocks/advance-clock.ts';
import { askedWith, issueCredit } from '../../../invoicer/credits/issue-credit.ts';
import { createShardIssuer } from '../../../invoicer/issuing/issue-shards.ts';
import { closeDue, findAppointments } from '../../../invoicer/periods/close-due.ts';
import { prepareRun } from '../../../rater/run/rate-period.ts';
import { rateOneShard } from '../../../rater/run/rate-shard.ts';
import type { Process } from '../scheduler.ts';
import { clockPorts, closePorts } from './closing-ports.ts';
import { beginCredit } from './credit-ports.ts';
import { invoicerPorts } from './invoicer-ports.ts';
import { raterPorts } from './rater-ports.ts';
import { organizationId } from './tables.ts';
import { type Locks, rest, type World } from './world.ts';

/** Again and again, as a job loop does; what is no fault that passes is a bug. */
const loop = async (world: World, process: Process, work: () => Promise<boolean>): Promise<void> => {
  while (process.alive) {
    let found = false;
    try {
      found = await work();
    } catch (error) {
      if (!isPassing(error)) world.broken.push(error);
    }
    if (found) world.found.count += 1;
    else await rest(world, process);
  }
};

export const startRater = (world: World, name: string): Process => {
  const process: Process = { name, alive: true };
  const ports = raterPorts(world, process);
  const size = 1 + world.random.below(3);
  void loop(world, process, async () => (await prepareRun(ports, size)) === true);
  void loop(world, process, () => rateOneShard(ports));
  return process;
};

export const startInvoicer = (world: World, name: string, locks: Locks): Process => {
  const process: Process = { name, alive: true };
  const issuer = createShardIssuer(invoicerPorts(world, process, locks));
  const closing = closePorts(world, process);
  const clocks = clockPorts(world, process);
  void loop(world, process, async () => (await issuer.issueNext()) !== undefined);
  void loop(world, process, async () => {
    const found = await findAppointments(closing, world.clock.nowMs());
    const closed = found.length > 0 && (await closeDue(closing, organizationId));
    return closed !== false && closed.outcome === 'started';
  });
  void loop(world, process, async () => {
    let moved = false;
    for (const id of await clocks.waiting()) moved = (await advanceClock(clocks, id)) === 'bill' || moved;
    return moved;
  });
  return process;
};

/** Credits some of an invoice that anybody may be crediting at the same moment; what is refused is no fault. */
export const creditSome = async (world: World, process: Process, locks: Locks, invoiceId: string): Promise<void> => {
  const { random, clock } = world;
  const transaction = beginCredit(world, process, locks);
  try {
    const locked = await transaction.ports.lockInvoice(transaction.db, invoiceId);
    if (!locked) return;
    const { total, lines } = locked.invoice;
    const part = formatAmount(((total / 10n ** 10n / BigInt(1 + random.below(4))) * 10n ** 10n) as typeof total);
    const line = lines.length > 0 ? [{ invoice_line: random.pick(lines).position }] : [];
    const asked = random.pick([{}, { amount: part }, { lines: line }]);
    const drawn = drawUpRequest(locked, { invoice_id: invoiceId, reason: 'other', settlement: 'balance', ...asked });
    await issueCredit(transaction.ports, transaction.db, locked, drawn, askedWith({}), clock.nowMs());
    await transaction.commit();
  } catch (error) {
    transaction.rollBack();
    if (!(error instanceof FailureError) && !isPassing(error)) world.broken.push(error);
  }
};
