/**
 * [I28] The lanes of the audit log: changes at once don't wait for each other, and nothing of the log is lost by that.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { auditLanesMax, laneId } from '#platform/audit/audit-lanes.ts';
import { recordChange, removeOldOutboxRows } from '#platform/audit/record-change.ts';
import { newId } from '#platform/process/ids.ts';
import { createLog } from '#platform/process/log.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, loginUrl, type Postgres, type Queryable } from '#platform/stores/postgres.ts';
import { verifyChains } from '../../../api/verify/verify-chains.postgres.ts';
import { freshStores } from '../../support/fresh-stores.ts';
import { untilOneWaits } from '../../support/lock-waiters.ts';
import { databasePassword } from '../../support/pipeline.ts';
import { verifyAll } from '../../support/tampering.ts';

let owner: Postgres;
let app: Postgres;
let organizationId: string;

beforeAll(async () => {
  const stores = await freshStores(inject('serverUrls'));
  await migrateAll({ ...stores, databasePassword });
  const log = createLog('test', 'error');
  // Thirty connections are opened at once.
  const waitMsMax = 60_000;
  owner = connectPostgres(stores.databaseUrl, { poolMax: 20, log, waitMsMax });
  // An organization has half of a pool.
  app = connectPostgres(loginUrl(stores.databaseUrl, 'millrace_app', databasePassword), {
    poolMax: 60,
    log,
    waitMsMax,
  });
});
afterAll(async () => {
  await app?.close();
  await owner?.close();
});

const actor = { actor: 'test', requestId: undefined, result: 'done' };
const created = (objectId: string) => ({ action: 'customer.created', objectType: 'customer', objectId });

/** Makes a customer, with its entry; `last` is done between the entry and the commit. */
const makeCustomer = async (last: () => Promise<void> = async () => {}): Promise<string> => {
  const id = newId('cus');
  await app.forOrganization(organizationId).transaction(async ({ query }) => {
    await query(
      `INSERT INTO customers (id, organization_id, external_id, personal, metadata, version, created_at, updated_at)
       VALUES ($1, $2, 'x-' || $1, '\\x01', '{}', 1, now(), now())`,
      [id, organizationId],
    );
    await recordChange({ query, organizationId }, actor, [created(id)], Date.now());
    await last();
  });
  return id;
};
const changeCustomer = (id: string): Promise<void> =>
  app.forOrganization(organizationId).transaction(async ({ query }) => {
    await query("UPDATE customers SET metadata = '{}', version = version + 1 WHERE id = $1", [id]);
    const change = { action: 'customer.updated', objectType: 'customer', objectId: id };
    await recordChange({ query, organizationId }, actor, [change], Date.now());
  });

type Place = { lane: number; sequence: bigint; id: string; object_id: string; object_sequence: bigint; action: string };
const entries = async (db: Queryable = owner): Promise<Place[]> =>
  (
    await db.query<Place>(
      `SELECT lane, sequence, id, object_id, object_sequence, action FROM audit_log WHERE organization_id = $1
       ORDER BY lane, sequence`,
      [organizationId],
    )
  ).rows;
const lanesOf = async (): Promise<number[]> =>
  (
    await owner.query<{ lane: number }>('SELECT lane FROM audit_heads WHERE organization_id = $1 ORDER BY lane', [
      organizationId,
    ])
  ).rows.map(({ lane }) => lane);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Thirty at a time, which is what an organization has of the pool. */
const manyAtOnce = async <T>(
  count: number,
  work: (index: number) => Promise<T>,
): Promise<PromiseSettledResult<T>[]> => {
  const outcomes: PromiseSettledResult<T>[] = [];
  const left = upTo(count).values();
  const worker = async () => {
    for (const index of left) outcomes.push(...(await Promise.allSettled([work(index)])));
  };
  await Promise.all(upTo(30).map(worker));
  return outcomes;
};

/** Locks every lane that there is, has a change wait, and lets it go on: it opens one more. */
const openOne = async (): Promise<void> => {
  let waiting: Promise<unknown> | undefined;
  await owner.transaction(async (client) => {
    await client.query('SELECT 1 FROM audit_heads WHERE organization_id = $1 FOR UPDATE', [organizationId]);
    waiting = makeCustomer();
    waiting.catch(() => {});
    await untilOneWaits(owner, "usename = 'millrace_app'");
  });
  await waiting;
};

const recordOrganization = (): Promise<void> =>
  owner.transaction(({ query }) => {
    const change = { action: 'organization.created', objectType: 'organization', objectId: organizationId };
    return recordChange({ query, organizationId }, actor, [change], Date.now());
  });
const makeOrganization = async (): Promise<void> => {
  organizationId = newId('org');
  await owner.query("INSERT INTO organizations (id, name, created_at, tier) VALUES ($1, 'O', now(), 'scale')", [
    organizationId,
  ]);
};

