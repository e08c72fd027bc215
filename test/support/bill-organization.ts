/** Follows a random organization over the real HTTP API, and holds each answer against the brute-force biller. */
import { expect } from 'vitest';
import { type BilledInvoice, createBiller, reasons, type SentEvent, type Step } from './brute-biller.ts';
import { printed } from './brute-prices.ts';
import { jsonOf } from './brute-usage.ts';
import { type Pipeline, until } from './pipeline.ts';
import type { Tenant } from './tenants.ts';

export type Followed = {
  /** Models and aggregations that were billed for more than nothing, and fates that events had. */
  readonly kinds: ReadonlySet<string>;
};

type Answer = Awaited<ReturnType<Pipeline['api']>>;
// biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
type Body = any;

const expectStatus = ({ status, body }: Answer, wanted: number, what: unknown): Body => {
  expect(status, `${JSON.stringify(body)} of ${jsonOf(what)}`).toBe(wanted);
  return body;
};

export type Ports = {
  readonly pipeline: Pipeline;
  readonly tenant: Tenant;
  readonly emptyRedis: () => Promise<void>;
};

export const billOrganization = async (
  { pipeline, tenant, emptyRedis }: Ports,
  seed: number,
  steps: Iterable<Step>,
): Promise<Followed> => {
  const { api, ingest } = tenant;
  const biller = createBiller(Date.now());
  const customerIds = new Map<string, string>();
  const subscriptionIds: string[] = [];
  const invoiced = new Map<string, unknown>();
  const kinds = new Set<string>();

  const make = async (path: string, body: unknown): Promise<Body> =>
    expectStatus(await api('POST', path, jsonOf(body), { 'content-type': 'application/json' }), 201, body);
  const change = async (path: string, body: unknown): Promise<void> => {
    expectStatus(await api('PATCH', path, body), 200, body);
  };

  const nameOf = (customer: string): string =>
    customer.startsWith('@') ? (customerIds.get(customer.slice(1)) ?? '') : customer;
  const payloadOf = ({ event, customer, time, properties, fault }: SentEvent) => ({
    event,
    customer_id: nameOf(customer),
    timestamp: time,
    properties,
    ...fault,
  });
  const eventOf = (sent: SentEvent) => ({ idempotency_key: sent.key, ...payloadOf(sent) });

  const amend = async (amendments: Extract<Step, { does: 'amend' }>['amendments']): Promise<void> => {
    const asked = amendments.map(({ key, replacement }) => ({
      idempotency_key: key,
      action: replacement ? 'replace' : 'void',
      reason: 'by chance',
      ...(replacement && { replacement: payloadOf(replacement) }),
    }));
    const body = jsonOf({ amendments: asked });
    // What was accepted a moment ago may not be found yet: one asks again.
    const answer = await until(
      () => api('POST', '/v1/events/amendments', body, { 'content-type': 'application/json' }),
      ({ status }) => status !== 404,
    );
    const { items } = expectStatus(answer, 201, asked);
    for (const { id } of items)
      await until(
        () => api('GET', `/v1/events/amendments/${id}`),
        ({ body }) => body.state === 'applied',
      );
  };

  const expectInvoice = async (expected: BilledInvoice): Promise<void> => {
    const subscription = subscriptionIds[expected.subscription];
    const { items } = (await api('GET', `/v1/invoices?subscription_id=${subscription}&limit=100`)).body;
    const { start } = expected.span;
    const head = items.find(({ period }: Body) => Date.parse(period.start) === start);
    expect(head, `an invoice of ${subscription} from ${new Date(start).toISOString()}`).toBeDefined();
    const { body } = await api('GET', `/v1/invoices/${head.id}`);
    const { rows } = await pipeline.asOwner.query<{ charge_code: string; unmeasured_events: bigint }>(
      'SELECT charge_code, unmeasured_events FROM rated_lines WHERE billing_period_id = $1 AND watermark = $2',
      [body.periods[0].billing_period_id, body.watermark],
    );
    const unmeasured = new Map(rows.map((row) => [row.charge_code, Number(row.unmeasured_events)]));
    const told = body.lines.map((line: Body) => ({
      charge: line.charge_code,
      quantity: line.quantity,
      precise: line.precise_amount,
      amount: line.amount,
      rounding: line.rounding,
      unmeasured: unmeasured.get(line.charge_code),
    }));
    const worked = expected.lines.map(({ charge, quantity, precise, amount, rounding, unmeasured }) => ({
      charge,
      quantity: quantity.toFixed(),
      precise: precise.toFixed(),
      amount,
      rounding,
      unmeasured,
    }));
    for (const { charge, model, aggregation, priceSpans, precise, amount, rounding } of expected.lines) {
      if (precise.isZero()) continue;
      const { currency } = expected;
      if (amount !== printed(precise, currency, rounding === 'half_up' ? 'half_even' : 'half_up')) kinds.add(rounding);
      kinds.add(model);
      if (aggregation !== null) kinds.add(aggregation);
      if (priceSpans > 1) kinds.add('price_spans');
      if (charge.startsWith('credits')) kinds.add(priceSpans > 1 ? 'credits, cut' : 'credits');
    }
    expect({ lines: told, total: body.total, currency: body.currency }).toEqual({
      lines: worked,
      total: expected.total,
      currency: expected.currency,
    });
    invoiced.set(head.id, body);
  };

  const take = async (step: Step): Promise<void> => {
    const worked = biller.follow(step);
    switch (step.does) {
      case 'rounding':
        return change('/v1/organization', { rounding: step.rounding });
      case 'credit unit':
        await make('/v1/credit-units', { code: step.unit, name: step.unit });
        return;
      case 'credit rate': {
        const effective_from = new Date(step.fromMs).toISOString();
        await make(`/v1/credit-units/${step.unit}/rates`, { effective_from, unit: step.of, amount: step.amount });
        return;
      }
      case 'meter':
        await make('/v1/meters', step.meter);
        return;
      case 'change meter':
        return change(`/v1/meters/${step.code}`, step.fields);
      case 'plan':
        // The oracle knows each period by what was there when it was billed; what came late is told by its fate.
        await make('/v1/plans', { ...step.plan, late_usage: 'report_only' });
        return;
      case 'change plan':
        return change(`/v1/plans/${step.code}`, { charges: step.charges });
      case 'customer':
        customerIds.set(step.name, (await make('/v1/customers', { external_id: step.name, name: step.name })).id);
        return;
      case 'subscription': {
        const { customer, plan, currency, startMs } = step;
        const started_at = new Date(startMs).toISOString();
        subscriptionIds.push(
          (await make('/v1/subscriptions', { customer_id: customer, plan, currency, started_at })).id,
        );
        return;
      }
      case 'override': {
        const { plan, charge, customer, currency, price, tiers, fromMs, untilMs } = step;
        await make('/v1/price-overrides', {
          plan,
          charge,
          currency,
          price,
          tiers,
          customer_id: customer ?? null,
          effective_from: new Date(fromMs).toISOString(),
          effective_until: untilMs === undefined ? null : new Date(untilMs).toISOString(),
        });
        return;
      }
      case 'end subscription':
        // No route does it yet.
        await pipeline.asOwner.query("UPDATE subscriptions SET state = 'ended', ended_at = $2 WHERE id = $1", [
          subscriptionIds[step.subscription],
          new Date(step.atMs),
        ]);
        return;
      case 'events': {
        const events = step.events.map(eventOf);
        const [text, type] = step.inLines
          ? [events.map(jsonOf).join('\n'), 'application/x-ndjson']
          : [jsonOf(events), 'application/json'];
        const body = expectStatus(
          await ingest('POST', '/v1/events?backfill=true', text, { 'content-type': type }),
          200,
          '',
        );
        expect(body, JSON.stringify(body.results)).toMatchObject(worked.taken as object);
        return;
      }
      case 'amend':
        return amend(step.amendments);
      case 'forget':
        return emptyRedis();
      case 'run': {
        const asked = await api('POST', '/v1/invoices/run', { period: step.month.name, customer_id: step.customer });
        const { body } = await api(
          'GET',
          `${expectStatus(asked, 202, step) && asked.headers.get('location')}?wait_seconds=25`,
        );
        const { invoices, already } = worked.run as NonNullable<typeof worked.run>;
        const counts = { invoices_issued: invoices.length, invoices_already_issued: already };
        expect(body).toMatchObject({ state: 'completed', failure: null, ...counts });
        for (const invoice of invoices) await expectInvoice(invoice);
      }
    }
  };

  const expectConservation = async (): Promise<void> => {
    const { fates, ...counts } = biller.conservation();
    const { body } = await until(
      () => api('GET', '/v1/reconciliation'),
      ({ body: { is_settled, total } }) => is_settled && total.received === counts.received,
    );
    const { billed, ...unbilled } = fates;
    for (const [fate, events] of Object.entries(fates)) if (events > 0) kinds.add(fate);
    expect(body).toMatchObject({ is_balanced: true, total: { ...counts, billed, unbilled } });
    // These organizations have no trials, no pauses and no cancellations.
    const all = [...reasons, 'unchecked', 'trial', 'paused', 'waived'];
    expect(Object.keys(body.total.unbilled).sort()).toEqual(all.sort());
  };

  let number = 0;
  for (const step of steps) {
    number += 1;
    try {
      await take(step);
    } catch (error) {
      if (error instanceof Error) error.message = `seed ${seed}, step ${number} (${step.does}): ${error.message}`;
      throw error;
    }
  }
  await expectConservation();
  // What was issued stands, whatever came after it.
  for (const [id, body] of invoiced) expect((await api('GET', `/v1/invoices/${id}`)).body).toEqual(body);
  return { kinds };
};
