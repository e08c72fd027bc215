/** `node check-demo.mjs first|second REPORT`: whether the demo's report says what the README promises. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const [turn, file] = process.argv.slice(2);
const report = JSON.parse(readFileSync(file, 'utf8'));
assert.equal(report.events.sent, 200_000);
assert.equal(report.events.stored, 200_000);
assert.equal(report.events.accepted, turn === 'first' ? 200_000 : 0);
assert.equal(report.events.duplicates, turn === 'first' ? 0 : 200_000);
assert.equal(report.invoices.issued, turn === 'first' ? 1_000 : 0);
assert.equal(report.invoices.already_issued, turn === 'first' ? 0 : 1_000);
assert.equal(report.invoices.unmeasured_events, 0);
assert.equal(report.conservation.is_balanced, true);
assert.equal(report.conservation.missing, 0);
assert(report.conservation.received >= 200_000 && report.conservation.distinct >= (turn === 'first' ? 200_000 : 0));
assert.equal(report.balances.customers.length, 3);
for (const { before, after } of report.balances.customers) assert(Number(after) > Number(before));
assert.equal(report.ran_before, turn === 'second');
assert.equal(report.examples.length, 3);
assert(report.elapsed_ms < 60_000, `the demo took ${report.elapsed_ms} ms`);
console.error(
  `demo, ${turn} run: ${report.elapsed_ms} ms, ingest ${report.events_per_second} events/s, total ${report.invoices.total} ${report.invoices.currency}`,
);