beforeEach(async () => {
  await makeOrganization();
  await recordOrganization();
});

describe('[I28] lanes', () => {
  it('hold 200 changes at once, complete and without a gap in any of them, whatever was rolled back between', async () => {
    const outcomes = await manyAtOnce(230, (index) =>
      makeCustomer(async () => {
        if (index % 23 < 3) throw new Error('taken back');
      }),
    );
    const made = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(made).toHaveLength(200);
    const written = await entries();
    expect(written.flatMap(({ action, object_id: id }) => (action === 'customer.created' ? [id] : [])).sort()).toEqual(
      made.sort(),
    );
    const lanes = Map.groupBy(written, ({ lane }) => lane);
    expect(lanes.size).toBeGreaterThan(1);
    for (const some of lanes.values())
      expect(some.map(({ sequence }) => Number(sequence))).toEqual(upTo(some.length).map((index) => index + 1));
    const opened = await lanesOf();
    expect(opened).toEqual(upTo(opened.length));
    expect(opened.length).toBeLessThanOrEqual(auditLanesMax);
    expect(await verifyAll(owner)).toEqual([]);
  });

  it('are one as long as nothing goes on at once', async () => {
    for (let count = 0; count < 5; count += 1) await makeCustomer();
    expect(await lanesOf()).toEqual([0]);
  });

  it('begin once, though the first two changes of an organization come at once', async () => {
    await makeOrganization();
    await Promise.all([recordOrganization(), ...upTo(8).map(() => makeCustomer())]);
    const reports = await verifyChains(owner, organizationId, []);
    expect(reports.filter(({ fault }) => fault)).toEqual([]);
    expect((await entries()).filter(({ action }) => action === 'customer.created')).toHaveLength(8);
  });

  it('are 32 at most; beyond that a change waits for one of them', async () => {
    while ((await lanesOf()).length < auditLanesMax) await openOne();
    await openOne();
    expect(await lanesOf()).toEqual(upTo(auditLanesMax));
    const opened = (await entries()).filter(({ action }) => action === 'audit_lane.opened');
    expect(opened.map(({ lane, object_id: id }) => [lane, id])).toEqual(
      upTo(auditLanesMax - 1).map((index) => [0, laneId(index + 1)]),
    );
    expect(await verifyAll(owner)).toEqual([]);
  });

  it("number an object's entries in the order of its changes, whichever lanes they are in", async () => {
    await openOne();
    const id = await makeCustomer();
    await Promise.all(upTo(30).map((index) => (index % 2 ? changeCustomer(id) : makeCustomer())));
    const own = (await entries()).filter(({ object_id: objectId }) => objectId === id);
    expect(own.map(({ object_sequence: number }) => Number(number)).sort((a, b) => a - b)).toEqual(
      upTo(16).map((index) => index + 1),
    );
    expect(await verifyAll(owner)).toEqual([]);
  });
});

