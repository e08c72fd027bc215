/**
 * The names that callers give to their objects, by which these are looked up beside their ids: codes of meters, plans
 * and charges, external ids of customers. None of them has the form of an id, of whatever kind, so a text means one
 * object or none. Names are compared character by character: "Acme", "acme" and "acme " are three, and so are two ways
 * to write one accent. What is only shown, such as `name`, is free.
 *
 * Rows from before this rule may have such a name. Where it has the form of an id of their own kind, they go by their
 * id alone (`lookUpColumn`, `usageNames`); `npm run migrate` and `npm run verify` list them.
 */
import { type Fault, fieldOf, type JsonObject, readText, type TextRule } from '#schemas/fault.ts';
import { type IdPrefix, isId } from '#schemas/ids.ts';

/** Of ids there are and of ids to come, in whatever case: every prefix of ours has three letters. */
export const idFormPattern = '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$';
const idForm = new RegExp(idFormPattern);

export const hasIdForm = (text: string): boolean => idForm.test(text);

export const idFormAbout = 'the form of an id (three letters, "_" and 32 hexadecimal digits)';

export const codePattern = '^[a-z0-9][a-z0-9_.-]{0,63}$';
export const codeRule: TextRule = {
  pattern: new RegExp(codePattern, 'u'),
  about: '1 to 64 of a-z, 0-9, "_", "." and "-", beginning with a letter or digit',
};

/** What is wrong with a name, for one that is given now; nothing where it may be given. */
export const newNameFault = (name: string, field: string): Fault | undefined => {
  if (hasIdForm(name))
    return {
      field,
      code: 'not_allowed',
      message: `must not have ${idFormAbout}; choose a name that can't be taken for one`,
    };
  // No client can send it in a path: it is resolved before it leaves.
  if (name === '.' || name === '..')
    return {
      field,
      code: 'not_allowed',
      message: 'must be more than dots, which have a meaning of their own in a URL',
    };
  return undefined;
};

/** The `code` of something that is made now. */
export const readNewCode = (object: JsonObject, parent: string, faults: Fault[]): string | undefined => {
  const code = readText(object, 'code', parent, codeRule, faults);
  const fault = code === undefined ? undefined : newNameFault(code, fieldOf(parent, 'code'));
  if (fault === undefined) return code;
  faults.push(fault);
  return undefined;
};

/** Where a text that stands for an object of that kind is looked up: by its id or by its name, never by both. */
export const lookUpColumn = <N extends string>(prefix: IdPrefix, text: string, name: N): 'id' | N =>
  isId(prefix, text) ? 'id' : name;

/** Of texts that stand for customers, those that are ids and those that are external ids. */
export const splitNames = (
  texts: readonly string[],
): { readonly ids: readonly string[]; readonly externalIds: readonly string[] } => ({
  ids: texts.filter((text) => isId('cus', text)),
  externalIds: texts.filter((text) => !isId('cus', text)),
});

/**
 * Under which names the events of a customer come: its id first, and each external id that it has or had, from the
 * earliest on. An external id in the form of a customer's id is no name of this one: events under it are those of that
 * id.
 */
export const usageNames = (customerId: string, externalIds: readonly string[]): readonly string[] => [
  customerId,
  ...externalIds.filter((name) => !isId('cus', name)),
];
