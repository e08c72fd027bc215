/**
 * What was billed, held against the model: each line costs what its time costs; what is charged in advance less what
 * was taken back is what the customer had, at every instant; what is in arrears tiles it; and the sum of all parts of a
 * period is what the model has for the whole.
 */
import assert from 'node:assert/strict';
import type { Sandbox } from '../support/test-clock.ts';
import { type ChargeOfModel, chargesOfModel, periodOf } from './for-sale.ts';
import { costOf, type Model, type Stretch, type Subscription, wantedOf } from './subscription-model.ts';

export type Line = Stretch & {
  readonly subscription: string;
  readonly charge: ChargeOfModel;
  readonly cents: bigint;
  readonly isCredit: boolean;
};

/** What is known of the invoices of a customer. */
export type Bills = { lastNumber: number; readonly periods: Set<string>; readonly lines: Line[] };

const toCents = (text: string): bigint => {
  assert.match(text, /^-?\d+\.\d\d$/);
  return BigInt(text.replace('.', ''));
};

const chargeOf = (code: string): ChargeOfModel => {
  const charge = chargesOfModel.find((one) => one.code === code);
  assert(charge, `nobody sells ${code}`);
  return charge;
};

/** Takes over the invoices that came since. Each billing period is on one invoice, and totals are sums of lines. */
export const readBills = async ({ api }: Pick<Sandbox, 'api'>, customer: string, bills: Bills): Promise<void> => {
  const { body: list } = await api('GET', `/v1/invoices?customer_id=${customer}&sort=-number&limit=100`);
  const fresh = list.items.filter(({ number }: { number: number }) => number > bills.lastNumber).toReversed();
  assert(fresh.length < 100, 'more invoices came than are read at once');
  for (const { id } of fresh) {
    const { body: invoice } = await api('GET', `/v1/invoices/${id}`);
    const subscriptionOf = new Map<string, string>();
    for (const { billing_period_id: period, subscription_id: subscription } of invoice.periods) {
      assert(!bills.periods.has(period), `the billing period ${period} is billed twice`);
      bills.periods.add(period);
      subscriptionOf.set(period, subscription);
    }
    let sum = 0n;
    for (const line of invoice.lines) {
      sum += toCents(line.amount);
      bills.lines.push({
        subscription: subscriptionOf.get(line.billing_period_id) ?? '',
        charge: chargeOf(line.charge_code),
        from: Date.parse(line.service_period.start),
        to: Date.parse(line.service_period.end),
        quantity: Number(line.quantity),
        cents: toCents(line.amount),
        isCredit: line.steps.some(({ kind }: { kind: string }) => kind === 'credit'),
      });
    }
    assert.equal(toCents(invoice.total), sum, `the total of the invoice ${invoice.number}`);
    bills.lastNumber = invoice.number;
  }
};

const shown = (stretches: readonly Stretch[]): string =>
  stretches
    .map(({ from, to, quantity }) => `${new Date(from).toISOString()}..${new Date(to).toISOString()} x${quantity}`)
    .join(', ');

/** Charged less taken back, by stretch of time. Nothing is taken back that was not charged. */
const netOf = (lines: readonly Line[]): Stretch[] => {
  const instants = [...new Set(lines.flatMap(({ from, to }) => [from, to]))].toSorted((a, b) => a - b);
  const stretches: Stretch[] = [];
  for (const [index, from] of instants.entries()) {
    const to = instants[index + 1];
    if (to === undefined) break;
    const counts = new Map<number, number>();
    for (const line of lines)
      if (line.from <= from && line.to >= to)
        counts.set(line.quantity, (counts.get(line.quantity) ?? 0) + (line.isCredit ? -1 : 1));
    const held = [...counts].filter(([, count]) => count !== 0);
    const [[quantity, count] = [0, 1]] = held;
    assert(held.length <= 1 && count === 1, `at ${new Date(from).toISOString()} is charged ${JSON.stringify(held)}`);
    if (quantity === 0) continue;
    const last = stretches.at(-1);
    if (last?.to === from && last.quantity === quantity) stretches[stretches.length - 1] = { ...last, to };
    else stretches.push({ from, to, quantity });
  }
  return stretches;
};

const checkPeriod = (
  subscription: Subscription,
  charge: ChargeOfModel,
  period: { readonly start: number; readonly end: number },
  lines: readonly Line[],
): void => {
  const what = `${charge.code} of ${subscription.id} from ${new Date(period.start).toISOString()}`;
  const wanted = wantedOf(subscription, charge, period);
  assert.equal(shown(netOf(lines)), shown(wanted), what);
  const cost = wanted.reduce((sum, stretch) => sum + costOf(charge, stretch), 0n);
  const billed = lines.reduce((sum, { cents }) => sum + cents, 0n);
  assert.equal(billed, cost, `the sum of ${what}`);
};

const checkCharge = (subscription: Subscription, charge: ChargeOfModel, now: number, all: readonly Line[]): void => {
  const lines = all.filter((line) => line.subscription === subscription.id && line.charge === charge);
  for (const line of lines) {
    const { start, end } = periodOf(charge.unit, line.from);
    assert(line.from >= start && line.to <= end && line.from < line.to, `${charge.code}: ${shown([line])} is no part`);
    const cost = costOf(charge, line);
    assert.equal(line.cents, line.isCredit ? -cost : cost, `${charge.code}: ${shown([line])}`);
  }
  const { startedAt, endedAt } = subscription;
  const isOver = endedAt !== null && endedAt <= now;
  // What has begun and is not over yet may still be put right; nothing of it is billed in arrears.
  const until = isOver ? endedAt : periodOf(charge.unit, now).start;
  for (let at = startedAt; at < until; ) {
    const period = periodOf(charge.unit, at);
    const own = lines.filter(({ from }) => from >= period.start && from < period.end);
    checkPeriod(subscription, charge, period, own);
    at = period.end;
  }
  const last = periodOf(charge.unit, Math.max(until - 1, startedAt)).end;
  const early = lines.filter(({ from }) => from >= (isOver ? last : until));
  assert(
    early.every(() => charge.timing === 'advance' && !isOver),
    `${charge.code}: ${shown(early)} is billed too early`,
  );
};

/** All that is due by now is billed, as the model has it, and nothing else. */
export const checkBills = ({ now, subscriptions }: Model, { lines }: Bills): void => {
  for (const { subscription } of lines) assert(subscriptions.some(({ id }) => id === subscription));
  for (const subscription of subscriptions)
    for (const charge of chargesOfModel) checkCharge(subscription, charge, now, lines);
};
