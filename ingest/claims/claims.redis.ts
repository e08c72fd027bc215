/**
 * The hot deduplication window: claims on idempotency keys, in Redis hashes that stay small enough for its compact
 * encoding.
 *
 * A key's digest gives the bucket (2 bytes) and the field (8 bytes); a claim lies in the window of its arrival, and two
 * windows are looked up, so it is remembered for at least one whole window. A claim is 9 bytes: the payload's
 * fingerprint (4), and the batch that it came with (5). What is known of a batch stands once, for all of its claims:
 *
 *   'P' lease end (4, s)     assigned time (6, ms)   pending: being published
 *   'C' stream sequence (6)  assigned time (6)       confirmed: in the stream
 *   'R'                                              released: certainly not in the stream, so its keys are free
 *
 * A claim that was taken over from a batch whose lease ran out is 15 bytes: it keeps the time that its first try
 * assigned (6). One script per message and effect: a script is atomic in Redis, so of two gateways that claim a key at
 * the same moment one wins. Redis' own clock decides on leases and windows: gateways with skewed clocks agree.
 *
 * Rejected: the state beside each key (39 bytes a key against 24, and a confirmation as dear as a claim). Rejected: one
 * string a key (116 bytes).
 */
import type { Redis } from 'ioredis';
import type { AcceptPorts, ClaimAnswer, ClaimException } from '../gateway/accept-events.ts';
import { claimBytes } from '../parse/event-block.ts';
import type { GuardPorts } from '../stream/stream-guard.ts';
import { adoptedPrefix } from '../stream/stream-identity.ts';

/**
 * KEYS: the prefix. ARGV: records, window (s), lease (s), assigned time (6), the mark of the window as the caller knows
 * it, positions (2 each) of records whose bucket the caller touches for the first time in the window.
 *
 * A bucket gets its time to live when it is made; to ask Redis each time whether it was made costs as much as the
 * claim, so the caller remembers which buckets it touched. The mark is made with the window: where the caller's is
 * another, Redis was emptied or the window is new, and every bucket of the call gets its time.
 *
 * What is won anew moves from the older window to the current one, so that it is remembered from then on. The number of
 * a batch begins at a time in an emptied Redis: it must not be that of a batch from before, which may be confirmed yet.
 *
 * What another batch is working on is in flight for every payload: until that is published or its lease is over,
 * nothing stands that another payload could be in conflict with, and a conflict is final.
 *
 * `voided`: ranges of sequences that the stream lost (from, to, the last batch before the loss; 6 + 6 + 8 bytes): a
 * claim confirmed under one of these is void.
 */
const claimScript = `
local call, unpack, pack = redis.call, struct.unpack, struct.pack
local records, ttl = ARGV[1], ARGV[2] * 2 + ARGV[3]
local time = call('TIME')
local now = tonumber(time[1])
local window = math.floor(now / tonumber(ARGV[2]))
local current, older = KEYS[1] .. window .. ':', KEYS[1] .. (window - 1) .. ':'
local mark = call('GET', current .. 'mark')
if not mark then
  mark = pack('>I4I4', now, tonumber(time[2]))
  call('SET', current .. 'mark', mark, 'EX', ttl)
end
local isFresh = {}
for at = 1, #ARGV[6], 2 do isFresh[unpack('>I2', ARGV[6], at) * ${claimBytes} + 1] = true end
local allFresh = mark ~= ARGV[5]
local hasOlder = call('EXISTS', older .. 'mark') == 1
local voided = call('GET', KEYS[1] .. 'voided')
local batch = call('INCR', KEYS[1] .. 'batch')
if batch == 1 then
  batch = now % 500000 * 1000000 + tonumber(time[2])
  call('SET', KEYS[1] .. 'batch', string.format('%.0f', batch))
end
local tag = pack('>I5', batch)
local won = 0
local answer = { mark, pack('>I8', batch) }
local states = {}
local function stateOf(other)
  local state = states[other]
  if state == nil then
    state = call('HGET', KEYS[1] .. 'batch:' .. math.floor(other / 256), other % 256) or ''
    if state:byte(1) == 67 and voided then
      local sequence = unpack('>I6', state, 2)
      for at = 1, #voided, 20 do
        local from, to, last = unpack('>I6I6I8', voided, at)
        if sequence >= from and sequence <= to and other <= last then state = 'V......' .. state:sub(8, 13) end
      end
    end
    states[other] = state
  end
  return state
end
local function keep(from, to, field, value)
  if from ~= to then call('HDEL', from, field) end
  call('HSET', to, field, value)
  if from ~= to then call('EXPIRE', to, ttl, 'NX') end
end
local function except(at, code, detail) answer[#answer + 1] = pack('>I4', (at - 1) / ${claimBytes}) .. code .. detail end
for at = 1, #records, ${claimBytes} do
  local bucket, field, print = unpack('c2c8c4', records, at)
  local key = current .. bucket
  local held = hasOlder and call('HGET', older .. bucket, field)
  if held then key = older .. bucket
  elseif call('HSETNX', key, field, print .. tag) == 1 then
    if allFresh or isFresh[at] then call('EXPIRE', key, ttl, 'NX') end
    won = won + 1
  else held = call('HGET', key, field) end
  if held then
    local other = unpack('>I5', held, 5)
    local state = other == batch and 'P' or stateOf(other)
    local code = state:byte(1)
    if code == 82 then
      keep(key, current .. bucket, field, print .. tag)
      won = won + 1
    elseif code == 80 and other ~= batch and unpack('>I4', state, 2) >= now then except(at, 'F', pack('>I8', other))
    elseif held:sub(1, 4) ~= print then except(at, 'X', '........')
    elseif code == 67 then except(at, 'D', '........')
    elseif other == batch then except(at, 'F', pack('>I8', other))
    else
      local assigned = #held > 9 and held:sub(10) or (code == 80 and state:sub(6, 11)) or (code == 86 and state:sub(8, 13)) or ARGV[4]
      keep(key, current .. bucket, field, print .. tag .. assigned)
      won = won + 1
      except(at, 'A', '\\0\\0' .. assigned)
    end
  end
end
if won > 0 then
  local key = KEYS[1] .. 'batch:' .. math.floor(batch / 256)
  call('HSET', key, batch % 256, 'P' .. pack('>I4', now + tonumber(ARGV[3])) .. ARGV[4])
  call('EXPIRE', key, ttl)
end
return table.concat(answer)`;

