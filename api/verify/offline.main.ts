/**
 * `npm run verify -- --offline <file>`: whether invoices that were exported are as they were issued, from the JSON
 * alone: one invoice a line, as `GET /v1/invoices/{id}` answers it, in any order. One line on stdout for each
 * organization, and one for each fault; exit code 1 where anything is wrong, 2 where the file can't be read.
 */
import { readFile } from 'node:fs/promises';
import { type ExportedChain, verifyExported } from './verify-exported.ts';

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
};

const [path, ...more] = process.argv.slice(2);
if (path === undefined || more.length > 0) fail('usage: npm run verify -- --offline <file>');

const read = async (): Promise<ExportedChain[]> => {
  try {
    return verifyExported(await readFile(path as string, 'utf8'));
  } catch (error) {
    return fail(`the invoices of ${path} can't be read: ${(error as Error).message}`);
  }
};

const chains = await read();
for (const { tenant, count, first, last, headHash, faults } of chains) {
  for (const { number, id, reason } of faults)
    process.stdout.write(`${tenant} invoices: FAULT at ${number} (${id ?? 'no id'}): ${reason}\n`);
  if (faults.length === 0)
    process.stdout.write(`${tenant} invoices: ${count} as issued, ${first} to ${last}, head ${headHash}\n`);
}
const faults = chains.reduce((sum, chain) => sum + chain.faults.length, 0);
const count = chains.reduce((sum, chain) => sum + chain.count, 0);
process.stdout.write(`${count} invoices were checked; ${faults === 0 ? 'no fault' : `faults: ${faults}`}\n`);
if (faults > 0) process.exitCode = 1;
