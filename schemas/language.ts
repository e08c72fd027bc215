/** Languages by their tags. Pure. */
import type { Fault } from '#schemas/fault.ts';

/** As long as a tag may get that somebody uses; those of BCP 47 may be of any length. */
export const languageCharsMax = 64;

/** The tag in its canonical form (BCP 47, RFC 5646), or undefined where it has not the form of one. */
export const languageFromText = (text: string): string | undefined => {
  if (text.length > languageCharsMax) return undefined;
  try {
    return Intl.getCanonicalLocales(text)[0];
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
};

/** Of what is no tag. */
export const languageFault = (field: string): Fault => ({
  field,
  code: 'wrong_format',
  message: 'must be a language tag of BCP 47 such as en, de-AT or zh-Hant-TW',
});