describe('[I28] verify', () => {
  class TakenBack extends Error {}
  /** What is found after the statements, of chains and objects. Nothing of it stays. */
  const faultsAfter = async (...statements: readonly string[]): Promise<string[]> => {
    const faults: string[] = [];
    const tampering = owner.transaction(async (client) => {
      await client.query("SET LOCAL session_replication_role = 'replica'");
      await client.query('ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey');
      for (const sql of statements) await client.query(sql.replaceAll('$1', `'${organizationId}'`));
      for (const { chain, lane, fault } of await verifyChains(client, organizationId, []))
        if (fault) faults.push(`${chain} ${lane} at ${fault.number}: ${fault.reason}`);
      faults.push(...(await verifyAll(client)).filter((text) => !text.startsWith('audit')));
      throw new TakenBack();
    });
    await expect(tampering).rejects.toThrow(TakenBack);
    return faults;
  };
  const set = (change: string, lane: number, sequence: number) =>
    `UPDATE audit_log SET ${change} WHERE organization_id = $1 AND lane = ${lane} AND sequence = ${sequence}`;

  let customer: string;
  let ofLane1: Place[];
  beforeEach(async () => {
    for (let count = 0; count < 3; count += 1) await openOne();
    customer = await makeCustomer();
    // One in each lane, held up until all of them have theirs.
    for (let round = 0; round < 3; round += 1) {
      const { promise, resolve } = Promise.withResolvers<void>();
      let inside = 0;
      const all = upTo(4).map(() =>
        makeCustomer(async () => {
          inside += 1;
          if (inside === 4) resolve();
          await promise;
        }),
      );
      await Promise.all(all);
    }
    ofLane1 = (await entries()).filter(({ lane }) => lane === 1);
    expect(ofLane1).toHaveLength(3);
    expect(await verifyAll(owner)).toEqual([]);
  });

  it('names lane and sequence of an entry that was changed, removed, put in or moved within its lane', async () => {
    expect(await faultsAfter(set("actor = 'nobody'", 1, 2))).toEqual(['audit 1 at 2: hash_differs']);
    expect(await faultsAfter(set('object_sequence = 2', 1, 2))).toContain('audit 1 at 2: hash_differs');
    expect(await faultsAfter(set('canonical_version = 2', 1, 2))).toContain('audit 1 at 2: hash_differs');
    expect(
      await faultsAfter('DELETE FROM audit_log WHERE organization_id = $1 AND lane = 1 AND sequence = 2'),
    ).toContain('audit 1 at 3: sequence_has_gap');
    expect(await faultsAfter(set('sequence = 9', 1, 2), set('sequence = 2', 1, 3), set('sequence = 3', 1, 9))).toEqual([
      'audit 1 at 2: previous_hash_differs',
    ]);
    expect(
      await faultsAfter('DELETE FROM audit_log WHERE organization_id = $1 AND lane = 1 AND sequence = 3'),
    ).toContain('audit 1 at 3: cut_off');
  });

  it('names an entry that was moved to the end of another lane, the heads with it', async () => {
    const head2 = '(SELECT head_hash FROM audit_heads WHERE organization_id = $1 AND lane = 2)';
    const faults = await faultsAfter(
      set(`lane = 2, sequence = 4, previous_hash = ${head2}`, 1, 3),
      `UPDATE audit_heads SET last_sequence = 2, head_hash = (SELECT hash FROM audit_log WHERE organization_id = $1
         AND lane = 1 AND sequence = 2) WHERE organization_id = $1 AND lane = 1`,
      `UPDATE audit_heads SET last_sequence = 4, head_hash = (SELECT hash FROM audit_log WHERE organization_id = $1
         AND lane = 2 AND sequence = 4) WHERE organization_id = $1 AND lane = 2`,
    );
    expect(faults).toEqual(['audit 2 at 4: hash_differs']);
  });

  it('tells that a lane is gone with its head, and that lanes changed places', async () => {
    const gone = ['audit_log', 'audit_heads'].map(
      (table) => `DELETE FROM ${table} WHERE organization_id = $1 AND lane = 3`,
    );
    expect(await faultsAfter(...gone)).toContain('audit 3 at undefined: lane_is_gone');
    expect(
      await faultsAfter(
        ...gone,
        "DELETE FROM audit_log WHERE organization_id = $1 AND action = 'audit_lane.opened' AND object_id = 'lane_3'",
      ),
    ).toContainEqual(expect.stringMatching(/^audit 0 at \d+: sequence_has_gap$/));
    const move = (table: string) =>
      [
        [1, 99],
        [2, 1],
        [99, 2],
      ].map(([from, to]) => `UPDATE ${table} SET lane = ${to} WHERE organization_id = $1 AND lane = ${from}`);
    const swapped = await faultsAfter(...move('audit_log'), ...move('audit_heads'));
    expect(swapped).toEqual(['audit 1 at 1: previous_hash_differs', 'audit 2 at 1: previous_hash_differs']);
  });

  it('tells of a lane that lane 0 did not open, of its entries and of its head', async () => {
    expect(await faultsAfter(set('lane = 7', 1, 3))).toEqual(
      expect.arrayContaining(['audit 1 at 3: cut_off', 'audit 7 at undefined: lane_was_not_opened']),
    );
    expect(await faultsAfter("INSERT INTO audit_heads VALUES ($1, 0, 'x', 5)")).toEqual([
      'audit 5 at undefined: lane_was_not_opened',
    ]);
  });

  it('misses an entry that was cut off with its head by the object that it tells of', async () => {
    const object = ofLane1[2]?.object_id;
    expect(
      await faultsAfter(
        'DELETE FROM audit_log WHERE organization_id = $1 AND lane = 1 AND sequence = 3',
        `UPDATE audit_heads SET last_sequence = 2, head_hash = (SELECT hash FROM audit_log WHERE organization_id = $1
           AND lane = 1 AND sequence = 2) WHERE organization_id = $1 AND lane = 1`,
      ),
    ).toEqual([`customer (${object}): change_without_entry`]);
    await changeCustomer(object ?? '');
    expect(
      await faultsAfter(
        'DELETE FROM audit_log WHERE organization_id = $1 AND lane = 1 AND sequence = 3',
        `UPDATE audit_heads SET last_sequence = 2, head_hash = (SELECT hash FROM audit_log WHERE organization_id = $1
           AND lane = 1 AND sequence = 2) WHERE organization_id = $1 AND lane = 1`,
      ),
    ).toContain(`customer (${object}): entry_is_missing`);
    expect(customer).not.toBe('');
  });

  it('holds a lane against its anchors, and misses one of which nothing else tells any more', async () => {
    const reports = await verifyChains(owner, organizationId, []);
    const anchors = reports.map(({ chain, lane, head }) => ({ organizationId, chain, lane, ...head }));
    const found = async (change: (lane: number) => number, hash: string) =>
      (
        await verifyChains(
          owner,
          organizationId,
          anchors.flatMap((one) => (one.lane === 2 ? [{ ...one, lane: change(one.lane), hash }] : [])),
        )
      ).flatMap(({ lane, fault }) => (fault ? [[lane, fault.reason]] : []));
    expect((await verifyChains(owner, organizationId, anchors)).filter(({ fault }) => fault)).toEqual([]);
    expect(await found((lane) => lane, 'f'.repeat(64))).toEqual([[2, 'anchor_differs']]);
    expect(await found(() => 9, 'f'.repeat(64))).toEqual([[9, 'lane_was_not_opened']]);
  });
});

