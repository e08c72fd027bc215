/**
 * The hot deduplication window: claims on idempotency keys, in one Redis hash of small buckets (claims-layout.ts).
 *
 * A key's digest gives its bucket and 8 bytes; a claim is these, the payload's fingerprint (4), and the batch that it
 * came with (5). What is known of a batch stands once, for all of its claims, in 13 bytes:
 *
 *   'P' lease end (4, s)     assigned time (6, ms)   pending: being published
 *   'C' stream sequence (6)  assigned time (6)       confirmed: in the stream
 *   'R'                                              released: certainly not in the stream, so its keys are free
 *
 * The number of a batch tells the epoch of its claims, an eighth of the window. So nothing is looked up twice, and
 * what is forgotten is left out of a bucket when a neighbour is written.
 *
 * Rejected: the state beside each key (39 bytes a key against 24, and a confirmation as dear as a claim). Rejected: one
 * string a key (116 bytes). Rejected: a Redis hash a bucket, two windows of them: a command for each key and window.
 */
import type { Redis } from 'ioredis';
import type { Clock } from '#platform/process/clock.ts';
import type { AcceptPorts, ClaimAnswer, ClaimException } from '../gateway/accept-events.ts';
import type { GuardPorts } from '../stream/stream-guard.ts';
import { adoptedPrefix } from '../stream/stream-identity.ts';
import { claimScriptOf } from './claim-script.ts';
import {
  type ClaimsHeld,
  type ClaimsLayout,
  claimsLayout,
  heldOf,
  stateBytes,
  statesPerText,
} from './claims-layout.ts';

/**
 * ARGV: window (s), then for each batch its number and its sequence. The highest sequence of all is kept: a stream that
 * ends below it has lost some.
 */
const confirmScript = `
local call, pack = redis.call, struct.pack
local highest = tonumber(call('GET', KEYS[1] .. 'highest') or 0)
local before = highest
for at = 2, #ARGV, 2 do
  local batch, sequence = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local key = KEYS[1] .. ARGV[1] .. ':states:' .. math.floor(batch / ${statesPerText})
  local from = batch % ${statesPerText} * ${stateBytes}
  local state = call('GETRANGE', key, from, from + ${stateBytes - 1})
  if state:byte(1) == 80 then call('SETRANGE', key, from, 'C' .. pack('>I6', sequence) .. state:sub(6, 11)) end
  if sequence > highest then highest = sequence end
end
if highest > before then call('SET', KEYS[1] .. 'highest', string.format('%.0f', highest)) end
return 0`;

/** ARGV: window (s), the batch's number. */
const releaseScript = `
local key = KEYS[1] .. ARGV[1] .. ':states:' .. math.floor(ARGV[2] / ${statesPerText})
local from = ARGV[2] % ${statesPerText} * ${stateBytes}
if redis.call('GETRANGE', key, from, from) == 'P' then redis.call('SETRANGE', key, from, 'R') end
return 0`;

/**
 * ARGV: where the stream ends and which stream it is; the highest sequence and the stream as they were read before
 * that, or nothing. What was confirmed behind the end by then is void, for the batches so far; of another stream
 * everything is. What is confirmed meanwhile at the same sequences, by a batch from before, is void with it: then a
 * retry is published again, and the store removes the twin. A stream that had no id was known by the time of its
 * making, and is the same one. Only the last ranges are kept: the claims of the older ones are long out of their
 * window.
 */
const voidScript = `
local call, pack = redis.call, struct.pack
local ends, stream = tonumber(ARGV[1]), ARGV[2]
local highest, known = call('GET', KEYS[1] .. 'highest') or '0', call('GET', KEYS[1] .. 'stream') or ''
local then_highest, then_known = ARGV[3] or highest, ARGV[4] or known
local from = ends + 1
local is_adopted = stream:sub(1, ${adoptedPrefix.length}) == '${adoptedPrefix}' and then_known:match('^%d%d%d%d%-')
if then_known ~= '' and then_known ~= stream and not is_adopted then from = 0 end
local lost = then_highest ~= '0' and tonumber(then_highest) >= from
local voided_already = then_known ~= known and known == stream or from > 0 and tonumber(highest) < from
if not lost or voided_already then
  if then_known == known then call('SET', KEYS[1] .. 'stream', stream) end
  return {}
end
local last = tonumber(call('GET', KEYS[1] .. 'batch') or 0)
local voided = (call('GET', KEYS[1] .. 'voided') or '') .. pack('>I6I6I8', from, tonumber(then_highest), last)
call('SET', KEYS[1] .. 'voided', voided:sub(-2000))
if highest == then_highest then call('SET', KEYS[1] .. 'highest', from == 0 and '0' or string.format('%.0f', ends)) end
call('SET', KEYS[1] .. 'stream', stream)
return { string.format('%.0f', from), then_highest }`;

/**
 * Two installations may share a Redis under two stream names, and what is known of a stream belongs to that one. The
 * braces are a cluster's hash tag: all buckets lie on one shard.
 */
export const claimsPrefixOf = (streamName: string): string => `{claims ${streamName}}:`;

const codes: Record<number, ClaimException['status']> = {
  65: 'taken_over',
  68: 'duplicate',
  70: 'in_flight',
  88: 'conflict',
};
const exceptionsFrom = 8;
const exceptionBytes = 13;

