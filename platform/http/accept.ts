/**
 * Which of the types that an answer can have its caller likes best (RFC 9110, section 12.5.1): by weights, and the most
 * exact range first. Pure.
 */
import Negotiator from 'negotiator';

/** The first of `offered` where the caller says nothing or does not mind; undefined where none is acceptable. */
export const preferredType = (accept: string | undefined, offered: readonly string[]): string | undefined =>
  new Negotiator({ headers: { accept } }).mediaType([...offered]);
