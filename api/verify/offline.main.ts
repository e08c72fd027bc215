/**
 * `npm run verify -- --offline <file>`: whether invoices and credit notes that were exported are as they were issued,
 * from the JSON alone: one a line, as `GET /v1/invoices/{id}` and `GET /v1/credit-notes/{id}` answer it, in any order.
 * One line on stdout for each organization and kind, and one for each fault; exit code 1 where anything is wrong, 2
 * where the file can't be read.
 */
import { readFile } from 'node:fs/promises';
import { type ExportedChain, verifyExported } from './verify-exported.ts';
import { verifyExportedCredits } from './verify-exported-credits.ts';

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
};

const [path, ...more] = process.argv.slice(2);
if (path === undefined || more.length > 0) fail('usage: npm run verify -- --offline <file>');

type Checked = { readonly invoices: ExportedChain[]; readonly credit_notes: ExportedChain[] };

const read = async (): Promise<Checked> => {
  try {
    const text = await readFile(path as string, 'utf8');
    return { invoices: verifyExported(text), credit_notes: verifyExportedCredits(text) };
  } catch (error) {
    return fail(`the invoices of ${path} can't be read: ${(error as Error).message}`);
  }
};

const checked = await read();
const print = (kind: keyof Checked, { tenant, count, first, last, headHash, faults }: ExportedChain): void => {
  for (const { number, id, reason } of faults)
    process.stdout.write(`${tenant} ${kind}: FAULT at ${number} (${id ?? 'no id'}): ${reason}\n`);
  if (faults.length === 0)
    process.stdout.write(`${tenant} ${kind}: ${count} as issued, ${first} to ${last}, head ${headHash}\n`);
};
const countOf = (chains: readonly ExportedChain[]): number => chains.reduce((sum, { count }) => sum + count, 0);

for (const chain of checked.invoices) print('invoices', chain);
for (const chain of checked.credit_notes) print('credit_notes', chain);
const faults = [...checked.invoices, ...checked.credit_notes].reduce((sum, chain) => sum + chain.faults.length, 0);
const credits = countOf(checked.credit_notes);
const what = `${countOf(checked.invoices)} invoices ${credits > 0 ? `and ${credits} credit notes ` : ''}were checked`;
process.stdout.write(`${what}; ${faults === 0 ? 'no fault' : `faults: ${faults}`}\n`);
if (faults > 0) process.exitCode = 1;
