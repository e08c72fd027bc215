/** Documents of issued invoices: made once, kept sealed, and gone with their customer. */
import { hash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { systemClock } from '#platform/process/clock.ts';
import { openPdf } from '../../support/pdf-tools.ts';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { addTenant, firstTenant, makeKey, makeObjects, type Objects, type Tenant } from '../../support/tenants.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let tenant: Tenant;
let objects: Objects;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), { MILLRACE_JOB_POLL_MS: '50', MILLRACE_DOCUMENT_LANES: '1' });
  tenant = await firstTenant(pipeline);
  objects = await makeObjects(tenant.api, 'the-customer', tenant.ingest);
});
afterAll(() => pipeline?.stop());

const owner: Pipeline['asOwner']['query'] = (...args) => pipeline.asOwner.query(...args);
const get = (path: string, accept = '*/*', key = tenant.key) =>
  fetch(`${pipeline.stack.apiUrl.replace(/\/$/, '')}${path}`, { headers: { authorization: `Bearer ${key}`, accept } });
const pdfOf = async (id: string, key?: string): Promise<Buffer> => {
  const answer = await get(`/v1/invoices/${id}.pdf`, '*/*', key);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('application/pdf');
  return Buffer.from(await answer.arrayBuffer());
};
const rowOf = async (id: string) =>
  (await owner('SELECT * FROM invoice_documents WHERE invoice_id = $1', [id])).rows[0];
const madeRow = (id: string) =>
  until(
    () => rowOf(id),
    (row) => row?.state === 'made',
  );
const textOf = async (bytes: Buffer): Promise<string> => {
  const pdf = openPdf(bytes);
  try {
    await pdf.check();
    return await pdf.text('-layout');
  } finally {
    pdf.close();
  }
};
/** As if its process had died before anything was kept. */
const unmake = (id: string) =>
  owner(
    `UPDATE invoice_documents SET state = 'queued', sealed = NULL, digest = NULL, made_at = NULL, attempts = 0,
       leased_until = 'infinity' WHERE invoice_id = $1`,
    [id],
  );

