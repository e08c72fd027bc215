/** The words of a document, by its language. */
import type { DocumentLanguage } from './invoice-document.ts';
import { de } from './languages/de.ts';
import { en } from './languages/en.ts';
import { es } from './languages/es.ts';
import { fr } from './languages/fr.ts';
import type { DocumentWords } from './languages/words.ts';

const byLanguage = { en, de, fr, es } as const satisfies Record<DocumentLanguage, DocumentWords>;

export const documentWords = (language: DocumentLanguage): DocumentWords => byLanguage[language];
