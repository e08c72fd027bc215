/**
 * Cursors: where a page ended, as text that means nothing to the caller. 16 bytes of HMAC-SHA256, then the sort value
 * and the id of the page's last row, all as base64url. What the page was asked for (list, organization, sort, filters)
 * is the scope: the code covers it without carrying it, so a cursor that is used with another scope is as wrong as one
 * that was tampered with.
 */
import assert from 'node:assert/strict';
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/** The last row of a page: its sort value as exact text, and its id, which breaks ties. */
export type Position = { readonly value: string; readonly id: string };

export type Cursors = {
  readonly sign: (scope: string, position: Position) => string;
  /** Undefined for any text but one that `sign` gave for this scope under this secret. Never throws. */
  readonly read: (scope: string, cursor: string) => Position | undefined;
};

/** 128 bits. */
const codeBytes = 16;
/** The longest sort value is an external id: 255 characters of at most 4 bytes, 6 where JSON escapes one. */
export const cursorCharsMax = 2_400;
export const cursorPattern = '^[A-Za-z0-9_-]+$';
const alphabet = new RegExp(cursorPattern);
/** The last character may have bits that no byte takes; with them cut off, one cursor has one text. */
const isWhole = (cursor: string): boolean =>
  cursor.length <= cursorCharsMax &&
  alphabet.test(cursor) &&
  Buffer.from(cursor, 'base64url').toString('base64url') === cursor;

/** Part of the code: a cursor of another form is refused, and the caller begins anew. */
const version = 1;

/**
 * `secret` is the pepper of the API keys; what is made of it here serves cursors alone. Whoever changes it ends every
 * cursor.
 */
export const createCursors = (secret: string): Cursors => {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'millrace list cursors', 32));
  // JSON holds no newline of its own, so scope and payload can't lend each other a character.
  const codeOf = (scope: string, payload: Buffer): Buffer =>
    createHmac('sha256', key)
      .update(`${JSON.stringify([version, scope])}\n`)
      .update(payload)
      .digest()
      .subarray(0, codeBytes);
  return {
    sign: (scope, { value, id }) => {
      const payload = Buffer.from(JSON.stringify([value, id]));
      const cursor = Buffer.concat([codeOf(scope, payload), payload]).toString('base64url');
      assert(cursor.length <= cursorCharsMax, 'a cursor that we give can be read again');
      return cursor;
    },
    read: (scope, cursor) => {
      if (!isWhole(cursor)) return undefined;
      const bytes = Buffer.from(cursor, 'base64url');
      const payload = bytes.subarray(codeBytes);
      if (payload.length === 0 || !timingSafeEqual(bytes.subarray(0, codeBytes), codeOf(scope, payload)))
        return undefined;
      // Under our own code it is what `sign` wrote.
      const [value, id] = JSON.parse(payload.toString('utf8')) as [string, string];
      return { value, id };
    },
  };
};
