/**
 * The script behind a claim. A script is atomic in Redis, so of two gateways that claim a key at the same moment one
 * wins. Redis' own clock decides on leases and on what is forgotten: gateways with skewed clocks agree.
 */
import { claimBytes } from '../parse/event-block.ts';
import {
  bytesPer,
  type ClaimsLayout,
  entryBytes,
  epochBytes,
  epochsPerWindow,
  headBytes,
  headFormat,
  impliedPlaces,
  stateBytes,
  statesPerText,
} from './claims-layout.ts';

/** Records that are read and written together: Lua can hand about 8,000 arguments to a command. */
const partRecordsMax = 1_000;

/**
 * KEYS: the prefix. ARGV: records, window (s), lease (s), assigned time (6), bytes that claims may take.
 *
 * The number of a batch begins at a time in an emptied Redis: it must not be that of a batch from before, which may be
 * confirmed yet. Without the head nothing of the window counts.
 */
const opening = ({ bucketsMin }: ClaimsLayout) => `
local call, read, pack, find, sub, byte = redis.call, struct.unpack, struct.pack, string.find, string.sub, string.byte
local floor, join, spread = math.floor, table.concat, unpack
local records, window, lease, bytes_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local ttl = window * 2 + lease
local time = call('TIME')
local now = tonumber(time[1])
local now_ms = now * 1000 + floor(tonumber(time[2]) / 1000)
local base = KEYS[1] .. ARGV[2] .. ':'
local keys, head = base .. 'keys', call('GET', base .. 'head')
local batch = call('INCR', KEYS[1] .. 'batch')
if batch == 1 then
  batch = now % 500000 * 1000000 + tonumber(time[2])
  call('SET', KEYS[1] .. 'batch', string.format('%.0f', batch))
  head = false
end
local held, live, buckets, text, oldest, oldest_ends, since, first, won_since
local closed = ''
if head then
  held, live, buckets, text, oldest, oldest_ends, since, first, won_since = read('${headFormat}', head)
  closed = sub(head, ${headBytes + 1})
end
if not head or batch < first then
  call('UNLINK', keys)
  held, live, buckets, text, oldest, oldest_ends = 0, 0, ${bucketsMin}, 0, batch, 0
  since, first, won_since, closed = now_ms, batch, 0, ''
end
local tag = pack('>I5', batch)
`;

/**
 * Epochs. A claim belongs to the one that its batch began in; epochs end after an eighth of the window, or with an
 * eighth of the bytes. One is forgotten as a whole: when its end is a window ago, or when all take more than six
 * eighths of the bytes. The rest is for what is forgotten and lies there until a neighbour is written: a few hundredths
 * where buckets are full, and as much as what counts where there are hardly as many keys as buckets.
 */
const epochs = ({ bucketsMin, bucketKeysMean }: ClaimsLayout) => `
local ends = since + window * ${1000 / epochsPerWindow}
local full_at = bytes_max / ${epochsPerWindow}
local bytes_since = won_since * ${bytesPer.entry + bytesPer.bucket / bucketKeysMean} +
  (batch - first) * ${bytesPer.state}
if now_ms >= ends or bytes_since >= full_at then
  if ends > now_ms then ends = now_ms end
  if closed == '' then oldest_ends = ends end
  closed = closed .. pack('>I6I6I6I6', since, ends, first, won_since)
  since, first, won_since = now_ms, batch, 0
  if call('EXPIRE', keys, ttl) == 0 then held, live, closed, buckets = 0, 0, '', ${bucketsMin} end
  if call('EXPIRE', base .. 'states:' .. (text - 1), ttl) == 0 then text = 0 end
end
local text_before = floor(oldest / ${statesPerText})
while closed ~= '' and (oldest_ends + window * 1000 <= now_ms or
    live * ${bytesPer.entry} + math.min(live, buckets) * ${bytesPer.bucket} + (batch - oldest) * ${bytesPer.state} >
    bytes_max - 2 * full_at) do
  live = live - read('>I6', closed, 19)
  closed = sub(closed, ${epochBytes + 1})
  if closed == '' then oldest = first else oldest_ends, oldest = read('>I6I6', closed, 7) end
end
if closed == '' then oldest = first end
for gone = text_before, floor(oldest / ${statesPerText}) - 1 do call('UNLINK', base .. 'states:' .. gone) end
if live == 0 and held > 0 then
  call('UNLINK', keys)
  held, buckets = 0, ${bucketsMin}
end
local low = ${impliedPlaces}
while low * 2 <= buckets do low = low * 2 end
local full = low * 2

local function epoch_of(other)
  if other >= first then return first end
  for at = #closed - ${epochBytes - 1}, 1, -${epochBytes} do
    local began = read('>I6', closed, at + 12)
    if other >= began then return began, at end
  end
end
local function leave(other)
  local _, at = epoch_of(other)
  if not at then won_since = won_since - 1
  else
    local count = pack('>I6', read('>I6', closed, at + 18) - 1)
    closed = sub(closed, 1, at + 17) .. count .. sub(closed, at + ${epochBytes})
  end
end
local function without_forgotten(value)
  local at = 1
  while at < #value and read('>I5', value, at + 12) < oldest do at = at + ${entryBytes} end
  return sub(value, at), (at - 1) / ${entryBytes}
end
`;

