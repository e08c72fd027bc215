/** Entries of the audit log in answers. */
import { Type } from 'typebox';
import { closed, Instant, idOf, nullable } from '#schemas/http/fields.ts';

const Digest = Type.String({ pattern: '^[0-9a-f]{64}$' });

export const AuditEntry = Type.Object(
  {
    id: idOf('aud'),
    sequence: Type.Integer({ minimum: 1, description: 'Without a gap within the organization.' }),
    occurred_at: Instant,
    actor: Type.String({ description: 'The id of an API key, or the name of a process.' }),
    action: Type.String(),
    object_type: Type.String(),
    object_id: Type.String(),
    before_digest: nullable(Digest),
    after_digest: nullable(Digest),
    request_id: nullable(Type.String()),
    result: Type.String(),
    stored_digest: nullable(
      Type.String({
        pattern: '^[1-9][0-9]*:[0-9a-f]{64}$',
        description:
          'Of the rows of the object as the change left them, behind the number of its form. Null in entries from before there was one.',
      }),
    ),
    previous_hash: Digest,
    hash: Digest,
  },
  { ...closed, title: 'AuditEntry' },
);
