/**
 * The two hashes of a rated line: SHA-256 over the RFC 8785 canonical form of what went in and of what came out, each
 * with the version of the hashes as `hash_version`, as invoices are hashed with theirs.
 */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { RatedLineJson } from '#schemas/rated-line.ts';
import { type RatingInputJson, ratingHashVersion } from '#schemas/rating-input.ts';

export type LineHashes = { readonly version: number; readonly input: string; readonly output: string };

const hashOf = (content: object): string =>
  createHash('sha256')
    .update(canonicalize({ hash_version: ratingHashVersion, ...content }) as string, 'utf8')
    .digest('hex');

export const lineHashes = (input: RatingInputJson, output: RatedLineJson): LineHashes => ({
  version: ratingHashVersion,
  input: hashOf(input),
  output: hashOf(output),
});