/**
 * A batch is named by its number and the connection that it was claimed over: a Redis that comes back as an older copy
 * of itself, or a replica that took its place, gives the numbers since then a second time, and to confirm or release
 * one of before would be to do so for the events of somebody else. What belongs to a former connection is left to its
 * lease.
 */
const numbersMax = 2 ** 40;
const connectionsMax = 2 ** 12;

const fromAnswer = (answer: Buffer, connection: number): ClaimAnswer => {
  const exceptions: ClaimException[] = [];
  for (let at = exceptionsFrom; at < answer.length; at += exceptionBytes) {
    const status = codes[answer[at + 4] as number] as ClaimException['status'];
    const detail = status === 'taken_over' || status === 'in_flight' ? answer.readUIntBE(at + 7, 6) : 0;
    exceptions.push({
      position: answer.readUInt32BE(at),
      status,
      batch: status === 'in_flight' ? detail + connection * numbersMax : 0,
      assignedMs: status === 'taken_over' ? detail : 0,
    });
  }
  return { batch: answer.readUIntBE(2, 6) + connection * numbersMax, exceptions };
};

export type ClaimsOptions = {
  /** Of the stream that the claimed events go to. */
  readonly streamName: string;
  readonly leaseSeconds: number;
  readonly windowSeconds: number;
  /** What claims may take of Redis: above it the oldest are forgotten early. */
  readonly bytesMax: number;
  /** Another one in tests, where buckets are to be split early. */
  readonly layout?: ClaimsLayout;
  /** Called for each call that Redis did not answer. */
  readonly onFault: (error: unknown) => void;
};

export const createClaims = (redis: Redis, options: ClaimsOptions): AcceptPorts['claims'] => {
  type Script = (...args: (string | number | Buffer)[]) => Promise<Buffer>;
  const define = (name: string, lua: string): Script => {
    redis.defineCommand(name, { lua, numberOfKeys: 1 });
    const run = (redis as unknown as Record<string, Script>)[`${name}Buffer`] as Script;
    return (...args) => run.call(redis, claimsPrefixOf(options.streamName), ...args);
  };
  const claim = define('millrace_claim', claimScriptOf(options.layout ?? claimsLayout));
  const confirm = define('millrace_confirm', confirmScript);
  const release = define('millrace_release', releaseScript);
  const { windowSeconds, leaseSeconds, bytesMax, onFault } = options;
  let connection = 0;
  redis.on('close', () => {
    connection = (connection + 1) % connectionsMax;
  });
  const numberOf = (batch: number): number => {
    if (Math.floor(batch / numbersMax) !== connection)
      throw new Error('the connection over which it was claimed is gone');
    return batch % numbersMax;
  };
  const quietly = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      onFault(error);
    }
  };
  return {
    claim: async (records, assignedMs) => {
      try {
        const assigned = Buffer.alloc(6);
        assigned.writeUIntBE(assignedMs, 0, 6);
        const over = connection;
        return fromAnswer(await claim(records, windowSeconds, leaseSeconds, assigned, bytesMax), over);
      } catch (error) {
        // The keys may be claimed all the same. They are published, and the lease runs out.
        onFault(error);
        return undefined;
      }
    },
    confirm: (batch, sequence) => quietly(async () => confirm(windowSeconds, numberOf(batch), sequence)),
    release: (batch) => quietly(async () => release(windowSeconds, numberOf(batch))),
  };
};

/**
 * What the claims know of the stream, and how it is brought in line with where the stream ends. Both throw where Redis
 * does not answer.
 */
export const createStreamKnowledge = (
  redis: Redis,
  streamName: string,
): Pick<GuardPorts, 'readKnown' | 'voidBehind'> => {
  const prefix = claimsPrefixOf(streamName);
  redis.defineCommand('millrace_void', { lua: voidScript, numberOfKeys: 1 });
  type Script = (prefix: string, ...args: (string | number)[]) => Promise<string[]>;
  const run = (redis as unknown as Record<string, Script>).millrace_void as Script;
  return {
    readKnown: async () => {
      const [highest, stream] = await redis.mget(`${prefix}highest`, `${prefix}stream`);
      return { highest: highest ?? '0', stream: stream ?? '' };
    },
    voidBehind: async ({ lastSequence, streamId }, known) => {
      const [from, to] = await run.call(
        redis,
        prefix,
        lastSequence,
        streamId,
        ...(known ? [known.highest, known.stream] : []),
      );
      return from === undefined ? undefined : { from: Number(from), to: Number(to) };
    },
  };
};

/** What the claims of a stream take, for the metrics. Throws where Redis does not answer. */
export const createReadClaimsHeld = (
  redis: Redis,
  { streamName, windowSeconds }: Pick<ClaimsOptions, 'streamName' | 'windowSeconds'>,
  clock: Clock,
): (() => Promise<ClaimsHeld>) => {
  const prefix = claimsPrefixOf(streamName);
  return async () => {
    const [head, batch] = await redis.mgetBuffer(`${prefix}${windowSeconds}:head`, `${prefix}batch`);
    return heldOf(head ?? null, Number(batch?.toString() ?? 0), clock.nowMs());
  };
};