/**
 * What stands against a claim whose key is held.
 *
 * What another batch is working on is in flight for every payload: until that is published or its lease is over,
 * nothing stands that another payload could be in conflict with, and a conflict is final.
 *
 * `voided`: ranges of sequences that the stream lost (from, to, the last batch before the loss; 6 + 6 + 8 bytes): a
 * claim confirmed under one of these is void.
 */
const standing = `
local states, voided = {}, nil
local function state_of(other)
  local state = states[other]
  if state == nil then
    local from = other % ${statesPerText} * ${stateBytes}
    state = call('GETRANGE', base .. 'states:' .. floor(other / ${statesPerText}), from, from + ${stateBytes - 1})
    if byte(state) == 67 then
      if voided == nil then voided = call('GET', KEYS[1] .. 'voided') or '' end
      local sequence = read('>I6', state, 2)
      for at = 1, #voided, 20 do
        local from, to, last = read('>I6I6I8', voided, at)
        if sequence >= from and sequence <= to and other <= last then state = 'V......' .. sub(state, 8, 13) end
      end
    end
    states[other] = state
  end
  return state
end
local answer = { pack('>I8', batch) }
local function except(at, code, detail)
  answer[#answer + 1] = pack('>I4', (at - 1) / ${claimBytes}) .. code .. detail
end
local function is_won(at, other, is_same)
  local state = other == batch and 'P' or state_of(other)
  local code = byte(state)
  local digest = sub(records, at, at + 9)
  if code == 82 then
    call('HDEL', base .. 'taken:' .. first, digest)
    return true
  elseif code == 80 and other ~= batch and read('>I4', state, 2) >= now then except(at, 'F', pack('>I8', other))
  elseif not is_same then except(at, 'X', '........')
  elseif code == 67 then except(at, 'D', '........')
  elseif other == batch then except(at, 'F', pack('>I8', other))
  else
    local assigned = call('HGET', base .. 'taken:' .. epoch_of(other), digest) or
      (code == 80 and sub(state, 6, 11)) or (code == 86 and sub(state, 8, 13)) or ARGV[4]
    call('HSET', base .. 'taken:' .. first, digest, assigned)
    call('EXPIRE', base .. 'taken:' .. first, ttl)
    except(at, 'A', '\\0\\0' .. assigned)
    return true
  end
end
`;

/** The claims themselves: one command reads the buckets of up to 1,000, and one writes them. */
const claiming = `
local won = 0
for from = 1, #records, ${claimBytes * partRecordsMax} do
  local to, names, count = math.min(#records, from + ${claimBytes * partRecordsMax - 1}), {}, 0
  for at = from, to, ${claimBytes} do
    local place = read('<I6', records, at) % full
    if place >= buckets then place = place - low end
    count = count + 1
    names[count] = pack('>I4', place)
  end
  local values, outs, last, spots = call('HMGET', keys, spread(names)), {}, 0, {}
  local has_forgotten, is_new = held > live, held == 0
  local at = from
  for index = 1, count do
    local name, field = names[index], sub(records, at + 2, at + 9)
    local spot, value = spots[name], nil
    if spot then value = outs[spot]
    else
      value = values[index] or ''
      if has_forgotten and value ~= '' and read('>I5', value, 13) < oldest then
        local dropped
        value, dropped = without_forgotten(value)
        held = held - dropped
        outs[last + 1], outs[last + 2], last = name, value, last + 2
        spot, spots[name] = last, last
      end
    end
    local found = find(value, field, 1, true)
    while found and found % ${entryBytes} ~= 1 do found = find(value, field, found + 1, true) end
    local is_won_now = true
    if found then
      local other = read('>I5', value, found + 12)
      is_won_now = is_won(at, other, sub(value, found + 8, found + 11) == sub(records, at + 10, at + 13))
      if is_won_now then
        leave(other)
        held, live = held - 1, live - 1
        value = sub(value, 1, found - 1) .. sub(value, found + ${entryBytes})
      end
    end
    if is_won_now then
      won, held, live, won_since = won + 1, held + 1, live + 1, won_since + 1
      value = value .. sub(records, at + 2, at + 13) .. tag
      if spot then outs[spot] = value
      else
        outs[last + 1], outs[last + 2], last = name, value, last + 2
        spots[name] = last
      end
    end
    at = at + ${claimBytes}
  end
  if last > 0 then call('HSET', keys, spread(outs)) end
  if is_new and last > 0 then call('EXPIRE', keys, ttl) end
end
`;

