/** What must hold of what was issued: after every step of what came with it, and at the end of all. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Decimal } from 'decimal.js';
import type { HeldDiscount } from '#schemas/coupon.ts';
import type { CreditNote } from '#schemas/credit-note.ts';
import { creditedBefore } from '#schemas/credited-line.ts';
import type { InvoiceLine, IssuedInvoice } from '#schemas/invoice.ts';
import { formatAmount } from '#schemas/money.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { canonicalCreditNote } from '../../../invoicer/credits/credit-note-hash.ts';
import { canonicalInvoice, genesisHash } from '../../../invoicer/invoices/invoice-hash.ts';
import { Exact } from '../../support/brute-usage.ts';
import {
  type Bill,
  billOf,
  feesOf,
  type SentPlan,
  type SentUsage,
  type Stretch,
  type Subscribed,
  standingAt,
  stretchesOf,
} from './brute-bill.ts';
import { expectGivenOnce } from './given-once.ts';
import { type Facts, meters } from './random-world.ts';
import type { PeriodRecord, Tables } from './tables.ts';

/** What of a discount is used. */
type Used = {
  readonly invoices: Set<string>;
  readonly starts: Map<string, Set<number>>;
  readonly taken: Map<string, bigint>;
};

type Billed = { amount: Decimal; quantity: Decimal };
/** A period that was billed, with all that its invoice and its deltas came to, by charge. */
type Root = {
  readonly id: string;
  readonly subscription: string;
  readonly plan: string;
  readonly span: { readonly start: number; readonly end: number };
  readonly isArrears: boolean;
  watermark: number;
  /** Whether a delta of it was given back by credit notes. */
  isGivenBack: boolean;
  readonly sums: Map<string, Billed>;
  readonly credited: Map<string, Decimal>;
};

const decimal = (amount: bigint): Decimal => new Exact(formatAmount(amount as never));
const hashOf = (previous: string, canonical: string): string =>
  createHash('sha256').update(`${previous}\n${canonical}`, 'utf8').digest('hex');
const sumOf = (amounts: readonly Decimal[]): Decimal => amounts.reduce((sum, one) => sum.add(one), new Exact(0));

const netOf = ({ amount, discounts, taxes }: Pick<InvoiceLine, 'amount' | 'discounts' | 'taxes'>): Decimal =>
  decimal(amount)
    .sub(sumOf(discounts.map((one) => decimal(one.amount))))
    .add(sumOf(taxes.filter((one) => !one.isInclusive).map((one) => decimal(one.amount))));

const assertWithin = (name: string, taken: bigint | undefined, most: bigint): void =>
  assert((taken ?? 0n) <= most, `${name} takes off more than it has`);

