/** API keys in requests and answers. The secret stands in the answer that makes it, and nowhere else. */
import { type Static, Type } from 'typebox';
import { keyKinds, publishableScopes, worlds } from '#schemas/api-key.ts';
import { closed, Instant, idOf, Metadata, Name, nullable, resourceFields } from '#schemas/http/fields.ts';
import { resourceScopes } from '#schemas/resources.ts';

/** What a key can be allowed, in order; `admin` stands for all, `read:*` and `write:*` for all of a kind. */
export const scopes = [
  ...(['admin', 'admin:keys', 'read:*', 'read:audit-log', 'read:organization', 'read:usage'] as const),
  ...(['write:*', 'write:backfill', 'write:events', 'write:organization', 'write:usage'] as const),
  ...resourceScopes,
].sort();

const World = Type.Enum([...worlds], {
  title: 'World',
  description:
    'A test key sees the sandbox of the organization. Of a new key that says nothing: the world of the calling key.',
});
const KeyKind = Type.Enum([...keyKinds], {
  title: 'KeyKind',
  description: `A publishable key (\`mr_pub_...\`) may stand in a web page. It can have no scope but ${publishableScopes.join(', ')}, and makes no signed requests. Of a new key that says nothing: secret.`,
});
const Scopes = Type.Array(Type.Enum([...scopes], { title: 'Scope' }), {
  minItems: 1,
  maxItems: scopes.length,
  uniqueItems: true,
});

export const NewApiKey = Type.Object(
  {
    name: Name,
    scopes: Scopes,
    kind: Type.Optional(KeyKind),
    world: Type.Optional(World),
    expires_in_seconds: Type.Optional(
      Type.Integer({
        minimum: 60,
        maximum: 315_360_000,
        description: 'A key that expires makes no key that lives longer than itself.',
      }),
    ),
    signed_requests: Type.Optional(
      Type.Boolean({
        description:
          'Takes requests with X-Signature only; the answer holds the signing secret. A key that must sign makes no key that need not.',
      }),
    ),
    metadata: Type.Optional(Metadata),
  },
  { ...closed, title: 'NewApiKey' },
);
export type NewApiKey = Static<typeof NewApiKey>;

const { kind: _kind, scopes: _scopes, signed_requests: signedRequests, ...ofBoth } = NewApiKey.properties;
/**
 * The same as OpenAPI documents show it: what a publishable key can't have is refused field by field, with words that a
 * schema has not.
 */
export const NewApiKeyDocument = Type.Union(
  [
    Type.Object(
      { ...ofBoth, kind: Type.Optional(Type.Literal('secret')), scopes: Scopes, signed_requests: signedRequests },
      { ...closed, title: 'NewSecretKey' },
    ),
    Type.Object(
      {
        ...ofBoth,
        kind: Type.Literal('publishable'),
        scopes: Type.Array(Type.Enum([...publishableScopes], { title: 'PublishableScope' }), {
          minItems: 1,
          maxItems: publishableScopes.length,
          uniqueItems: true,
        }),
        signed_requests: Type.Optional(Type.Literal(false)),
      },
      {
        ...closed,
        title: 'NewPublishableKey',
        description: 'May stand in a web page (`mr_pub_...`): it reads what is public.',
      },
    ),
  ],
  { title: 'NewApiKeyRequest' },
);

export const KeyRotation = Type.Object(
  {
    overlap_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2_592_000,
        description: 'How long the old key goes on; 24 hours where nothing is said.',
      }),
    ),
  },
  { ...closed, title: 'KeyRotation' },
);

export const keyStates = ['active', 'expired', 'revoked'] as const;

const keyFields = {
  id: idOf('key'),
  name: Type.String(),
  kind: KeyKind,
  hint: Type.String({ description: 'The public beginning of the key.' }),
  world: World,
  scopes: Type.Array(Type.String()),
  state: Type.Enum([...keyStates], { title: 'ApiKeyState' }),
  signed_requests: Type.Boolean(),
  last_used_at: nullable(Instant),
  expires_at: nullable(Instant),
  revoked_at: nullable(Instant),
  rotated_to: nullable(idOf('key')),
  ...resourceFields,
};

export const ApiKey = Type.Object(keyFields, { ...closed, title: 'ApiKey' });

/** The one answer that shows the key; it is not kept. */
export const NewApiKeyAnswer = Type.Object(
  { ...keyFields, key: Type.String(), signing_secret: nullable(Type.String()) },
  { ...closed, title: 'ApiKeyWithSecret' },
);
