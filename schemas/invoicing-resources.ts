/** Resources about invoices, rows of `resources.ts`. */
import type { Resource } from '#schemas/resource.ts';

export const invoicingResources = {
  issuing_entity: {
    prefix: 'ent',
    noun: 'issuing entity',
    tag: 'Issuing entities',
    about: 'Who issues invoices, and how their numbers are written.',
    scope: 'issuing_entities',
    conflicts: {
      ISSUING_ENTITY_IN_USE: {
        status: 409,
        title: 'The issuing entity issues invoices',
        cause: 'It is that of the organization, or a customer names it.',
        cure: 'Give the organization and its customers another issuing_entity_id, or null, and archive it then.',
      },
      NUMBERING_PREFIX_TAKEN: {
        status: 409,
        title: 'Another issuing entity has this prefix',
        cause: 'The series of an entity is its own: another one has this prefix, or has issued invoices under it.',
        cure: 'Use another number_format.prefix.',
      },
    },
    stored: {
      table: 'issuing_entities',
      columns: {
        legal_name: 'text',
        address: 'text',
        tax_ids: 'text',
        time_zone: 'text',
        number_prefix: 'text',
        number_year: 'text',
        number_padding: 'text',
        number_reset: 'text',
        archived_at: 'instant',
        metadata: 'text',
      },
    },
  },
  credit_note: {
    prefix: 'crn',
    noun: 'credit note',
    tag: 'Credit notes',
    about: 'What corrects issued invoices, which never change.',
    scope: 'credit_notes',
  },
} as const satisfies Readonly<Record<string, Resource>>;