export const createChecks = (tables: Tables, facts: Facts, sent: readonly SentUsage[]) => {
  const roots = new Map<string, Root>();
  const billed = new Map<string, string>();
  const usedOf = new Map<string, Used>();
  const counts = { invoices: 0, notes: 0, deltas: 0, back: 0, credits: 0, reported: 0, given: 0 };
  let [head, noteHead] = [genesisHash, genesisHash];
  const subscribedAs = (name: string): Subscribed => facts.subscribed.find((one) => one.name === name) as Subscribed;
  const planOf = (code: string): SentPlan => facts.plans.get(code) as SentPlan;
  const customersOf = (name: string): readonly string[] => [name, `their ${name}`];

  /** What the stretch of a period should come to, had all come in time that came up to a watermark. */
  const expectedOf = ({ plan, span, subscription }: Root, stretch: Stretch | undefined, watermark: number): Bill => {
    assert(stretch, `[I14] ${subscription} is billed by ${plan} from ${new Date(span.start).toISOString()} on`);
    const { zone, customer } = subscribedAs(subscription);
    const events = customersOf(customer).flatMap((name) => standingAt(sent, name, watermark));
    return billOf(planOf(plan), meters, stretch, zone, events);
  };

  const stretchOf = ({ plan, span, subscription }: Root): Stretch | undefined =>
    stretchesOf(facts.plans, subscribedAs(subscription), span.end + 1).find(
      (one) => one.plan === plan && one.span.start === span.start && one.span.end === span.end,
    );

  const hasUnchanged = ({ id }: Root): boolean =>
    [...tables.periods.values()].some(({ correctsId, state }) => correctsId === id && state === 'unchanged');

  const expectAlike = (root: Root, expected: Bill, when: string): void => {
    const where = `${root.subscription} from ${new Date(root.span.start).toISOString()} at ${root.watermark}, ${when}`;
    if (root.isGivenBack) {
      // What a charge comes to more may be taken off what is given back of another: the whole is what holds.
      const [wanted, found] = [expected, root.sums].map((sums) =>
        sumOf([...sums.values()].map(({ amount }) => amount)),
      );
      assert(wanted?.eq(found as Decimal), `[I15] ${where} should come to ${wanted} and comes to ${found}`);
      return;
    }
    for (const code of new Set([...expected.keys(), ...root.sums.keys()])) {
      const [wanted, found] = [expected.get(code), root.sums.get(code)];
      const [amount, was] = [wanted?.amount ?? new Exact(0), found?.amount ?? new Exact(0)];
      assert(amount.eq(was), `[I15] ${code} of ${where} should come to ${amount} and comes to ${was}`);
      // What comes to no money is on no invoice, so its quantity is on none either.
      const needsNoQuantity = code === 'minimum_commitment' || code === 'spend_cap' || hasUnchanged(root);
      const [quantity, counted] = [wanted?.quantity ?? new Exact(0), found?.quantity ?? new Exact(0)];
      assert(
        needsNoQuantity || quantity.eq(counted),
        `[I2] ${code} of ${where} should count ${quantity} and counts ${counted}`,
      );
    }
  };

  const periodOf = (id: string): PeriodRecord => tables.periods.get(id) as PeriodRecord;

  const takePeriods = (invoice: IssuedInvoice): void => {
    const { id, number, periods, lines } = invoice;
    for (const period of periods) {
      const { billingPeriodId, correctsId, subscriptionId: subscription, planVersionId: plan, span } = period;
      const before = billed.get(billingPeriodId);
      assert.equal(before, undefined, `[I16] ${billingPeriodId} is on invoice ${number} and on ${before}`);
      billed.set(billingPeriodId, id);
      const isArrears = periodOf(billingPeriodId).part.timing === 'arrears';
      const rootId = correctsId ?? billingPeriodId;
      const known = roots.get(rootId);
      assert.equal(known !== undefined, correctsId !== undefined, '[I15] a delta corrects what was billed');
      const watermark = Number(period.watermark);
      const root: Root = known ?? {
        id: rootId,
        subscription,
        plan,
        span,
        isArrears,
        watermark,
        isGivenBack: false,
        sums: new Map(),
        credited: new Map(),
      };
      assert(!known || watermark > known.watermark, '[I15] a delta counts more than what was billed before');
      roots.set(rootId, Object.assign(root, { watermark }));
      for (const line of lines.filter((one) => one.billingPeriodId === billingPeriodId)) {
        const sum = root.sums.get(line.chargeCode ?? '') ?? { amount: new Exact(0), quantity: new Exact(0) };
        root.sums.set(line.chargeCode ?? '', {
          // What credit notes gave back before is told apart from what a credit came to.
          amount: sum.amount.add(decimal(line.amount)).sub(decimal(creditedBefore(line))),
          quantity: sum.quantity.add(formatQuantity(line.quantity)),
        });
      }
      if (correctsId) counts.deltas += 1;
      if (correctsId && invoice.lines.some((one) => one.kind === 'delta' && one.amount < 0n)) counts.back += 1;
      if (periodOf(billingPeriodId).timing === 'credit') counts.credits += 1;
      if (isArrears) expectAlike(root, expectedOf(root, stretchOf(root), watermark), `invoice ${number}`);
      expectUncredited(root);
    }
  };

  /** What was given back by hand is given back by no delta, nor the other way round. */
  const expectUncredited = ({ sums, credited, subscription }: Root): void => {
    for (const [code, back] of credited) {
      const sum = sums.get(code)?.amount ?? new Exact(0);
      assert(back.lte(0) || back.lte(sum), `[I32] ${code} of ${subscription} came to ${sum}, and ${back} is credited`);
    }
  };

  /** What is used once is on one invoice; what repeats is for so many periods; an amount is there once for each. */
  const takeDiscounts = ({ id, lines }: IssuedInvoice): void => {
    const amounts: (() => void)[] = [];
    for (const { billingPeriodId, discounts, kind } of lines) {
      const { subscriptionId, part, timing } = periodOf(billingPeriodId ?? '');
      const isCharge = kind === 'charge' && timing !== 'credit';
      for (const { discountId, amount } of discounts) {
        const { duration, durationPeriods, value } = tables.discounts.find(
          (one) => one.id === discountId,
        ) as HeldDiscount;
        const known = usedOf.get(discountId) ?? { invoices: new Set(), starts: new Map(), taken: new Map() };
        usedOf.set(discountId, known);
        if (isCharge) {
          known.invoices.add(id);
          const starts = known.starts.get(subscriptionId) ?? new Set();
          known.starts.set(subscriptionId, starts.add(part.billing.start));
          assert(starts.size <= (durationPeriods ?? starts.size), `${discountId} is on ${starts.size} billing periods`);
        }
        assert(duration !== 'once' || known.invoices.size <= 1, `${discountId} is used once, and on two invoices`);
        const key = duration === 'once' ? '' : `${subscriptionId} ${part.billing.start}`;
        known.taken.set(key, (known.taken.get(key) ?? 0n) + amount);
        if (value.kind === 'amount') amounts.push(() => assertWithin(discountId, known.taken.get(key), value.amount));
      }
    }
    // What a credit gives back is there to be taken off other lines of the same invoice.
    for (const check of amounts) check();
  };

  const takeInvoice = (invoice: IssuedInvoice): void => {
    const { number, previousHash, hash, lines } = invoice;
    counts.invoices += 1;
    assert.equal(number, counts.invoices, '[I18] numbers of invoices have a gap');
    assert(
      invoice.documentNumber?.endsWith(`-${String(number).padStart(6, '0')}`),
      '[I18] a document number has a gap',
    );
    assert.equal(previousHash, head, '[I17] the chain of invoices is broken');
    assert.equal(hash, hashOf(head, canonicalInvoice(invoice)), '[I17] an invoice has another hash');
    head = hash;
    const subtotal = sumOf(lines.map(({ amount }) => decimal(amount)));
    assert(subtotal.eq(decimal(invoice.subtotal)), '[I19] the subtotal is not the sum of the lines');
    assert(sumOf(lines.map(netOf)).eq(decimal(invoice.total)), '[I19] the total is not the sum of the lines');
    // What a delta changes of discounts is judged with all that its period came to (delta-rules.ts).
    for (const { amount, discounts } of lines.filter(({ kind }) => kind !== 'delta')) {
      const off = sumOf(discounts.map((one) => decimal(one.amount)));
      assert(amount < 0n || off.lte(decimal(amount)), '[I19] a line is taken below zero');
    }
    takeDiscounts(invoice);
    takePeriods(invoice);
  };

  const takeNotes = (): void => {
    for (const note of tables.creditNotes.slice(counts.notes)) {
      counts.notes += 1;
      assert.equal(note.number, counts.notes, '[I18] numbers of credit notes have a gap');
      assert.equal(note.previousHash, noteHead, '[I17] the chain of credit notes is broken');
      assert.equal(note.hash, hashOf(noteHead, canonicalCreditNote(note)), '[I17] a credit note has another hash');
      noteHead = note.hash;
      const invoice = tables.invoices.find(({ id }) => id === note.invoice.id) as IssuedInvoice;
      const notes = tables.creditNotes.slice(0, counts.notes).filter((one) => one.invoice.id === invoice.id);
      const total = sumOf(notes.map((one) => decimal(one.total)));
      assert(total.lte(decimal(invoice.total)), `[I32] ${total} of invoice ${invoice.number} are credited`);
      for (const line of invoice.lines)
        expectWithin(
          line,
          notes.flatMap((one) => one.lines),
        );
      const deltaId = tables.creditedDeltas.get(note.id);
      if (deltaId !== undefined) {
        takeBackBy(note, periodOf(deltaId));
        continue;
      }
      for (const { billingPeriodId, chargeCode, amount } of note.lines) {
        const root = roots.get(periodOf(billingPeriodId ?? '').correctsId ?? billingPeriodId ?? '') as Root;
        const before = root.credited.get(chargeCode ?? '') ?? new Exact(0);
        root.credited.set(chargeCode ?? '', before.add(decimal(amount)));
        expectUncredited(root);
      }
    }
  };

  /** A delta that is given back, once all of its credit notes are there, comes to the whole period as it stood then. */
  const takeBackBy = ({ lines, reason, memo, id }: CreditNote, delta: PeriodRecord): void => {
    assert.deepEqual([delta.state, delta.timing, reason, memo], ['credited', 'delta', 'late_usage', null]);
    const root = roots.get(delta.correctsId as string) as Root;
    const watermark = Number(delta.watermark);
    assert(watermark >= root.watermark, '[I15] a delta counts more than what was billed before');
    Object.assign(root, { watermark, isGivenBack: true });
    for (const { billingPeriodId, chargeCode, amount } of lines) {
      const { id: ofLine, correctsId } = periodOf(billingPeriodId ?? '');
      assert.equal(correctsId ?? ofLine, root.id, '[I15] a delta gives back what was billed of its own period');
      const sum = root.sums.get(chargeCode ?? '') as Billed;
      root.sums.set(chargeCode ?? '', { ...sum, amount: sum.amount.sub(decimal(amount)) });
    }
    const own = [...tables.creditedDeltas].filter(([, deltaId]) => deltaId === delta.id);
    if (own.at(-1)?.[0] !== id) return;
    counts.given += 1;
    expectAlike(root, expectedOf(root, stretchOf(root), watermark), `credit note ${id}`);
    expectUncredited(root);
  };

  /** Of a line, of each of its taxes and discounts no more is credited than was charged, and nothing the other way. */
  const expectWithin = (line: InvoiceLine, credited: Tables['creditNotes'][number]['lines']): void => {
    const own = credited.filter(({ invoiceLine }) => invoiceLine === line.position);
    const isWithin = (whole: bigint, parts: readonly bigint[]): boolean => {
      const sum = parts.reduce((all, one) => all + one, 0n);
      return whole < 0n ? whole <= sum && sum <= 0n : 0n <= sum && sum <= whole;
    };
    assert(
      isWithin(
        line.amount,
        own.map(({ amount }) => amount),
      ),
      '[I32] more of a line is credited than was charged',
    );
    for (const [place, { amount }] of line.taxes.entries())
      assert(
        isWithin(
          amount,
          own.map(({ taxes }) => taxes[place]?.amount ?? 0n),
        ),
        '[I32] more of a tax is credited',
      );
    for (const [place, { amount }] of line.discounts.entries())
      assert(
        isWithin(
          amount,
          own.map((one) => one.discounts[place]?.amount ?? 0n),
        ),
        '[I32] more of a discount',
      );
  };

  const afterStep = (): void => {
    for (const invoice of tables.invoices.slice(counts.invoices)) takeInvoice(invoice);
    if (tables.creditNotes.length > counts.notes) takeNotes();
  };

  /** All time is billed, each once, and comes to what it would have come to had all usage been in time. */
  const atEnd = (): void => {
    afterStep();
    const reported = new Set(
      [...tables.periods.values()].filter(({ state }) => state === 'reported').map(({ correctsId }) => correctsId),
    );
    counts.reported = reported.size;
    expectGivenOnce(tables);
    for (const one of facts.subscribed) {
      const own = [...roots.values()].filter(({ subscription }) => subscription === one.name);
      const fees = new Map<string, Decimal>();
      for (const stretch of stretchesOf(facts.plans, one, Number.POSITIVE_INFINITY)) {
        const { plan, span, billing } = stretch;
        const same = own.filter(
          (root) =>
            root.isArrears && root.plan === plan && root.span.start === span.start && root.span.end === span.end,
        );
        assert.equal(
          same.length,
          1,
          `[I16] ${one.name} from ${new Date(span.start).toISOString()} is billed ${same.length} times`,
        );
        const root = same[0] as Root;
        if (!reported.has(root.id)) expectAlike(root, expectedOf(root, stretch, Number.MAX_SAFE_INTEGER), 'at the end');
        for (const [code, amount] of feesOf(planOf(plan), stretch, one.zone)) {
          const key = `${plan} ${code} ${billing.start}`;
          fees.set(key, (fees.get(key) ?? new Exact(0)).add(amount));
        }
      }
      const arrears = own.filter(({ isArrears }) => isArrears).length;
      assert.equal(
        arrears,
        stretchesOf(facts.plans, one, Number.POSITIVE_INFINITY).length,
        '[I16] more time is billed than there was',
      );
      const charged = new Map<string, Decimal>();
      for (const { id, plan, sums, isArrears } of own) {
        if (isArrears) continue;
        for (const [code, { amount }] of sums) {
          const key = `${plan} ${code} ${periodOf(id).part.billing.start}`;
          charged.set(key, (charged.get(key) ?? new Exact(0)).add(amount));
        }
      }
      for (const key of new Set([...fees.keys(), ...charged.keys()])) {
        const [wanted, found] = [fees.get(key) ?? new Exact(0), charged.get(key) ?? new Exact(0)];
        assert(wanted.eq(found), `${key} of ${one.name} should come to ${wanted} and comes to ${found}`);
      }
    }
  };

  return { afterStep, atEnd, counts };
};
