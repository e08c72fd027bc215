/**
 * The hot deduplication window: claims on idempotency keys, in Redis hashes that stay small enough for its compact encoding.
 *
 * A key's digest gives the bucket (2 bytes) and the field (10 bytes); a claim lies in the window of its arrival, and two windows are looked
 * up, so it is remembered for at least one whole window. Values:
 *   pending    'P' lease end (4 bytes, s) token (4) fingerprint (6) assigned time (6, ms)
 *   confirmed  'C' fingerprint (6) stream sequence (6)
 * One script per request and effect: a script is atomic in Redis, so of two gateways that claim a key at the same moment one wins.
 * Redis' own clock decides on leases and windows: gateways with skewed clocks agree.
 */
import type { Redis } from 'ioredis';
import type { AcceptPorts, Claim, ClaimAnswer } from './accept-events.ts';

const recordBytes = 24; // bucket 2, field 10, fingerprint 6, assigned time 6

const preamble = `
local now = tonumber(redis.call('TIME')[1])
local window = math.floor(now / tonumber(ARGV[2]))
local function keyIn(w, bucket) return KEYS[1] .. ':' .. w .. ':' .. bucket end
local records = ARGV[1]
local answer = {}
for at = 0, #records - 1, ${recordBytes} do
  local bucket, field, print = records:sub(at + 1, at + 2), records:sub(at + 3, at + 12), records:sub(at + 13, at + 18)
  local key = keyIn(window, bucket)
  local held = redis.call('HGET', key, field)
  if not held then
    local older = keyIn(window - 1, bucket)
    held = redis.call('HGET', older, field)
    if held then key = older end
  end
`;

const scripts = {
  // Time is counted in whole seconds, so a lease lasts up to a second longer than asked, and never less.
  // A claim whose lease ran out may or may not be in the stream. The same payload is published again (the store removes a twin); another
  // payload is a conflict, since to accept it could bill it as well or leave it out in silence.
  claim: `${preamble}
  local function pend(k, assigned)
    redis.call('HSET', k, field, 'P' .. struct.pack('>I4', now + tonumber(ARGV[4])) .. ARGV[3] .. print .. assigned)
    redis.call('EXPIRE', k, ARGV[2] * 2 + ARGV[4], 'NX')
  end
  local assigned = records:sub(at + 19, at + 24)
  if not held then
    pend(key, assigned)
    answer[#answer + 1] = 'W' .. assigned
  elseif held:byte(1) == 67 then
    answer[#answer + 1] = (held:sub(2, 7) == print and 'D' or 'X') .. '......'
  elseif held:sub(10, 15) ~= print then
    answer[#answer + 1] = 'X......'
  elseif struct.unpack('>I4', held:sub(2, 5)) >= now then
    answer[#answer + 1] = 'F......'
  else
    pend(key, held:sub(16, 21))
    answer[#answer + 1] = 'A' .. held:sub(16, 21)
  end
end
return table.concat(answer)`,
  confirm: `${preamble}
  if not held or held:byte(1) == 80 then
    redis.call('HSET', key, field, 'C' .. print .. ARGV[3])
    redis.call('EXPIRE', key, ARGV[2] * 2, 'NX')
  end
end
return 0`,
  release: `${preamble}
  if held and held:byte(1) == 80 and held:sub(6, 9) == ARGV[3] then redis.call('HDEL', key, field) end
end
return 0`,
} as const;

const toRecords = (claims: readonly Claim[]): Buffer => {
  const records = Buffer.alloc(claims.length * recordBytes);
  claims.forEach(({ digest, fingerprint, assignedMs }, position) => {
    const at = position * recordBytes;
    digest.copy(records, at, 0, 12);
    fingerprint.copy(records, at + 12, 0, 6);
    records.writeUIntBE(assignedMs, at + 18, 6);
  });
  return records;
};

const sixBytes = (value: number): Buffer => {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
};

const answerStatus: Record<number, 'duplicate' | 'conflict' | 'in_flight'> = { 68: 'duplicate', 88: 'conflict', 70: 'in_flight' };
/** A claim that was won again, after the lease of an earlier try ran out. */
const wonAgain = 65;
const answerBytes = 7;

const fromAnswer = (answer: Buffer): ClaimAnswer[] =>
  Array.from({ length: answer.length / answerBytes }, (_, position) => {
    const at = position * answerBytes;
    const status = answerStatus[answer[at] ?? 0];
    return status ? { status } : { status: 'won', assignedMs: answer.readUIntBE(at + 1, 6), mayBeStored: answer[at] === wonAgain };
  });

export type ClaimsOptions = {
  readonly leaseSeconds: number;
  readonly windowSeconds: number;
  /** Keys of one script call: Redis does nothing else meanwhile, so the call is kept under a few milliseconds. */
  readonly claimsPerCallMax: number;
  readonly onFault: (error: unknown) => void;
};

export const createClaims = (redis: Redis, options: ClaimsOptions): AcceptPorts['claims'] => {
  // The braces are a cluster's hash tag: all buckets lie on one shard.
  const prefix = '{claims}';
  for (const [name, lua] of Object.entries(scripts)) redis.defineCommand(`millrace_${name}`, { lua, numberOfKeys: 1 });
  type Script = (...args: (string | number | Buffer)[]) => Promise<Buffer>;
  const run = (name: keyof typeof scripts, claims: readonly Claim[], ...rest: (string | number | Buffer)[]): Promise<Buffer>[] => {
    const script = (redis as unknown as Record<string, Script>)[`millrace_${name}Buffer`];
    const calls: Promise<Buffer>[] = [];
    for (let from = 0; from < claims.length; from += options.claimsPerCallMax) {
      const records = toRecords(claims.slice(from, from + options.claimsPerCallMax));
      calls.push((script as Script).call(redis, prefix, records, options.windowSeconds, ...rest));
    }
    return calls;
  };
  const quietly = async (work: () => Promise<unknown>[]): Promise<void> => {
    try {
      await Promise.all(work());
    } catch (error) {
      options.onFault(error);
    }
  };
  return {
    claim: async (claims, token) => {
      try {
        const answers = await Promise.all(run('claim', claims, token, options.leaseSeconds));
        return answers.flatMap(fromAnswer);
      } catch (error) {
        // With several calls some keys may be claimed by now. They are published all the same, and their leases run out.
        options.onFault(error);
        return undefined;
      }
    },
    confirm: (claims, sequence) => quietly(() => run('confirm', claims, sixBytes(sequence))),
    release: (claims, token) => quietly(() => run('release', claims, token)),
  };
};
