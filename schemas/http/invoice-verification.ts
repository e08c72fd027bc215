/** What a verification of an invoice answers. */
import { Type } from 'typebox';
import { exampleId } from '#schemas/http/example-parts.ts';
import { closed, idOf } from '#schemas/http/fields.ts';

const Hash = Type.String({ pattern: '^[0-9a-f]{64}$' });

const checks = {
  hash: 'what it says hashes to `hash`',
  previous: 'the invoice numbered one less has the hash that it follows',
  next: 'the invoice numbered one more follows its hash',
  sums: 'its lines sum to its totals, discounts and taxes',
  rated_lines: 'its charges are those that were rated',
};

export const InvoiceVerification = Type.Object(
  {
    invoice_id: idOf('inv'),
    number: Type.Integer({ minimum: 1 }),
    content_version: Type.Integer({ minimum: 1 }),
    hash: Hash,
    is_valid: Type.Boolean({ description: 'Whether no check failed.' }),
    checks: Type.Array(
      Type.Object(
        {
          check: Type.Enum(Object.keys(checks), {
            title: 'InvoiceCheckName',
            description: Object.entries(checks)
              .map(([name, meaning]) => `\`${name}\`: ${meaning}`)
              .join('; '),
          }),
          result: Type.Enum(['passed', 'failed', 'skipped'], {
            title: 'InvoiceCheckResult',
            description: '`skipped`: there is nothing to hold it against.',
          }),
          detail: Type.String(),
        },
        { ...closed, title: 'InvoiceCheck' },
      ),
    ),
  },
  {
    ...closed,
    title: 'InvoiceVerification',
    examples: [
      {
        invoice_id: exampleId('inv', 8),
        number: 1,
        content_version: 5,
        hash: '7'.repeat(64),
        is_valid: true,
        checks: [{ check: 'next', result: 'skipped', detail: 'it is the last one' }],
      },
    ],
  },
);
