/** What people read of an object, and what is printed of it: no name that anything is looked up by. */
import { type Fault, fieldOf, type JsonObject, readText, type TextRule } from '#schemas/fault.ts';

// No control characters: PostgreSQL refuses NUL, and a name is printed on invoices.
export const namePattern = '^[^\\u0000-\\u001f\\u007f]{1,200}$';
export const nameRule: TextRule = {
  pattern: new RegExp(namePattern, 'u'),
  about: '1 to 200 characters, none of them a control character',
};

export const readName = (object: JsonObject, parent: string, faults: Fault[]): string | undefined => {
  const name = readText(object, 'name', parent, nameRule, faults);
  if (name === undefined || name.isWellFormed()) return name;
  // Half of a surrogate pair has no UTF-8, so it could be neither stored nor hashed.
  faults.push({ field: fieldOf(parent, 'name'), code: 'wrong_format', message: 'must be well-formed Unicode' });
  return undefined;
};