describe('the outbox', () => {
  type Row = { lane: number; sequence: bigint; id: string; object_id: string };
  const rows = async (after = '', values: readonly unknown[] = []): Promise<Row[]> =>
    (
      await owner.query<Row>(
        `SELECT lane, sequence, id, object_id FROM outbox WHERE organization_id = $1 ${after} ORDER BY lane, sequence`,
        [organizationId, ...values],
      )
    ).rows;

  it('has a row of each change beside its entry, and none of the opening of a lane', async () => {
    await openOne();
    await makeCustomer();
    const changes = (await entries()).filter(({ action }) => action !== 'audit_lane.opened');
    const told = await rows();
    expect(told.map(({ lane, sequence, object_id: id }) => [lane, sequence, id])).toEqual(
      changes.map(({ lane, sequence, object_id: id }) => [lane, sequence, id]),
    );
    for (const { id } of told) expect(id).toMatch(/^evt_[0-9a-f]{32}$/);
  });

  it('is read without a loss by one cursor per lane, while changes go on at once', async () => {
    let running = true;
    const cursors = new Map<number, bigint>();
    const seen: string[] = [];
    const readOn = async () => {
      for (const { lane, sequence, id } of await rows(
        'AND sequence > coalesce(($2::jsonb ->> lane::text)::bigint, 0)',
        [JSON.stringify(Object.fromEntries([...cursors].map(([lane, sequence]) => [lane, Number(sequence)])))],
      )) {
        cursors.set(lane, sequence);
        seen.push(id);
      }
    };
    const reading = (async () => {
      while (running) await readOn();
    })();
    await manyAtOnce(150, () => makeCustomer());
    running = false;
    await reading;
    await readOn();
    expect(seen.sort()).toEqual((await rows()).map(({ id }) => id).sort());
    expect(seen).toHaveLength(151);
  });

  it('forgets rows of more than 30 days, and no younger one, whatever time the caller gives', async () => {
    const [young, old] = [await makeCustomer(), await makeCustomer()];
    await owner.query(
      `UPDATE outbox SET occurred_at = now() - interval '30 days 1 minute' WHERE organization_id = $1
         AND object_id = $2`,
      [organizationId, old],
    );
    expect(await removeOldOutboxRows(app, Date.now() - 3_600_000)).toBe(0);
    expect(await removeOldOutboxRows(app, Date.now() + 90 * 86_400_000)).toBe(1);
    expect(await removeOldOutboxRows(app, Date.now())).toBe(0);
    expect((await rows()).map(({ object_id: id }) => id)).toEqual([organizationId, young]);
    await expect(app.forOrganization(organizationId).query('DELETE FROM outbox')).rejects.toThrow('permission denied');
  });

  it('forgets by its index, some rows at a time', async () => {
    await owner.query(
      `INSERT INTO outbox SELECT $1, 0, 1000 + n, 'evt_' || n, 'x.y', 'x', 'x', now() - interval '31 days'
       FROM generate_series(1, 5100) n`,
      [organizationId],
    );
    await owner.query(
      `INSERT INTO outbox SELECT $1, 1, n, 'evt_young_' || n, 'x.y', 'x', 'x', now() FROM generate_series(1, 20000) n`,
      [organizationId],
    );
    await owner.query('ANALYZE outbox');
    const { rows: plan } = await owner.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT id FROM outbox WHERE occurred_at < now() - interval '30 days' ORDER BY occurred_at LIMIT 5000
       FOR UPDATE SKIP LOCKED`,
    );
    expect(plan.map((line) => line['QUERY PLAN']).join('\n')).toContain('outbox_by_time');
    const gone = [];
    for (let round = 0; round < 3; round += 1) gone.push(await removeOldOutboxRows(app, Date.now()));
    expect(gone).toEqual([5_000, 100, 0]);
    await owner.query('DELETE FROM outbox WHERE organization_id = $1', [organizationId]);
  });
});
