/**
 * Keeps claims from knowing more than the stream [I5]. A stream that lost its end (a power cut where writes are not
 * synced, a copy of its files put back, a stream that had to be made again) no longer holds events that the claims call
 * duplicates. So while the server is away no claim is answered, and whenever the gateway meets it anew:
 *
 *   1. it reads the highest sequence that was ever confirmed;
 *   2. it asks the stream where it ends; until then nothing is published;
 *   3. what was confirmed behind that end is void: a retry of it is accepted again. Until then no claim is answered;
 *   4. the range is reported.
 *
 * In this order, since other gateways go on confirming: what they confirm after step 1 proves nothing about an end that
 * was read before. Where Redis is away, step 3 waits for it with the end as it was in step 2: what is published
 * meanwhile must not cover the gap up.
 *
 * A Redis that comes back may be an older copy of itself, which knows again what was void. It is compared in the same
 * way, but publishing goes on meanwhile: the server was not away, and without claims the store tells twins apart. A
 * loss that was covered up since then is not seen any more.
 */
import type { Clock } from '#platform/process/clock.ts';
import { type AcceptPorts, PublishError } from '../gateway/accept-events.ts';
import type { DetectedLoss } from '../gateway/report-counts.ts';

export type StreamEnd = {
  readonly lastSequence: number;
  /** Tells the stream from one that was made in its place (stream-identity.ts). */
  readonly streamId: string;
};

/** What the claims know of the stream; texts, as Redis keeps them. */
type Known = { readonly highest: string; readonly stream: string };

/**
 * Sequences that were acknowledged once and that the stream does not hold any more. From 0: the whole of a stream that
 * is gone.
 */
export type Loss = { readonly from: number; readonly to: number };

export type GuardPorts = {
  /** Throws where Redis does not answer. */
  readonly readKnown: () => Promise<Known>;
  /** Makes the stream where it is gone, and says where it ends. Throws where the server does not answer. */
  readonly readEnd: () => Promise<StreamEnd>;
  /**
   * Voids what was confirmed behind the end, and says what that was; once, of several gateways that ask. Throws where
   * Redis does not answer.
   */
  readonly voidBehind: (end: StreamEnd, known: Known | undefined) => Promise<Loss | undefined>;
  readonly onLoss: (loss: DetectedLoss) => void;
  readonly onFault: (error: unknown) => void;
  readonly pause: () => Promise<void>;
  readonly clock: Clock;
};

export type StreamGuard = {
  /** Whether the stream has said where it ends since the server was met last. */
  readonly mayPublish: () => boolean;
  /**
   * To be called when the server goes: nobody can say what it holds, neither publishing nor claims go on before it was
   * met again.
   */
  readonly leave: () => void;
  /** To be called at the start and when the server was away. Resolves once it may be published. */
  readonly meet: () => Promise<void>;
  /**
   * To be called when Redis goes: no claim is answered any more before Redis and the stream were compared. Publishing
   * goes on.
   */
  readonly leaveClaims: () => void;
  /** To be called when Redis is back. */
  readonly meetClaims: () => Promise<void>;
  /** The claims, compared first where they have to be. */
  readonly guarded: (claims: AcceptPorts['claims']) => AcceptPorts['claims'];
};

type Meeting = { readonly end: StreamEnd; readonly known: Known | undefined; readonly askedAtMs: number };

export const createStreamGuard = (ports: GuardPorts): StreamGuard => {
  let meetings = 0;
  let met = -1;
  /** The first meeting whose end was not compared yet: later ones may lie behind what was published over the gap. */
  let open: Meeting | undefined;
  /** Whether Redis went, or came back, since it was read last. */
  let isRedisNew = false;
  let comparing: Promise<void> | undefined;

  const read = async (): Promise<Meeting> => {
    const known = await ports.readKnown().catch((error) => {
      ports.onFault(error);
      return undefined;
    });
    return { askedAtMs: ports.clock.nowMs(), end: await ports.readEnd(), known };
  };
  /** Of several that were not compared yet, the lowest end counts, and that of a new stream. */
  const keep = (meeting: Meeting): void => {
    open ??= meeting;
    if (meeting.end.streamId !== open.end.streamId || meeting.end.lastSequence < open.end.lastSequence) open = meeting;
  };
  /** Both anew, or nothing: of an end from before Redis came back, what others confirmed meanwhile would look lost. */
  const readAgain = async (): Promise<void> => {
    isRedisNew = false;
    try {
      const known = await ports.readKnown();
      keep({ askedAtMs: ports.clock.nowMs(), end: await ports.readEnd(), known });
    } catch (error) {
      isRedisNew = true;
      throw error;
    }
  };
  const compare = async (): Promise<void> => {
    while (open || isRedisNew) {
      if (isRedisNew) await readAgain();
      const meeting = open;
      if (!meeting) continue;
      const loss = await ports.voidBehind(meeting.end, meeting.known);
      // Another meeting meanwhile has an end of its own to compare.
      if (open === meeting) open = undefined;
      if (loss) ports.onLoss({ ...loss, detectedAtMs: meeting.askedAtMs });
    }
  };
  const compared = (): Promise<void> => {
    comparing ??= compare().finally(() => {
      comparing = undefined;
    });
    return comparing;
  };
  return {
    mayPublish: () => met === meetings,
    leave: () => {
      meetings += 1;
    },
    meet: async () => {
      meetings += 1;
      const own = meetings;
      while (own === meetings && met !== meetings) {
        try {
          const meeting = await read();
          if (own !== meetings) return;
          keep(meeting);
          met = own;
        } catch (error) {
          ports.onFault(error);
          await ports.pause();
        }
      }
      await compared().catch(ports.onFault);
    },
    leaveClaims: () => {
      isRedisNew = true;
    },
    meetClaims: async () => {
      isRedisNew = true;
      await compared().catch(ports.onFault);
    },
    guarded: (claims) => ({
      ...claims,
      claim: async (records, assignedMs) => {
        if (met !== meetings) throw new PublishError(false, new Error('the stream has not said yet where it ends'));
        if (open || isRedisNew || comparing) {
          try {
            await compared();
          } catch (error) {
            // Claims that can't be compared can't be trusted: the store tells twins apart.
            ports.onFault(error);
            return undefined;
          }
        }
        return claims.claim(records, assignedMs);
      },
    }),
  };
};
