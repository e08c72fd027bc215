/**
 * The claims of ingest in memory, by the rules of the scripts in Redis (test/contract/claims.test.ts holds both to
 * them).
 */
import type { AcceptPorts, ClaimException } from '../../ingest/gateway/accept-events.ts';
import { claimBytes, digestBytes } from '../../ingest/parse/event-block.ts';
import type { GuardPorts } from '../../ingest/stream/stream-guard.ts';
import { adoptedPrefix } from '../../ingest/stream/stream-identity.ts';

/** A claim, and where it was taken over the time that its first try assigned. */
type Held = { readonly fingerprint: string; readonly batch: number; readonly firstMs?: number };

type Batch =
  | { readonly state: 'pending'; readonly leaseEnd: number; readonly assignedMs: number }
  | { readonly state: 'confirmed'; readonly sequence: number; readonly assignedMs: number }
  | { readonly state: 'released' };

type Voided = { readonly from: number; readonly to: number; readonly last: number };

export type ClaimsOptions = { readonly leaseSeconds: number; readonly windowSeconds: number };

export type ClaimsStore = {
  readonly open: (options: ClaimsOptions) => AcceptPorts['claims'];
  readonly knowledge: Pick<GuardPorts, 'readKnown' | 'voidBehind'>;
  /** A store that is down answers nothing, and keeps what it holds. */
  readonly setDown: (down: boolean) => void;
  readonly empty: () => void;
};

export const createClaimsStore = (clock: { readonly nowMs: () => number }): ClaimsStore => {
  /** By their length, and by their number. */
  const windowsOf = new Map<number, Map<number, Map<string, Held>>>();
  const batches = new Map<number, Batch>();
  let voided: Voided[] = [];
  let made = 0;
  let highest = 0;
  let stream = '';
  let down = false;
  const nowSeconds = (): number => Math.floor(clock.nowMs() / 1000);

  const isVoid = (batch: number, sequence: number): boolean =>
    voided.some(({ from, to, last }) => sequence >= from && sequence <= to && batch <= last);

  type Standing = Omit<ClaimException, 'position' | 'assignedMs'>;
  /** What stands against a claim of a key that is held; undefined where it is won from the first try. */
  const standingOf = (held: Held, fingerprint: string, own: number, now: number): Standing | undefined => {
    const batch = batches.get(held.batch);
    if (held.batch !== own && batch?.state === 'pending' && batch.leaseEnd >= now)
      return { status: 'in_flight', batch: held.batch };
    if (held.fingerprint !== fingerprint) return { status: 'conflict', batch: 0 };
    if (held.batch === own) return { status: 'in_flight', batch: held.batch };
    if (batch?.state === 'confirmed' && !isVoid(held.batch, batch.sequence)) return { status: 'duplicate', batch: 0 };
    return undefined;
  };

  const claimIn = (records: Buffer, assignedMs: number, { leaseSeconds, windowSeconds }: ClaimsOptions) => {
    made += 1;
    const batch = made;
    const now = nowSeconds();
    const window = Math.floor(now / windowSeconds);
    const windows = windowsOf.get(windowSeconds) ?? new Map<number, Map<string, Held>>();
    windowsOf.set(windowSeconds, windows);
    const current = windows.get(window) ?? new Map<string, Held>();
    windows.set(window, current);
    const older = windows.get(window - 1);
    for (const past of windows.keys()) if (past < window - 1) windows.delete(past);
    const exceptions: ClaimException[] = [];
    let won = false;
    for (let position = 0; position * claimBytes < records.length; position += 1) {
      const from = position * claimBytes;
      const digest = records.toString('hex', from, from + digestBytes);
      const fingerprint = records.toString('hex', from + digestBytes, from + claimBytes);
      const held = older?.get(digest) ?? current.get(digest);
      const first = held && batches.get(held.batch);
      if (!held || (held.batch !== batch && first?.state === 'released')) {
        older?.delete(digest);
        current.set(digest, { fingerprint, batch });
        won = true;
        continue;
      }
      const standing = standingOf(held, fingerprint, batch, now);
      if (standing) {
        exceptions.push({ position, assignedMs: 0, ...standing });
        continue;
      }
      const firstMs = held.firstMs ?? (first && first.state !== 'released' ? first.assignedMs : assignedMs);
      older?.delete(digest);
      current.set(digest, { fingerprint, batch, firstMs });
      won = true;
      exceptions.push({ position, status: 'taken_over', batch: 0, assignedMs: firstMs });
    }
    if (won) batches.set(batch, { state: 'pending', leaseEnd: now + leaseSeconds, assignedMs });
    return { batch, exceptions };
  };

  return {
    setDown: (value) => {
      down = value;
    },
    empty: () => {
      windowsOf.clear();
      batches.clear();
      voided = [];
      // The numbers of batches go on: one from before may be confirmed yet.
      [highest, stream] = [0, ''];
    },
    open: (options) => ({
      claim: async (records, assignedMs) => (down ? undefined : claimIn(records, assignedMs, options)),
      confirm: async (batch, sequence) => {
        if (down) return;
        const known = batches.get(batch);
        if (known?.state === 'pending')
          batches.set(batch, { state: 'confirmed', sequence, assignedMs: known.assignedMs });
        highest = Math.max(highest, sequence);
      },
      release: async (batch) => {
        if (!down && batches.get(batch)?.state === 'pending') batches.set(batch, { state: 'released' });
      },
    }),
    knowledge: {
      readKnown: async () => {
        if (down) throw new Error('the claims are away');
        return { highest: String(highest), stream };
      },
      voidBehind: async ({ lastSequence, streamId }, known = { highest: String(highest), stream }) => {
        if (down) throw new Error('the claims are away');
        // What was known of it by the time of its making stays known once it has an id.
        const isAdopted = streamId.startsWith(adoptedPrefix) && /^\d{4}-/.test(known.stream);
        const from = known.stream !== '' && known.stream !== streamId && !isAdopted ? 0 : lastSequence + 1;
        const isLost = known.highest !== '0' && Number(known.highest) >= from;
        if (!isLost || (known.stream !== stream && stream === streamId) || (from > 0 && highest < from)) {
          if (known.stream === stream) stream = streamId;
          return undefined;
        }
        const to = Number(known.highest);
        voided.push({ from, to, last: made });
        if (highest === to) highest = from === 0 ? 0 : lastSequence;
        stream = streamId;
        return { from, to };
      },
    },
  };
};
