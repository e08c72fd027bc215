/**
 * Messages that the sink put aside (dead-letters.nats.ts): `list [--json]`, which is also what happens without a word,
 * `show <sequence>`, and `re-drive <sequence>... | --all`. The exit code is 0 where all that was asked for was done,
 * and may be asked for again in any case.
 */
import { parseArgs } from 'node:util';
import { loadConfig, secretsOf } from '#platform/config/config.ts';
import { within } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { orExit } from '#platform/start/lifecycle.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { fromMessage, type UsageEvent } from '#schemas/usage-event.ts';
import { createPublish } from '../stream/usage-stream.nats.ts';
import { type DeadLetter, type DeadLetters, openDeadLetters } from './dead-letters.nats.ts';

const usage = `usage: npm run dead-letters [-- list [--json] | show <sequence> | re-drive <sequence>... | re-drive --all]`;

const connectMsMax = 10_000;
const shownBytesMax = 256;

type Command =
  | { readonly name: 'list'; readonly json: boolean }
  | { readonly name: 'show'; readonly sequence: number }
  | { readonly name: 're-drive'; readonly sequences: readonly number[] | 'all' };

const readCommand = (words: readonly string[]): Command => {
  const options = { json: { type: 'boolean', default: false }, all: { type: 'boolean', default: false } } as const;
  const { values, positionals } = parseArgs({ args: [...words], options, allowPositionals: true });
  const [name = 'list', ...rest] = positionals;
  const sequences = rest.map((word) => (/^[1-9]\d{0,15}$/.test(word) ? Number(word) : Number.NaN));
  if (sequences.some(Number.isNaN)) throw new Error(`a sequence is a whole number: ${rest.join(' ')}`);
  const [sequence] = sequences;
  if (name === 'list' && rest.length === 0 && !values.all) return { name, json: values.json };
  if (name === 'show' && sequence !== undefined && rest.length === 1 && !values.all && !values.json)
    return { name, sequence };
  if (name === 're-drive' && values.all !== rest.length > 0 && !values.json)
    return { name, sequences: values.all ? 'all' : sequences };
  throw new Error(`that can't be done: ${words.join(' ')}`);
};

const print = (line: string): void => void process.stdout.write(`${line}\n`);

const timeOf = (ms: number): string => new Date(ms).toISOString();

const toJson = ({ sequence, originalSequence, putAsideAtMs, body, events, reason, requestId }: DeadLetter) => ({
  sequence,
  original_sequence: originalSequence ?? null,
  put_aside_at: timeOf(putAsideAtMs),
  bytes: body.length,
  events: events ?? null,
  reason,
  request_id: requestId ?? null,
});

const list = async (letters: DeadLetters, json: boolean): Promise<boolean> => {
  const found: ReturnType<typeof toJson>[] = [];
  for await (const letter of letters.all()) found.push(toJson(letter));
  if (json) {
    print(JSON.stringify({ dead_letters: found }));
    return true;
  }
  if (found.length === 0) {
    print('There are no dead letters.');
    return true;
  }
  const head = ['SEQUENCE', 'ORIGINAL', 'PUT ASIDE', 'BYTES', 'EVENTS', 'REQUEST', 'REASON'];
  const rows = [
    head,
    ...found
      .map((one) => Object.values(one))
      .map(([a, b, c, d, e, reason, request]) => [a, b, c, d, e, request, reason]),
  ];
  const cells = rows.map((row) => row.map((cell) => String(cell ?? '-')));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  for (const row of cells)
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  return true;
};

const eventToJson = ({
  tenant,
  idempotencyKey,
  event,
  customer,
  occurredAtMs,
  receivedAtMs,
  properties,
}: UsageEvent) => ({
  tenant,
  idempotency_key: idempotencyKey,
  event,
  customer_id: customer,
  occurred_at: timeOf(occurredAtMs),
  received_at: timeOf(receivedAtMs),
  properties: Object.fromEntries(properties),
});

/** The events, one on a line; of what is no message its first bytes, in hexadecimal and as text. */
const contentsOf = (body: Buffer): string[] => {
  try {
    return fromMessage(body).map((event) => JSON.stringify(eventToJson(event)));
  } catch (error) {
    const rows = Array.from({ length: Math.ceil(Math.min(body.length, shownBytesMax) / 16) }, (_, row) => {
      const bytes = body.subarray(16 * row, Math.min(16 * row + 16, shownBytesMax));
      const hex = bytes.toString('hex').replace(/..(?=.)/g, '$& ');
      return `${(16 * row).toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${bytes.toString('latin1').replace(/[^\x20-\x7e]/g, '.')}`;
    });
    const head = `It can't be decoded (${(error as Error).message}); its first ${Math.min(body.length, shownBytesMax)} of ${body.length} bytes:`;
    return [head, ...rows];
  }
};

const show = async (letters: DeadLetters, sequence: number): Promise<boolean> => {
  const letter = await letters.find(sequence);
  if (!letter) {
    print(`There is no dead letter ${sequence}.`);
    return false;
  }
  for (const [name, value] of Object.entries(toJson(letter))) print(`${name}: ${value ?? '-'}`);
  for (const line of contentsOf(letter.body)) print(line);
  return true;
};

const redrive = async (letters: DeadLetters, asked: readonly number[] | 'all'): Promise<boolean> => {
  // Those that are there now: one that is put aside again meanwhile waits for the next time.
  const sequences = asked === 'all' ? await Array.fromAsync(letters.all(), ({ sequence }) => sequence) : asked;
  let done = 0;
  for (const sequence of sequences) {
    const published = await letters.redrive(sequence);
    if (published !== undefined) done += 1;
    print(
      published === undefined
        ? `There is no dead letter ${sequence}.`
        : `Dead letter ${sequence} is in the stream again, at ${published}.`,
    );
  }
  if (asked === 'all') print(`${done} of ${sequences.length} dead letters were re-driven.`);
  return asked === 'all' || done === sequences.length;
};

const run = async (letters: DeadLetters, command: Command): Promise<boolean> => {
  if (command.name === 'list') return list(letters, command.json);
  if (command.name === 'show') return show(letters, command.sequence);
  return redrive(letters, command.sequences);
};

/** The command that was asked for; where it is none, the process ends and says which there are. */
const readCommandOrExit = (): Command => {
  try {
    return readCommand(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${usage}\n`);
    process.exit(1);
  }
};

const config = orExit(() => loadConfig(process.env, ['natsUrl']));
const command = readCommandOrExit();
const log = createLog('dead-letters', config.logLevel, secretsOf(config), process.stderr);
try {
  const nats = await within(connectMsMax, connectNats(config.natsUrl, 'dead-letters', log));
  const publish = createPublish(nats, {
    streamName: config.streamName,
    timeoutMs: config.publishTimeoutMs,
    attemptsMax: config.publishAttemptsMax,
    onNoStream: () => {},
  });
  const done = await run(await openDeadLetters(nats, config.streamName, publish), command);
  await nats.close();
  process.exitCode = done ? 0 : 1;
} catch (error) {
  process.stderr.write(`The dead letters could not be worked on: ${(error as Error).message}\n`);
  process.exit(1);
}
