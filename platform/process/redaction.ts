/**
 * Takes secrets out of a finished line of the log, wherever they stand in it: in a field at any depth, in a message, in
 * the words of an error, in an address. One pass over the line and not paths of fields: a path knows one depth, and
 * nothing of what a text quotes. What is left stays valid JSON. Pure.
 */

const redacted = '[redacted]';

const secretName =
  'authorization|password|passwd|passphrase|secret|pepper|cookie|api[-_]?key|master[-_]?key|private[-_]?key|signature|token';
const text = String.raw`"(?:[^"\\]|\\.)*"`;

/** A field of such a name with its whole value: a text, a number, bytes, or a list of texts. */
const fields = new RegExp(
  String.raw`("[\w.-]*(?:${secretName})s?":)(?:${text}|-?[\d.]+|\{"type":"Buffer","data":\[[\d,]*\]\}|\[(?:${text},?)*\])`,
  'gi',
);
/** The same inside a text: `password=...`, or JSON that was quoted. */
const assignments = new RegExp(String.raw`((?:${secretName})s?\\?["']?\s?[=:]\s?\\?["']?)[^\s"'\\&,;)}\]]{3,}`, 'gi');
const credentials = /\b(Bearer|Basic)\s+[\w.~+/=-]{6,}/gi;
/**
 * User and password of a URL, up to the last @ of the word: a password may hold one. Bounded, so that no line is slow.
 */
const userInfo = /(:\/\/)(?:[^\s"\\]|\\["\\]){1,512}@/g;
const apiKeys = /\b(mr_(?:live|test|pub)_)([\w-]+)/g;
const linkTokens = /\b(mr_quote_)[\w-]+/g;
const publicIdLength = 16;

/** The public id of a key in our format says whose it is, and may stand in a log; of any other key nothing may. */
const withoutKeySecret = (_key: string, world: string, rest: string): string => {
  const [id = '', ...secret] = rest.split('_');
  if (id.length !== publicIdLength || !/^[0-9a-f]+$/.test(id)) return `${world}${redacted}`;
  return secret.length === 0 ? `${world}${id}` : `${world}${id}_${redacted}`;
};

/** Shorter ones are no secrets, and would shred every line. */
const knownLengthMin = 8;

const inJson = (value: string): string => JSON.stringify(value).slice(1, -1);
const literal = (value: string): string => value.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

/** `known`: secrets of this process that no form gives away, such as a pepper; they are found by their value. */
export const createRedaction = (known: readonly string[]): ((line: string) => string) => {
  const values = [...new Set(known.filter((value) => value.length >= knownLengthMin).map(inJson))].sort(
    (a, b) => b.length - a.length,
  );
  const ofThisProcess = values.length === 0 ? undefined : new RegExp(values.map(literal).join('|'), 'g');
  return (line) => {
    const rest = ofThisProcess === undefined ? line : line.replace(ofThisProcess, redacted);
    return rest
      .replace(userInfo, `$1${redacted}@`)
      .replace(apiKeys, withoutKeySecret)
      .replace(linkTokens, `$1${redacted}`)
      .replace(fields, `$1"${redacted}"`)
      .replace(credentials, `$1 ${redacted}`)
      .replace(assignments, `$1${redacted}`);
  };
};