/**
 * Linear hashing: buckets are split and joined one by one, in order, so that there are as many as their fill wants, and
 * a key has one place at any time. An entry goes along where its next bit is set. Those of a bucket stand in the order
 * of their batches. A call splits about as many as it makes necessary, and joins a few: it stays short.
 */
const growing = ({ bucketsMin, bucketKeysMean }: ClaimsLayout) => `
local wanted = math.min(floor(live / ${bucketKeysMean}), buckets + 64 + floor(2 * won / ${bucketKeysMean}))
while buckets < wanted do
  if buckets == full then low, full = full, full * 2 end
  local till = math.min(wanted, full, buckets + ${partRecordsMax})
  local parents, outs, last = {}, {}, 0
  for bucket = buckets, till - 1 do parents[bucket - buckets + 1] = pack('>I4', bucket - low) end
  local bit, offset = low / ${impliedPlaces}, 0
  while bit >= 256 do bit, offset = bit / 256, offset + 1 end
  for index, value in ipairs(call('HMGET', keys, spread(parents))) do
    if value then
      local stay, go = {}, {}
      local run, was = 1, false
      for at = 1, #value, ${entryBytes} do
        local is = byte(value, at + offset) % (bit * 2) >= bit
        if is ~= was then
          if at > run then
            local into = was and go or stay
            into[#into + 1] = sub(value, run, at - 1)
          end
          run, was = at, is
        end
      end
      local into = was and go or stay
      into[#into + 1] = sub(value, run)
      if #go > 0 then
        outs[last + 1], outs[last + 2] = parents[index], join(stay)
        outs[last + 3], outs[last + 4], last = pack('>I4', buckets + index - 1), join(go), last + 4
      end
    end
  end
  if last > 0 then call('HSET', keys, spread(outs)) end
  buckets = till
end
if won > 0 and live * 3 < buckets * ${bucketKeysMean} then
  for _ = 1, 64 do
    if buckets <= ${bucketsMin} then break end
    buckets = buckets - 1
    if buckets < low then low = low / 2 end
    local into, from = pack('>I4', buckets - low), pack('>I4', buckets)
    local both, entries = call('HMGET', keys, into, from), {}
    for _, value in ipairs(both) do
      value = value or ''
      local rest, dropped = without_forgotten(value)
      held = held - dropped
      for at = 1, #rest, ${entryBytes} do entries[#entries + 1] = sub(rest, at, at + ${entryBytes - 1}) end
    end
    table.sort(entries, function(one, other) return read('>I5', one, 13) < read('>I5', other, 13) end)
    if both[2] then call('HDEL', keys, from) end
    if #entries > 0 then call('HSET', keys, into, join(entries)) elseif both[1] then call('HDEL', keys, into) end
  end
end
`;

const closing = `
if won > 0 then
  local own = floor(batch / ${statesPerText})
  local key = base .. 'states:' .. own
  if own + 1 ~= text then
    call('SETRANGE', key, ${statesPerText * stateBytes - 1}, '\\0')
    call('EXPIRE', key, ttl)
    text = own + 1
  end
  local state = 'P' .. pack('>I4', now + lease) .. ARGV[4] .. '\\0\\0'
  call('SETRANGE', key, batch % ${statesPerText} * ${stateBytes}, state)
end
head = pack('${headFormat}', held, live, buckets, text, oldest, oldest_ends, since, first, won_since) .. closed
call('SET', base .. 'head', head, 'EX', ttl)
return join(answer)`;

/** Answers the batch's number (8), and 13 bytes for each claim that was not simply won: position, code, detail. */
export const claimScriptOf = (layout: ClaimsLayout): string =>
  opening(layout) + epochs(layout) + standing + claiming + growing(layout) + closing;
