/**
 * Reads what a generator of load needs of HTTP/1.1 answers, and nothing more: where each ends, its status, and how many
 * events were accepted.
 */

const headEnd = Buffer.from('\r\n\r\n');
const lengthName = Buffer.from('content-length: ');
const acceptedName = Buffer.from('"accepted":');
const duplicatesName = Buffer.from('"duplicates":');
const nothing = Buffer.alloc(0);

/** The digits that stand at `at`, as a number. */
const numberAt = (bytes: Buffer, at: number): number => {
  let value = 0;
  for (let digit = (bytes[at] ?? 0) - 48; digit >= 0 && digit <= 9; digit = (bytes[at] ?? 0) - 48) {
    value = value * 10 + digit;
    at += 1;
  }
  return value;
};

/** The number behind a name between `from` and `end`; undefined where the name is not there. */
const fieldIn = (bytes: Buffer, name: Buffer, from: number, end: number): number | undefined => {
  const at = bytes.indexOf(name, from);
  return at < 0 || at >= end ? undefined : numberAt(bytes, at + name.length);
};

/** `accepted` and `duplicates` are undefined where the answer does not say. */
export type OnAnswer = (status: number, accepted: number | undefined, duplicates: number | undefined) => void;

/**
 * A function that is given the bytes of a connection, in any pieces; it keeps a copy of what is not whole yet. Throws
 * on an answer of unknown length.
 */
export const createAnswerReader = (onAnswer: OnAnswer): ((chunk: Buffer) => void) => {
  let rest: Buffer = nothing;
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const head = bytes.indexOf(headEnd, at);
      if (head < 0) break;
      const length = fieldIn(bytes, lengthName, at, head);
      if (length === undefined)
        throw new Error(`an answer without content-length: ${bytes.toString('latin1', at, head).slice(0, 200)}`);
      const end = head + headEnd.length + length;
      if (end > bytes.length) break;
      const accepted = fieldIn(bytes, acceptedName, head, end);
      onAnswer(
        numberAt(bytes, at + 9),
        accepted,
        accepted === undefined ? undefined : fieldIn(bytes, duplicatesName, head, end),
      );
      at = end;
    }
    rest = at >= bytes.length ? nothing : Buffer.from(bytes.subarray(at));
  };
};
