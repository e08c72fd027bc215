/** What guards credit notes: who may change one, many that credit one invoice at once, and a process that dies. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { recordChange } from '#platform/audit/record-change.ts';
import { newId } from '#platform/process/ids.ts';
import { connectPostgres, type Login, logins, loginUrl, type Postgres } from '#platform/stores/postgres.ts';
import { creditNoteIssuing } from '../../invoicer/credits/credit-notes.postgres.ts';
import { drawUpCredit } from '../../invoicer/credits/draw-up-credit.ts';
import { askedWith, creditChanges, issueCredit } from '../../invoicer/credits/issue-credit.ts';
import { type Body, credit, customerWith, issue, post, read, standing } from '../support/credit-parts.ts';
import { parts } from '../support/parts.ts';
import { databasePassword, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { faultsAfter } from '../support/tampering.ts';
import { unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
let api: Pipeline['api'];
let customer: string;
let armed: string | undefined;
const connected: Postgres[] = [];
beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    {},
    {
      services: parts.billedUsage,
      extraOf: (service): NodeJS.ProcessEnv => {
        if (service !== 'api' || armed === undefined) return {};
        const failPoint = armed;
        // One life ends by it; the one after it answers.
        armed = undefined;
        return { MILLRACE_FAIL_POINT: failPoint };
      },
    },
  );
  api = pipeline.api;
  await post(api, '/v1/tax-rates', { code: 'de', name: 'VAT', percentage: '19' });
  customer = await customerWith(api, ['de']);
});
afterAll(async () => {
  for (const postgres of connected) await postgres.close();
  await pipeline?.stop();
});

const owner: Pipeline['asOwner']['query'] = (...args) => pipeline.asOwner.query(...args);
const as = (login: Login): Postgres => {
  const url = loginUrl(pipeline.databaseUrl, login, databasePassword);
  const postgres = connectPostgres(url, { poolMax: 1, log: pino({ level: 'silent' }) });
  connected.push(postgres);
  return postgres;
};
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: { code?: string; cause?: { code?: string } }) => error.code ?? error.cause?.code ?? String(error),
  );
const organizationOf = async ({ id }: Body): Promise<string> =>
  (await owner<{ organization_id: string }>('SELECT organization_id FROM credit_notes WHERE id = $1', [id])).rows[0]
    ?.organization_id ?? '';

describe('[I17] a credit note never changes', () => {
  let invoice: Body;
  let note: Body;
  beforeAll(async () => {
    invoice = await issue(api, customer, 'EUR', ['100.00', '50.00']);
    note = await credit(api, invoice.id, { lines: [{ invoice_line: 1, amount: '40.00' }] });
    await credit(api, invoice.id, { amount: '1.00' });
  });
  const privilege = '42501';
  const restriction = '23001';
  const changes = [
    "UPDATE credit_notes SET memo = 'x'",
    'DELETE FROM credit_notes',
    'TRUNCATE credit_notes CASCADE',
    'UPDATE credit_note_lines SET amount = 0',
    'DELETE FROM credit_note_lines',
    'TRUNCATE credit_note_lines',
  ];

  it('by any login: none has the right', async () => {
    for (const login of logins) {
      const postgres = as(login);
      const organizationId = await organizationOf(note);
      for (const sql of [...changes, 'DELETE FROM credit_note_series', 'DELETE FROM credit_note_numbering'])
        expect([login, sql, await codeOf(postgres.forOrganization(organizationId).query(sql))]).toEqual([
          login,
          sql,
          privilege,
        ]);
    }
  });

  it('by the owner: triggers refuse it', async () => {
    for (const sql of changes) expect([sql, await codeOf(owner(sql))]).toEqual([sql, restriction]);
  });

  it('and the API has no route for it', async () => {
    for (const method of ['PATCH', 'DELETE', 'PUT'])
      expect((await api(method, `/v1/credit-notes/${note.id}`, { memo: 'x' })).status).toBe(405);
  });

  const insertNote = (id: string, total: string, lines: number) =>
    `INSERT INTO credit_notes (id, organization_id, series_number, content_version, document_number, invoice_id,
       customer_id, currency, reason, pre_payment_amount, post_payment_amount, subtotal, discount_total, tax_total,
       total, issued_at, previous_hash, hash, line_count, metadata, time_zone)
     SELECT '${id}', organization_id, 1000, 1, '${id}', invoice_id, customer_id, currency, 'other', ${total}, 0,
       ${total}, 0, 0, ${total}, issued_at, hash, hash, ${lines}, '{}', 'UTC'
     FROM credit_notes WHERE id = '${note.id}'`;
  const insertLine = (id: string, position: number, amount: string) =>
    `INSERT INTO credit_note_lines (organization_id, credit_note_id, position, invoice_id, invoice_line, amount)
     SELECT organization_id, '${id}', ${position}, invoice_id, ${position}, ${amount} FROM credit_notes
     WHERE id = '${note.id}'`;

  it('nor is anything added to one, nor one that is not counted, or credits more than was charged', async () => {
    const postgres = as('millrace_app').forOrganization(await organizationOf(note));
    expect(await codeOf(postgres.query(insertLine(note.id, 2, '1')))).toBe(restriction);
    const added = (total: string, lines: number, line?: string) => {
      const id = newId('crn');
      return codeOf(
        postgres.transaction(async ({ query }) => {
          await query(insertNote(id, total, lines));
          if (line !== undefined) await query(insertLine(id, 2, line));
        }),
      );
    };
    // Nobody raised what was credited of the invoice.
    expect(await added('1', 1, '1')).toBe(restriction);
    expect(await added('1', 1)).toBe(restriction);
    expect(await added('0', 1, '60')).toBe(restriction);
    expect(
      await codeOf(
        postgres.query(`UPDATE invoice_states SET amount_credited = total + 1 WHERE invoice_id = '${invoice.id}'`),
      ),
    ).toBe('23514');
    expect(await standing(api, invoice.id)).toBe(`issued ${(await total(invoice.id)).toFixed(2)} 129.90`);
  });
  const total = async (id: string): Promise<number> =>
    Number(
      (await owner<{ sum: string }>('SELECT sum(total)::text AS sum FROM credit_notes WHERE invoice_id = $1', [id]))
        .rows[0]?.sum,
    );

  it('and whoever switches that off is found out, whatever it is', async () => {
    const found = async (sql: string, table = 'credit_notes') =>
      (await faultsAfter(pipeline.asOwner, { table, sql })).filter((fault) => /credit|invoice_state/.test(fault));
    const one = `WHERE id = '${note.id}'`;
    expect(await found(`UPDATE credit_notes SET memo = 'x' ${one}`)).toContain(
      `credit_notes (${note.id}): hash_differs`,
    );
    expect(await found(`UPDATE credit_notes SET metadata = '{"a":"b"}' ${one}`)).toEqual([
      `credit_note (${note.id}): differs_from_last_entry`,
    ]);
    const ofLine = `WHERE credit_note_id = '${note.id}'`;
    expect(await found(`UPDATE credit_note_lines SET amount = 39 ${ofLine}`, 'credit_note_lines')).toEqual([
      `credit_notes (${note.id}): hash_differs`,
      `credit_note (${note.id}): total_is_no_sum`,
    ]);
    expect(await found(`DELETE FROM credit_notes ${one}`)).toEqual(
      expect.arrayContaining([
        `credit_note (${note.id}): row_is_gone`,
        `invoice (${invoice.id}): credited_total_differs`,
      ]),
    );
    const states = `UPDATE invoice_states SET amount_credited = 1 WHERE invoice_id = '${invoice.id}'`;
    expect(await found(states, 'invoice_states')).toContain(`invoice (${invoice.id}): credited_total_differs`);
  });
});

describe('[I18][I32] many at the same moment', () => {
  it('eight that credit one invoice never exceed it, and their numbers have no gap', async () => {
    const invoice = await issue(api, customer, 'EUR', ['10.00']);
    const before = (await read(api, '/v1/credit-notes?limit=1&sort=-number')).items[0]?.number ?? 0;
    const ask = (more: object) => api('POST', '/v1/credit-notes', { invoice_id: invoice.id, reason: 'other', ...more });
    // Of 11.90, three times 3.57 fit.
    const parts = await Promise.all(
      Array.from({ length: 8 }, () => ask({ lines: [{ invoice_line: 1, amount: '3.00' }] })),
    );
    expect(parts.map(({ status }) => status).toSorted()).toEqual([201, 201, 201, 422, 422, 422, 422, 422]);
    expect(await standing(api, invoice.id)).toBe('issued 10.71 1.19');
    const rests = await Promise.all(Array.from({ length: 8 }, () => ask({})));
    expect(rests.map(({ status }) => status).toSorted()).toEqual([201, ...Array(7).fill(409)]);
    expect(await standing(api, invoice.id)).toBe('voided 11.90 0.00');
    const made = [...parts, ...rests].flatMap(({ body }) => (body.number === undefined ? [] : [body.number]));
    expect(made.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4].map((step) => before + step));
  });

  it('eight voids of one invoice are one, and make one draft', async () => {
    const invoice = await issue(api, customer, 'EUR', ['10.00']);
    const all = await Promise.all(
      Array.from({ length: 8 }, () => api('POST', `/v1/invoices/${invoice.id}/void`, { reissue: true })),
    );
    expect(all.map(({ status }) => status).toSorted()).toEqual([200, ...Array(7).fill(409)]);
    const drafts = (await read(api, `/v1/invoices?state=draft&customer_id=${customer}`)).items;
    expect(drafts.filter(({ reissue_of }: Body) => reissue_of === invoice.id)).toHaveLength(1);
  });

  it('the same request twice, under one key, is one credit note', async () => {
    const invoice = await issue(api, customer, 'EUR', ['10.00']);
    const headers = { 'idempotency-key': unique() };
    const body = { invoice_id: invoice.id, reason: 'other', amount: '1.00' };
    const ask = () =>
      until(
        () => api('POST', '/v1/credit-notes', body, headers),
        ({ status }) => status !== 409,
      );
    const [one, other] = await Promise.all([ask(), ask()]);
    expect([one.status, other.status, other.body.id]).toEqual([201, 201, one.body.id]);
    expect(await standing(api, invoice.id)).toBe('issued 1.00 10.90');
  });

  it('of the API and of the invoicer, which credits by the same use case', async () => {
    const invoice = await issue(api, customer, 'EUR', ['10.00']);
    const worker = as('millrace_worker');
    const { rows } = await owner<{ id: string }>('SELECT organization_id AS id FROM invoices WHERE id = $1', [
      invoice.id,
    ]);
    const organizationId = rows[0]?.id ?? '';
    const byInvoicer = () =>
      worker.transaction(async ({ query }) => {
        const db = { query, organizationId };
        const locked = await creditNoteIssuing.lockInvoice(db, invoice.id);
        if (!locked) throw new Error('the invoice is issued');
        const asked = { kind: 'lines', lines: new Map([[1, (1n * 10n ** 12n) as never]]) } as const;
        const terms = { reason: 'late_usage', memo: null, settlement: null } as const;
        const drawn = drawUpCredit(locked.invoice, locked.credited, locked.state, asked, terms);
        const issued = await issueCredit(creditNoteIssuing, db, locked, drawn, askedWith({}), Date.now());
        const actor = { actor: 'invoicer', requestId: 'req_of_a_run', result: 'done' };
        await recordChange(db, actor, creditChanges(locked, issued), issued.note.issuedAt);
        return issued;
      });
    const [note] = await Promise.all([byInvoicer(), credit(api, invoice.id, { amount: '1.19' })]);
    expect(note.note.lines[0]?.amount).toBe(10n ** 12n);
    expect(await standing(api, invoice.id)).toBe('issued 2.38 9.52');
  });
});

describe('a process that dies', () => {
  const pidOf = (): number => pipeline.stack.processes.find(({ name }) => name === 'api')?.pid ?? 0;
  const another = (than: number): Promise<number> =>
    until(
      async () => pidOf(),
      (pid) => pid !== 0 && pid !== than,
    );

  it.each(['credit.before_write', 'credit.before_commit'])('%s has done nothing, or all of it', async (point) => {
    const invoice = await issue(api, customer, 'EUR', ['10.00']);
    armed = `${point}:1`;
    const first = pidOf();
    process.kill(first, 'SIGKILL');
    const dies = await another(first);
    await until(
      () => api('GET', '/v1/credit-notes?limit=1').catch(() => ({ status: 503 })),
      ({ status }) => status === 200,
    );
    const countsOf = async () =>
      (
        await owner(
          `SELECT (SELECT count(*) FROM credit_notes) AS notes, (SELECT count(*) FROM credit_note_lines) AS lines,
             (SELECT sum(last_number) FROM credit_note_series) AS numbers,
             (SELECT count(*) FROM audit_log WHERE action = 'credit_note.issued') AS entries,
             (SELECT version FROM invoice_states WHERE invoice_id = $1) AS version`,
          [invoice.id],
        )
      ).rows[0];
    const before = await countsOf();
    const headers = { 'idempotency-key': unique() };
    const ask = () => api('POST', '/v1/credit-notes', { invoice_id: invoice.id, reason: 'other' }, headers);
    expect(await codeOf(ask())).not.toBe('done');
    await another(dies);
    expect(await countsOf()).toEqual(before);
    const again = await until(
      () => ask().catch(() => ({ status: 503, body: undefined })),
      ({ status }) => status !== 503,
    );
    expect([again.status, again.body.total]).toEqual([201, '11.90']);
    expect(await standing(api, invoice.id)).toBe('voided 11.90 0.00');
  });
});

it('and what stands verifies', async () => {
  expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [], stderr: '' });
});
