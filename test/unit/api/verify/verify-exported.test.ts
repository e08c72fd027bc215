import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { issuedInvoiceToJson } from '#schemas/invoice/content.ts';
import { type ContentVersion, contentVersions, type IssuedInvoice } from '#schemas/invoice.ts';
import { contentJson } from '../../../../api/invoices/invoice-json.ts';
import { verifyExported } from '../../../../api/verify/verify-exported.ts';
import { issuedChain } from '../../../support/invoice-examples.ts';
import { scaled } from '../../../support/scale.ts';
import { verify } from '../../../support/verify-command.ts';

const exported = (invoices: readonly IssuedInvoice[]): string =>
  invoices.map((invoice) => JSON.stringify(contentJson(invoice))).join('\n');
const chain = issuedChain(4);
/** Those that are hashed, and what says how. */
const members = Object.keys(issuedInvoiceToJson(chain[0] as IssuedInvoice));
const reasons = (text: string) =>
  verifyExported(text).flatMap(({ faults }) => faults.map(({ number, reason }) => [number, reason]));

describe('exported invoices', () => {
  it.each(contentVersions)('[I35] of content version %s verify as the API answers them', (version) => {
    const invoices = issuedChain(3, 'ten_1', version as ContentVersion);
    expect(verifyExported(`${exported(invoices)}\n`)).toEqual([
      { tenant: 'ten_1', count: 3, first: 1, last: 3, headHash: invoices[2]?.hash, faults: [] },
    ]);
  });

  it('may come in any order, of several organizations, and begin anywhere', () => {
    const mixed = exported([...chain.toReversed(), ...issuedChain(3, 'ten_2').slice(1)]);
    expect(verifyExported(mixed).map(({ tenant, first, last, faults }) => [tenant, first, last, faults])).toEqual([
      ['ten_1', 1, 4, []],
      ['ten_2', 2, 3, []],
    ]);
  });

  it('[I17] one that is missing, doubled or of another chain is found', () => {
    const [one, two, three, four] = chain as [IssuedInvoice, IssuedInvoice, IssuedInvoice, IssuedInvoice];
    expect(reasons(exported([one, three, four]))).toEqual([[3, 'number_out_of_sequence']]);
    expect(reasons(exported([one, two, two, three]))).toEqual([[2, 'number_out_of_sequence']]);
    expect(reasons(exported([one, { ...two, previousHash: 'f'.repeat(64) }]))).toEqual([
      [2, 'previous_hash_differs'],
      [2, 'hash_differs'],
    ]);
  });

  it('[I19] a total that is no sum is found, also under a hash that is right', () => {
    const json = JSON.parse(JSON.stringify(contentJson(chain[0] as IssuedInvoice)));
    expect(reasons(JSON.stringify({ ...json, total: '21.95' }))).toEqual([
      [1, 'hash_differs'],
      [1, 'total_is_no_sum'],
    ]);
  });

  it('[I17] a bit that is flipped anywhere in what is hashed is found', () => {
    const text = exported(chain);
    /** What an answer has beside what is hashed may change, and members that no invoice has. */
    const hashed = (ndjson: string): string | undefined => {
      try {
        return ndjson
          .split('\n')
          .map((line) => JSON.stringify(Object.entries(JSON.parse(line)).filter(([name]) => members.includes(name))))
          .join('\n');
      } catch {
        return undefined;
      }
    };
    const flips = fc.tuple(fc.integer({ min: 0, max: text.length - 1 }), fc.integer({ min: 0, max: 6 }));
    fc.assert(
      fc.property(flips, ([at, bit]) => {
        const code = text.charCodeAt(at);
        const flipped = text.slice(0, at) + String.fromCharCode(code ^ (1 << bit)) + text.slice(at + 1);
        const left = hashed(flipped);
        if (left === undefined) expect(() => verifyExported(flipped)).toThrow();
        else if (left !== hashed(text)) expect(reasons(flipped), flipped.slice(at - 30, at + 30)).not.toEqual([]);
      }),
      { numRuns: scaled(300) },
    );
  });

  it('are checked by a command, which says what is at fault by its exit code too', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-exported-'));
    const checked = async (text: string) => {
      await writeFile(join(folder, 'invoices.ndjson'), text);
      return verify('', [join(folder, 'invoices.ndjson')], 'api/verify/offline.main.ts');
    };
    expect(await checked(exported(chain))).toMatchObject({
      code: 0,
      stdout: `ten_1 invoices: 4 as issued, 1 to 4, head ${chain[3]?.hash}\n4 invoices were checked; no fault\n`,
    });
    const changed = exported(chain).replace('Thank you', 'Thank you!');
    expect(await checked(changed)).toMatchObject({
      code: 1,
      faults: ['ten_1 invoices: FAULT at 1 (inv_1): hash_differs'],
    });
    expect((await checked('{"half')).code).toBe(2);
    await rm(folder, { recursive: true });
  });

  it('a line that is no invoice is not passed over', () => {
    expect(() => verifyExported('[]')).toThrow('line 1');
    expect(() => verifyExported(`${exported(chain)}\n{"half`)).toThrow();
    expect(reasons('{"id":"inv_1"}')).not.toEqual([]);
  });
});
