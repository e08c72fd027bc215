/** The real trace: 8,819 production requests, each sent twice, and the bill that an independent program computed. */

import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmRequest, makeLlmPro } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline } from '../support/pipeline.ts';

const folder = new URL('../../../shared/data/azure-llm-2023/', import.meta.url);
const there = existsSync(folder);
if (!there) console.warn('skipped: the trace azure-llm-2023 is not beside this checkout');

const rowsOf = (file: string): string[][] =>
  readFileSync(new URL(file, folder), 'utf8')
    .trim()
    .split(/\r?\n/)
    .slice(1)
    .map((line) => line.split(','));

describe.skipIf(!there)('the Azure LLM trace of 2023', () => {
  let pipeline: Pipeline;
  const month = lastMonth();

  beforeAll(async () => {
    pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  });
  afterAll(() => pipeline?.stop());

  it('[I2] [I13] posted twice over HTTP it gives exactly the expected bill for all 40 customers, 1,009.34 USD in total', async () => {
    const expected = rowsOf('expected-llm-pro.csv');
    await makeLlmPro(
      pipeline,
      expected.map(([customer]) => customer as string),
      month.start,
    );
    // All events move by one constant, so that the last falls on the last second of the month.
    const trace = rowsOf('code.csv');
    const instantOf = (text: string) => Date.parse(`${text.replace(' ', 'T').slice(0, 23)}Z`);
    const shiftMs = month.end - 1000 - instantOf(trace.at(-1)?.[0] as string);
    const events = trace.map(([at, input, output], index) =>
      llmRequest(`azure-${index}`, `cus_${String(index % 40).padStart(3, '0')}`, instantOf(at as string) + shiftMs, {
        input: Number(input),
        output: Number(output),
      }),
    );
    expect(events).toHaveLength(8819);

    for (let from = 0; from < events.length; from += 500) {
      const batch = events.slice(from, from + 500);
      const first = await pipeline.sendEvents(batch);
      expect(first).toMatchObject({
        status: 200,
        body: { accepted: batch.length, duplicates: 0, conflicts: 0, rejected: 0 },
      });
      const second = await pipeline.sendEvents(batch);
      expect(second).toMatchObject({
        status: 200,
        body: { accepted: 0, duplicates: batch.length, conflicts: 0, rejected: 0 },
      });
    }
    const run = await pipeline.closePeriod({ period: month.name });
    expect(run).toMatchObject({ status: 200, body: { state: 'completed', invoices_issued: 40, unmeasured_events: 0 } });

    let cents = 0n;
    for (const [
      customer,
      requests,
      input,
      output,
      requestsAmount,
      inputAmount,
      outputAmount,
      baseAmount,
      total,
    ] of expected) {
      const list = await pipeline.api('GET', `/v1/customers/${customer}/invoices`);
      expect(list.body.pagination.total).toBe(1);
      const { body: invoice } = await pipeline.api('GET', `/v1/invoices/${list.body.items[0].id}`);
      expect(invoice.lines.map((line: { quantity: string; amount: string }) => [line.quantity, line.amount])).toEqual([
        ['1', baseAmount],
        [requests, requestsAmount],
        [input, inputAmount],
        [output, outputAmount],
      ]);
      expect(invoice.total).toBe(total);
      cents += BigInt(invoice.total.replace('.', ''));
    }
    expect(cents).toBe(100_934n);
  });
});
