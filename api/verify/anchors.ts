/**
 * Anchors: heads of chains that were noted elsewhere, one JSON object per line. Whoever may write to the database can
 * rewrite a chain together with its head, and it then verifies; what was noted before in another place can't be made to
 * agree. A file only grows: with a line of every day it says not only that a chain was rewritten but between which two
 * days' heads.
 */
const chainNames = ['audit', 'invoices', 'credit_notes'] as const;
export type ChainName = (typeof chainNames)[number];

/**
 * The last link of a chain at some time. `number` is a sequence of a lane of the audit log, or the number of an invoice
 * or credit note.
 */
export type Anchor = {
  readonly organizationId: string;
  readonly chain: ChainName;
  /** Of the audit log; 0 for invoices and credit notes, and for lines from before there were several. */
  readonly lane: number;
  readonly number: number;
  readonly hash: string;
};

/** A line that is none: half written, or of another file. */
class AnchorError extends Error {
  override readonly name = 'AnchorError';
}

const isChain = (name: unknown): name is ChainName => chainNames.some((chain) => chain === name);
const hashShape = /^[0-9a-f]{64}$/;

const parseLine = (line: string): Record<string, unknown> => {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
};

const anchorFrom = (line: string, at: number): Anchor => {
  const { organization_id: organizationId, chain, lane = 0, number, hash } = parseLine(line);
  const isWhole = typeof number === 'number' && Number.isSafeInteger(number) && number > 0;
  if (
    typeof organizationId !== 'string' ||
    !isChain(chain) ||
    typeof lane !== 'number' ||
    !Number.isSafeInteger(lane) ||
    !isWhole ||
    typeof hash !== 'string' ||
    !hashShape.test(hash)
  )
    throw new AnchorError(`line ${at} is no anchor: ${line.slice(0, 80)}`);
  return { organizationId, chain, lane, number, hash };
};

/** Throws `AnchorError`. */
export const anchorsFromText = (text: string): Anchor[] =>
  text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [anchorFrom(line, index + 1)]));

/** The lines to add for those of the heads that `known` does not hold yet. */
export const anchorLines = (heads: readonly Anchor[], known: readonly Anchor[], nowMs: number): string => {
  const idOf = ({ organizationId, chain, lane, number, hash }: Anchor) =>
    `${organizationId} ${chain} ${lane} ${number} ${hash}`;
  const ids = new Set(known.map(idOf));
  return heads
    .filter((head) => head.number > 0 && !ids.has(idOf(head)))
    .map(
      ({ organizationId, chain, lane, number, hash }) =>
        `${JSON.stringify({
          organization_id: organizationId,
          chain,
          ...(chain === 'audit' ? { lane } : {}),
          number,
          hash,
          written_at: new Date(nowMs).toISOString(),
        })}\n`,
    )
    .join('');
};
