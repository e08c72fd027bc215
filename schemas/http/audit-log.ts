/** Entries of the audit log in answers. */
import { Type } from 'typebox';
import { closed, Instant, idOf, nullable } from '#schemas/http/fields.ts';

const Digest = Type.String({ pattern: '^[0-9a-f]{64}$' });

export const AuditEntry = Type.Object(
  {
    id: idOf('aud'),
    canonical_version: Type.Integer({ minimum: 1, description: 'Which canonical form of the entry `hash` is over.' }),
    lane: Type.Integer({
      minimum: 0,
      description:
        'The chain that the entry stands in. Entries from before there were several are in lane 0; so are those that open the others.',
    }),
    sequence: Type.Integer({ minimum: 1, description: 'Without a gap within the lane.' }),
    occurred_at: Instant,
    actor: Type.String({ description: 'The id of an API key, or the name of a process.' }),
    action: Type.String(),
    object_type: Type.String(),
    object_id: Type.String(),
    object_sequence: Type.Integer({
      minimum: 1,
      description:
        'The number of the entry among those of its object, without a gap. The order of changes of an object.',
    }),
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