describe('the document of an issued invoice', () => {
  it('is made without being asked for, kept sealed with its digest, and answered as it was made', async () => {
    const row = await madeRow(objects.invoice);
    const pdf = await pdfOf(objects.invoice);
    expect(hash('sha256', pdf, 'hex')).toBe(row.digest);
    expect(row.sealed.includes('%PDF')).toBe(false);
    const invoice = (await tenant.api('GET', `/v1/invoices/${objects.invoice}`)).body;
    const text = await textOf(pdf);
    expect(text).toContain(invoice.document_number);
    expect(text).toContain(invoice.hash);
    for (const { description } of invoice.lines) expect(text).toContain(description);
    expect((await rowOf(objects.invoice)).made_at).toEqual(row.made_at);
  });

  it('has the same bytes when it is made again, by whoever asks first, whatever became of the customer', async () => {
    const first = await pdfOf(objects.invoice);
    await tenant.api('PATCH', `/v1/customers/${objects.customer}`, { name: 'Another name', language: 'de' });
    await unmake(objects.invoice);
    const [one, other] = await Promise.all([pdfOf(objects.invoice), pdfOf(objects.invoice)]);
    expect(one.equals(first)).toBe(true);
    expect(other.equals(first)).toBe(true);
    expect((await rowOf(objects.invoice)).digest).toBe(hash('sha256', first, 'hex'));
    await unmake(objects.invoice);
    await owner('UPDATE invoice_documents SET leased_until = NULL WHERE invoice_id = $1', [objects.invoice]);
    expect((await madeRow(objects.invoice)).digest).toBe(hash('sha256', first, 'hex'));
  });

  it('waits while invoices are issued, five minutes at most', async () => {
    const rolledBack = pipeline.asOwner.transaction(async ({ query }) => {
      await query('SET LOCAL session_replication_role = replica');
      // What others lease meanwhile is not seen here, and of what is written here they see nothing.
      await query("UPDATE invoice_documents SET leased_until = 'infinity' WHERE state = 'queued'");
      await query(
        `UPDATE invoice_documents SET state = 'queued', sealed = NULL, digest = NULL, made_at = NULL,
           leased_until = NULL WHERE invoice_id = $1`,
        [objects.invoice],
      );
      const leased = async () => {
        const { rows } = await query<{ invoice_id: string }>('SELECT invoice_id FROM lease_invoice_document(60)');
        return rows.map(({ invoice_id: id }) => id);
      };
      const putBack = () =>
        query('UPDATE invoice_documents SET leased_until = NULL WHERE invoice_id = $1', [objects.invoice]);
      expect(await leased()).toEqual([objects.invoice]);
      await putBack();
      const { rows } = await query<{ run_id: string }>(
        `UPDATE billing_run_shards SET state = 'rated' WHERE (run_id, shard_number) =
           (SELECT run_id, shard_number FROM billing_run_shards WHERE state = 'issued' LIMIT 1) RETURNING run_id`,
      );
      expect(rows).toHaveLength(1);
      expect(await leased()).toEqual([]);
      const minutesAgo = (minutes: number) =>
        `inv_${Math.floor(systemClock.nowMs() - minutes * 60_000)
          .toString(16)
          .padStart(12, '0')}70000000000000000000`;
      for (const minutes of [4, 6])
        await query(
          `INSERT INTO invoice_documents SELECT (jsonb_populate_record(d, jsonb_build_object('invoice_id', $2::text))).*
           FROM invoice_documents d WHERE d.invoice_id = $1`,
          [objects.invoice, minutesAgo(minutes)],
        );
      const [old] = await leased();
      expect(old?.slice(0, 12)).toBe(minutesAgo(6).slice(0, 12));
      expect(await leased()).toEqual([]);
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
  });

  it('is JSON, PDF or a page, as the caller likes best', async () => {
    const path = `/v1/invoices/${objects.invoice}`;
    for (const [accept, type] of [
      ['*/*', 'application/json; charset=utf-8'],
      ['application/json', 'application/json; charset=utf-8'],
      ['image/png', 'application/json; charset=utf-8'],
      ['application/pdf', 'application/pdf'],
      ['text/html,application/xhtml+xml;q=0.9,*/*;q=0.8', 'text/html; charset=utf-8'],
    ] as const) {
      const answer = await get(path, accept);
      expect([accept, answer.status, answer.headers.get('content-type')]).toEqual([accept, 200, type]);
      expect(answer.headers.get('vary')).toMatch(/Accept/);
    }
    const html = await (await get(path, 'text/html')).text();
    const { body } = await tenant.api('GET', path);
    expect(html).toContain(body.hash);
    expect((await get(path, 'text/html')).headers.get('content-security-policy')).toMatch(/default-src 'none'/);
    expect(Buffer.from(await (await get(path, 'application/pdf')).arrayBuffer())).toEqual(await pdfOf(objects.invoice));
  });

  it('says who it is for, so it takes the scope of customers too', async () => {
    const reader = await makeKey(pipeline, tenant.api, { scopes: ['read:invoices'] });
    const answer = await reader.api('GET', `/v1/invoices/${objects.invoice}.pdf`);
    expect([answer.status, answer.body.error_code]).toEqual([403, 'MISSING_SCOPE']);
    expect((await reader.api('GET', `/v1/invoices/${objects.invoice}`)).status).toBe(200);
  });

  it('is of its organization alone', async () => {
    const other = await addTenant(pipeline);
    expect((await other.api('GET', `/v1/invoices/${objects.invoice}.pdf`)).status).toBe(404);
  });

  it('is refused where what is kept is not what was made', async () => {
    const { digest } = await rowOf(objects.invoice);
    await owner("UPDATE invoice_documents SET digest = repeat('0', 64) WHERE invoice_id = $1", [objects.invoice]);
    expect((await get(`/v1/invoices/${objects.invoice}.pdf`)).status).toBe(500);
    await owner('UPDATE invoice_documents SET digest = $2 WHERE invoice_id = $1', [objects.invoice, digest]);
  });

  it('is gone with its customer, and is then made without anything personal, and the chain holds', async () => {
    const before = await textOf(await pdfOf(objects.invoice));
    const { name } = (await tenant.api('GET', `/v1/customers/${objects.customer}`)).body;
    expect(name).toBe('Another name');
    for (const subscription of objects.subscription ? [objects.subscription] : [])
      await tenant.api('POST', `/v1/subscriptions/${subscription}/cancel`, { at: 'now' });
    const erased = await tenant.api('POST', `/v1/customers/${objects.customer}/erase`);
    expect(erased.status, JSON.stringify(erased.body)).toBe(200);
    expect(await rowOf(objects.invoice)).toBeUndefined();
    const after = await textOf(await pdfOf(objects.invoice));
    expect(before).not.toContain('Gelöschter Kunde');
    expect(after).toContain('Gelöschter Kunde');
    expect(await rowOf(objects.invoice)).toBeUndefined();
    // Organizations that a test adds by hand have no entries.
    const { faults } = await verify(pipeline.databaseUrl);
    expect(faults.filter((fault) => !/ (organization|api_key) /.test(fault))).toEqual([]);
  });
});
