/**
 * `npm run test:clients`: what generators make of the OpenAPI documents. Starts everything as the tests do, takes the
 * documents of both hosts, makes four clients of them, compiles each strictly with a program that meters, plans, sends
 * events, bills a month and reads the invoice, runs it, and compares what it found. Ends with 1 where one of that
 * fails, and where a language is missing: nothing is left out in silence.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchDocument } from '../support/contract.ts';
import { lastMonth, type Pipeline, startPipeline, startTestServers } from '../support/pipeline.ts';
import { runProgram } from './run-program.ts';
import { type Client, type Toolchain, toolchains } from './toolchains.ts';

const print = (line: string): void => void process.stderr.write(`millrace  ${line}\n`);
const here = fileURLToPath(new URL('.', import.meta.url));
/** Stays from run to run, whatever the home of the servers is. */
const toolsFolder = fileURLToPath(new URL('../../.millrace/tools/', import.meta.url));

/** What every program finds, in every language. */
const expected = {
  location: true,
  contract: '2026-117',
  tiers: ['1000', null],
  again: 'CUSTOMER_ALREADY_EXISTS',
  single: [1, 1],
  batch: [2, 1],
  rejected: 'event',
  usage: '2000',
  run: ['completed', 1],
  total: '24.00',
  lines: [
    ['9.00', 'flat 1'],
    ['15.00', 'units 1000', 'units 1000'],
  ],
  stale: 'VERSION_MISMATCH',
  missing: [404, 'INVOICE_NOT_FOUND'],
  deleted: 204,
};

const missingLanguages = async (): Promise<string[]> => {
  const asked = toolchains.map(({ language, needs: { words, cure } }) =>
    runProgram(words, { cwd: here }).then(
      () => [],
      (error: Error) => [`${language} is missing (${error.message.split('\n')[0]}): ${cure}`],
    ),
  );
  return (await Promise.all(asked)).flat();
};

/** A folder with the documents and the programs of the language. */
const prepareWork = (folder: string, { language }: Toolchain, documents: Readonly<Record<string, unknown>>): string => {
  const work = join(folder, language);
  cpSync(join(here, language), work, { recursive: true });
  mkdirSync(join(work, 'documents'));
  for (const [host, document] of Object.entries(documents))
    writeFileSync(join(work, 'documents', `${host}.json`), JSON.stringify(document));
  return work;
};

const tryClient = async ({ name, words }: Client, work: string, { stack, key }: Pipeline): Promise<void> => {
  const month = lastMonth();
  const environment = {
    MILLRACE_API: stack.apiUrl.replace(/\/$/, ''),
    MILLRACE_INGEST: stack.ingestUrl.replace(/\/$/, ''),
    MILLRACE_KEY: key,
    MILLRACE_NAME: name,
    MILLRACE_MONTH: month.name,
    MILLRACE_MONTH_START: new Date(month.start).toISOString(),
    MILLRACE_OCCURRED_AT: new Date(month.end - 1_000).toISOString(),
  };
  assert.deepEqual(
    JSON.parse(await runProgram(words, { cwd: work, environment })),
    expected,
    `what the client of ${name} found`,
  );
};

const secondsSince = (begin: number): string => `${((performance.now() - begin) / 1_000).toFixed(1)} s`;

/** Gives what failed. */
const tryToolchain = async (
  toolchain: Toolchain,
  tools: string,
  work: string,
  pipeline: Pipeline,
): Promise<string[]> => {
  const begin = performance.now();
  try {
    const clients = await toolchain.build(work, tools);
    print(`${toolchain.language}: generated and compiled, ${secondsSince(begin)}`);
    const tried = clients.map(async (client) => {
      const asked = performance.now();
      await tryClient(client, work, pipeline);
      print(`${client.name}: everything as expected, ${secondsSince(asked)}`);
    });
    return (await Promise.allSettled(tried)).flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
  } catch (error) {
    return [String(error)];
  }
};

const missing = await missingLanguages();
if (missing.length > 0) {
  for (const line of missing) print(line);
  process.exit(1);
}
const begin = performance.now();
const folder = mkdtempSync(join(tmpdir(), 'millrace-clients-'));
const installing = Promise.all(toolchains.map((toolchain) => toolchain.install(toolsFolder)));
// Told where it is awaited.
installing.catch(() => {});
const servers = await startTestServers();
const faults: string[] = [];
try {
  const pipeline = await startPipeline(servers.urls);
  try {
    const [api, ingest] = await Promise.all([
      fetchDocument(pipeline.stack.apiUrl),
      fetchDocument(pipeline.stack.ingestUrl),
    ]);
    const tools = await installing;
    print(`servers and generators are ready, ${secondsSince(begin)}`);
    const tried = toolchains.map((toolchain, index) =>
      tryToolchain(toolchain, tools[index] ?? '', prepareWork(folder, toolchain, { api, ingest }), pipeline),
    );
    faults.push(...(await Promise.all(tried)).flat());
  } finally {
    await pipeline.stop();
  }
} finally {
  await servers.stop();
  rmSync(folder, { recursive: true, force: true });
}
for (const fault of faults) print(fault);
print(`${faults.length === 0 ? 'four clients do the same' : `${faults.length} failures`}, ${secondsSince(begin)}`);
process.exitCode = faults.length === 0 ? 0 : 1;
