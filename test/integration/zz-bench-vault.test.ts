import { inject, it } from 'vitest';
import { createSealedDatabase, masterKeys, addSealedCustomers } from '../support/sealed-database.ts';
import { rotateKeys } from '#platform/rotate-keys.ts';
import { sealedColumns } from '#schemas/sealed-columns.ts';
import type { Queryable } from '#platform/postgres.ts';
it('bench', async () => {
  const database = await createSealedDatabase(inject('serverUrls'));
  const db = await database.newOrganization();
  let s = performance.now();
  for (let i = 0; i < 2; i++) await addSealedCustomers(db, 10000);
  console.log('seeded', performance.now() - s);
  const spent = new Map<string, [number, number]>();
  const timing: Queryable = { query: async (sql, values) => { const t = performance.now(); try { return await database.owner.query(sql, values); } finally { const k = sql.slice(0, 60); const e = spent.get(k) ?? [0, 0]; spent.set(k, [e[0] + 1, e[1] + performance.now() - t]); } } };
  s = performance.now();
  const report = await rotateKeys(timing, { masterKeys, renewDataKeys: true, clock: { nowMs: () => Date.now() }, columns: Object.values(sealedColumns) });
  console.log('rotation', (performance.now() - s).toFixed(0), 'ms', JSON.stringify(report.columns[0]));
  for (const [k, v] of spent) console.log(k, v);
  await database.close();
}, 300000);
