/** One setting: what it may be, and how its text is judged and read. */
import { readFileSync } from 'node:fs';
import { originFault, readOrigins } from './origins.ts';

export type Setting = {
  /** The environment variable. */
  readonly variable: string;
  readonly kind: 'integer' | 'text' | 'url' | 'secret' | 'choice' | 'boolean' | 'origins';
  /** What holds when the variable is absent; `undefined` means that it must be given. */
  readonly fallback: string | undefined;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  readonly about: string;
};

/** What the environment gives, or what holds without it. Throws where the file of a secret can't be read. */
export const textOf = (setting: Setting, environment: NodeJS.ProcessEnv): string | undefined => {
  const given = environment[setting.variable];
  if (given !== undefined && given !== '') return given;
  // As container platforms do it: VARIABLE_FILE names a file that holds the secret.
  const file = setting.kind === 'secret' ? environment[`${setting.variable}_FILE`] : undefined;
  // An empty file is no secret.
  return (file && readFileSync(file, 'utf8').trim()) || setting.fallback;
};

/** What is wrong with a value, with the name of its variable. */
export const faultOf = (setting: Setting, value: string): string | undefined => {
  if (setting.kind === 'origins') {
    const faults = readOrigins(value).flatMap((origin) => originFault(origin) ?? []);
    return faults.length > 0 ? `${setting.variable} ${faults.join('; ')}` : undefined;
  }
  if (setting.kind === 'integer') {
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = setting;
    const whole = /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
    return whole >= min && whole <= max
      ? undefined
      : `${setting.variable} must be a whole number from ${min} to ${max}, not "${value}"`;
  }
  if (setting.kind === 'boolean' && value !== 'true' && value !== 'false')
    return `${setting.variable} must be true or false, not "${value}"`;
  // A URL that may be left out is empty then.
  if (setting.kind === 'url')
    return value === setting.fallback || URL.canParse(value) ? undefined : `${setting.variable} must be a URL`;
  if (setting.kind === 'choice' && !setting.choices?.includes(value)) {
    return `${setting.variable} must be one of ${setting.choices?.join(', ')}, not "${value}"`;
  }
  return undefined;
};

export type Value = string | number | boolean | readonly string[];

export const readValue = (setting: Setting, value: string): Value => {
  if (setting.kind === 'origins') return readOrigins(value);
  if (setting.kind === 'integer') return Number(value);
  return setting.kind === 'boolean' ? value === 'true' : value;
};