/**
 * ARGV: window (s), lease (s), then for each batch its number and its sequence. The highest sequence of all is kept: a
 * stream that ends below it has lost some.
 */
const confirmScript = `
local call, pack = redis.call, struct.pack
local highest = tonumber(call('GET', KEYS[1] .. 'highest') or 0)
local before = highest
for at = 3, #ARGV, 2 do
  local batch, sequence = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local key = KEYS[1] .. 'batch:' .. math.floor(batch / 256)
  local state = call('HGET', key, batch % 256)
  if state and state:byte(1) == 80 then
    call('HSET', key, batch % 256, 'C' .. pack('>I6', sequence) .. state:sub(6, 11))
    call('EXPIRE', key, ARGV[1] * 2 + ARGV[2])
  end
  if sequence > highest then highest = sequence end
end
if highest > before then call('SET', KEYS[1] .. 'highest', string.format('%.0f', highest)) end
return 0`;

const releaseScript = `
local key = KEYS[1] .. 'batch:' .. math.floor(ARGV[1] / 256)
local state = redis.call('HGET', key, ARGV[1] % 256)
if state and state:byte(1) == 80 then redis.call('HSET', key, ARGV[1] % 256, 'R') end
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
const markBytes = 8;
const exceptionsFrom = markBytes + 8;
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
  return { batch: answer.readUIntBE(markBytes + 2, 6) + connection * numbersMax, exceptions };
};

export type ClaimsOptions = {
  /** Of the stream that the claimed events go to. */
  readonly streamName: string;
  readonly leaseSeconds: number;
  readonly windowSeconds: number;
  /** Called for each call that Redis did not answer. */
  readonly onFault: (error: unknown) => void;
};

/** Which buckets of the window surely have their time to live; the rest may not be there yet. */
const createTouchedBuckets = () => {
  const touched = new Uint8Array(65_536);
  let mark: Buffer = Buffer.alloc(markBytes);
  const bucketAt = (records: Buffer, position: number): number => records.readUInt16BE(position * claimBytes);
  return {
    mark: () => mark,
    /** Positions of the records in other buckets. */
    fresh: (records: Buffer): readonly number[] => {
      const positions: number[] = [];
      for (let position = 0; position * claimBytes < records.length; position += 1)
        if (touched[bucketAt(records, position)] === 0) positions.push(position);
      return positions;
    },
    /** Only what was won, under the mark that the call bore, shows that its bucket is there. */
    see: (
      answer: Buffer,
      sent: { readonly mark: Buffer; readonly records: Buffer; readonly fresh: readonly number[] },
    ): void => {
      const seen = answer.subarray(0, markBytes);
      if (!seen.equals(mark)) {
        touched.fill(0);
        mark = Buffer.from(seen);
      }
      if (!seen.equals(sent.mark)) return;
      const lost = new Set<number>();
      for (let at = exceptionsFrom; at < answer.length; at += exceptionBytes) lost.add(answer.readUInt32BE(at));
      for (const position of sent.fresh) if (!lost.has(position)) touched[bucketAt(sent.records, position)] = 1;
    },
    /** A call that was not answered may not have been made, and Redis may be another one afterwards. */
    forget: (): void => {
      touched.fill(0);
      mark = Buffer.alloc(markBytes);
    },
  };
};

const toPositions = (positions: readonly number[]): Buffer => {
  const bytes = Buffer.allocUnsafe(2 * positions.length);
  for (const [index, position] of positions.entries()) bytes.writeUInt16BE(position, 2 * index);
  return bytes;
};

export const createClaims = (redis: Redis, options: ClaimsOptions): AcceptPorts['claims'] => {
  type Script = (...args: (string | number | Buffer)[]) => Promise<Buffer>;
  const define = (name: string, lua: string): Script => {
    redis.defineCommand(name, { lua, numberOfKeys: 1 });
    const run = (redis as unknown as Record<string, Script>)[`${name}Buffer`] as Script;
    return (...args) => run.call(redis, claimsPrefixOf(options.streamName), ...args);
  };
  const claim = define('millrace_claim', claimScript);
  const confirm = define('millrace_confirm', confirmScript);
  const release = define('millrace_release', releaseScript);
  const buckets = createTouchedBuckets();
  const { windowSeconds, leaseSeconds, onFault } = options;
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
        const [mark, fresh, over] = [buckets.mark(), buckets.fresh(records), connection];
        const answer = await claim(records, windowSeconds, leaseSeconds, assigned, mark, toPositions(fresh));
        buckets.see(answer, { mark, records, fresh });
        return fromAnswer(answer, over);
      } catch (error) {
        // The keys may be claimed all the same. They are published, and the lease runs out.
        buckets.forget();
        onFault(error);
        return undefined;
      }
    },
    confirm: (batch, sequence) => quietly(async () => confirm(windowSeconds, leaseSeconds, numberOf(batch), sequence)),
    release: (batch) => quietly(async () => release(numberOf(batch))),
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
