/**
 * The resources of the API that are alike, a row each. A row says what follows from it everywhere: the prefix of ids
 * (`ids.ts`), the scopes that a key can have (`http/api-keys.ts`), the refusals of one that is not there or whose name
 * is taken (`failures.ts`), what of its table the audit log digests (`audited-objects.ts`), and what the documents head
 * it with (`api/route/openapi.ts`). The key of a row is the `object_type` of its entries, and begins its error codes.
 */

import { couponResources } from '#schemas/coupon-resources.ts';
import { invoiceConflicts } from '#schemas/invoice/conflicts.ts';
import { invoicingResources } from '#schemas/invoicing-resources.ts';
import type { ColumnForm, Failure, Resource } from '#schemas/resource.ts';
import { taxRateResource } from '#schemas/tax-rate-resource.ts';

export type { ColumnForm, Failure };

export const resources = {
  api_key: {
    prefix: 'key',
    noun: 'API key',
    shortNoun: 'key',
    tag: 'API keys',
    about: 'Keys with their scopes. The secret is in the answer that makes it, and nowhere else.',
  },
  customer: {
    prefix: 'cus',
    noun: 'customer',
    tag: 'Customers',
    about: 'Who uses and pays, with their invoices.',
    name: 'external_id',
    scope: 'customers',
    conflicts: {
      CUSTOMER_ARCHIVED: {
        status: 409,
        title: 'The customer is archived',
        cause:
          'An archived customer takes no new subscription, and is not archived again; nothing that belongs to it is taken back.',
        cure: 'Take it back with POST /v1/customers/{id}/unarchive, or use another customer.',
      },
      CUSTOMER_NOT_ARCHIVED: {
        status: 409,
        title: 'The customer is not archived',
        cause: 'Only an archived customer can be taken back.',
        cure: 'Nothing is left to do.',
      },
      CUSTOMER_IN_USE: {
        status: 409,
        title: 'The customer has a subscription that is not over, or customers of its own',
        cause:
          'A customer with a pending or active subscription is neither archived nor erased, nor is one to which a customer belongs that is not archived.',
        cure: 'Cancel its subscriptions, and try again once they are over; archive what belongs to it, or put that under another one.',
      },
      CUSTOMER_NAME_USED: {
        status: 409,
        title: 'Events under that name lie in time that is billed',
        cause:
          'With the name its events become those of the customer, and some of them are of time that was billed to the customer without them, or is being billed now.',
        cure: 'While a billing run is under way, try again once it has ended. Else choose another external id, and void these events and send them anew under a name that the customer has.',
      },
      CUSTOMER_ERASED: {
        status: 409,
        title: 'The customer was erased',
        cause:
          'Its personal fields were erased for good. It can not be changed any more, and an answer that held them is not repeated.',
        cure: 'Read what is left of it. For new business make another customer, under another external id.',
      },
    },
    stored: {
      table: 'customers',
      columns: { external_id: 'text', name: 'text', metadata: 'text', personal: 'bytes' },
    },
  },
  tax_rate: taxRateResource,
  meter: {
    prefix: 'mtr',
    noun: 'meter',
    tag: 'Meters',
    about: 'What turns events into quantities.',
    name: 'code',
    scope: 'meters',
    conflicts: {
      METER_IN_USE: {
        status: 409,
        title: 'A plan charges by this meter, or a feature is measured by it',
        cause: 'A version of a plan charges by a version of this meter, for good; or a feature names it.',
        cure: 'End the feature, or leave the meter; a change of what it measures makes a new version, which new plans charge by.',
      },
    },
  },
  plan: {
    prefix: 'pln',
    noun: 'plan',
    tag: 'Plans',
    about: 'What customers subscribe to: charges with their prices.',
    name: 'code',
    scope: 'plans',
    conflicts: {
      PLAN_IS_ADD_ON: {
        status: 409,
        title: 'The plan is an add-on',
        cause: 'An add-on is taken beside a plan, and nobody subscribes to it alone.',
        cure: 'Subscribe to a plan, and take the add-on beside it: POST /v1/subscriptions/{id}/add-ons.',
      },
      PLAN_IS_NO_ADD_ON: {
        status: 409,
        title: 'The plan is no add-on',
        cause: 'What is taken beside the plan of a subscription is a plan of the kind add_on.',
        cure: 'Name an add-on. POST /v1/subscriptions/{id}/change-plan changes the plan itself.',
      },
      PLAN_NOT_ACTIVE: {
        status: 409,
        title: 'The plan has no active version',
        cause:
          'All versions of the plan are drafts or archived, and only an active one is subscribed to or followed by a new one.',
        cure: 'Activate a draft with POST /v1/plans/{id}/versions/{version_number}/activate. POST /v1/plans/{id}/versions makes one.',
      },
      PLAN_VERSION_IMMUTABLE: {
        status: 409,
        title: 'The version of the plan is no draft any more',
        cause: 'What was active once never changes, since it was charged; and an archived version does not come back.',
        cure: 'PATCH /v1/plans/{id} with charges makes a new active version; POST /v1/plans/{id}/versions makes a draft of it first.',
      },
      PLAN_VERSION_INCOMPLETE: {
        status: 409,
        title: 'The draft can not be charged as it is',
        cause:
          'A meter of the draft has ended since it was written, or measures by now what its price can not be asked of; a feature has ended; or a charge is due when nothing is billed yet. A draft holds no meter and no feature; an active version does.',
        cure: 'Change what `errors` lists: PATCH /v1/plans/{id}/versions/{version_number}.',
      },
    },
  },
  feature: {
    prefix: 'fea',
    noun: 'feature',
    tag: 'Features',
    about: 'What plans entitle to, and what subscriptions and customers have of it.',
    name: 'code',
    scope: 'features',
    conflicts: {
      FEATURE_IN_USE: {
        status: 409,
        title: 'A plan entitles to this feature',
        cause: 'A version of a plan that was active entitles to this feature, for good.',
        cure: 'Leave the feature; give new versions of plans another one, or none.',
      },
    },
    stored: {
      table: 'features',
      columns: {
        code: 'text',
        name: 'text',
        type: 'text',
        meter_id: 'text',
        metadata: 'text',
        deleted_at: 'instant',
      },
    },
  },
  cost_book: {
    prefix: 'cbk',
    noun: 'cost book',
    tag: 'Cost books',
    about: 'What units cost by one to three dimensions, in versions by time; plans charge it times a factor.',
    name: 'code',
    scope: 'cost_books',
    stored: {
      table: 'cost_books',
      columns: { code: 'text', name: 'text', dimensions: 'text', currency: 'text', metadata: 'text' },
    },
  },
  credit_unit: {
    prefix: 'cru',
    noun: 'credit unit',
    tag: 'Credit units',
    about: 'Units that prices may be in, and what they are worth by time.',
    name: 'code',
    scope: 'credit_units',
    stored: { table: 'credit_units', columns: { code: 'text', name: 'text', metadata: 'text' } },
  },
  price_override: {
    prefix: 'pov',
    noun: 'price override',
    tag: 'Price overrides',
    about: 'Other prices for a while: for one customer, or for all who have the plan.',
    scope: 'price_overrides',
    conflicts: {
      PRICE_OVERRIDE_BILLED: {
        status: 409,
        title: 'Usage of this time is billed',
        cause: 'The price would begin, or end, in time that an invoice has billed already, and invoices never change.',
        cure: 'Let it begin, or end, when the time that is billed ends, or later; `detail` says when that is.',
      },
    },
    stored: {
      table: 'price_overrides',
      columns: {
        plan_id: 'text',
        charge_code: 'text',
        customer_id: 'text',
        currency: 'text',
        price: 'text',
        tiers: 'text',
        effective_from: 'instant',
        effective_until: 'instant',
        metadata: 'text',
      },
    },
  },
  subscription: {
    prefix: 'sub',
    noun: 'subscription',
    tag: 'Subscriptions',
    about: 'A customer on a plan.',
    scope: 'subscriptions',
    conflicts: {
      SUBSCRIPTION_ALREADY_ACTIVE: {
        status: 409,
        title: 'The customer has an active subscription to this plan',
        cause: 'A customer has at most one active subscription to a plan.',
        cure: 'Use the existing one.',
      },
      SUBSCRIPTION_STATE_CONFLICT: {
        status: 409,
        title: 'The subscription is in a state in which that can not be done',
        cause: 'What can be done depends on the state; the detail says what can be done now.',
        cure: 'Read the subscription. One that is over does not come back: subscribe anew.',
      },
      SUBSCRIPTION_UNCHANGED: {
        status: 409,
        title: 'The subscription has that already',
        cause: 'The change would leave everything as it is then.',
        cure: 'Nothing is left to do; or name something else.',
      },
      SUBSCRIPTION_CHANGE_PENDING: {
        status: 409,
        title: 'A change of the same kind lies ahead',
        cause: 'Of the plan, of one add-on and of a pause at most one change lies ahead.',
        cure: 'Take the one back that the detail names, with POST /v1/subscriptions/{id}/undo-change, and try again.',
      },
      SUBSCRIPTION_CHANGE_IN_EFFECT: {
        status: 409,
        title: 'The change is in effect, or was taken back already',
        cause: 'A change can be taken back until it takes effect, and once.',
        cure: 'Make another change.',
      },
      SUBSCRIPTION_ADD_ON_MISFIT: {
        status: 409,
        title: 'An add-on does not go with the plan',
        cause: 'The add-on names the plans that it goes with, and the plan is none of them.',
        cure: 'End the add-on, or choose another one or another plan.',
      },
      SUBSCRIPTION_IN_MINIMUM_TERM: {
        status: 409,
        title: 'The minimum term is not over',
        cause: 'The plan version has a minimum term, and the cancellation would take effect before its end.',
        cure: 'Cancel at the end of the term, which the detail says, or later.',
      },
    },
    stored: {
      table: 'subscriptions',
      columns: {
        customer_id: 'text',
        plan_version_id: 'text',
        state: 'text',
        started_at: 'instant',
        ended_at: 'instant',
        metadata: 'text',
      },
    },
  },
  one_time_charge: {
    prefix: 'otc',
    noun: 'one-time charge',
    shortNoun: 'charge',
    tag: 'One-time charges',
    about: 'What a subscription is charged once, beside its plan.',
    conflicts: {
      ONE_TIME_CHARGE_NOT_PENDING: {
        status: 409,
        title: 'The one-time charge is billed, or was removed already',
        cause:
          'A charge can be removed until it is written down to be billed, and once; the detail says what became of it.',
        cure: 'Nothing is left to do with a charge that was removed. One that is billed stands on its invoice for good.',
      },
    },
    stored: {
      table: 'one_time_charges',
      columns: {
        subscription_id: 'text',
        name: 'text',
        amount: 'text',
        unit_amount: 'text',
        quantity: 'text',
        effective_at: 'instant',
        bills: 'text',
        removed_at: 'instant',
        metadata: 'text',
      },
    },
  },
  quote: {
    prefix: 'quo',
    noun: 'quote',
    tag: 'Quotes',
    about: 'Offers to customers, which become subscriptions when they are accepted.',
    scope: 'quotes',
    conflicts: {
      QUOTE_STATE_CONFLICT: {
        status: 409,
        title: 'The quote is in a state in which that can not be done',
        cause: 'What can be done depends on the state; the detail says what can be done now.',
        cure: 'Read the quote. What was sent never changes: POST /v1/quotes/{id}/revise makes a draft of it.',
      },
      QUOTE_NOT_ACCEPTABLE: {
        status: 409,
        title: 'The quote can not become a subscription as things are now',
        cause:
          'Something that it stands on has changed since it was sent, such as the currency of the customer; the detail says what.',
        cure: 'Revise the quote with POST /v1/quotes/{id}/revise, and send the new one.',
      },
    },
    stored: {
      table: 'quotes',
      columns: {
        customer_id: 'text',
        plan_id: 'text',
        plan_version_id: 'text',
        currency: 'text',
        terms: 'text',
        starts_at: 'instant',
        valid_until: 'instant',
        state: 'text',
        content_hash: 'bytes',
        link_hash: 'bytes',
        sent_at: 'instant',
        accepted_at: 'instant',
        declined_at: 'instant',
        canceled_at: 'instant',
        subscription_id: 'text',
        personal: 'bytes',
        revision_of: 'text',
        metadata: 'text',
      },
    },
  },
  plan_migration: {
    prefix: 'pmg',
    noun: 'migration of a plan',
    shortNoun: 'migration',
    tag: 'Plan migrations',
    about: 'Subscriptions of a plan moved to another version of it, or to another plan.',
    scope: 'plan_migrations',
    conflicts: {
      PLAN_MIGRATION_UNDER_WAY: {
        status: 409,
        title: 'A migration of the plan is under way',
        cause: 'Of a plan one migration at a time is queued, running or paused.',
        cure: 'Wait for the end of the one that the detail names, or cancel it with POST /v1/plan-migrations/{id}/cancel.',
      },
      PLAN_MIGRATION_STATE_CONFLICT: {
        status: 409,
        title: 'The migration is in a state in which that can not be done',
        cause: 'One that is queued or running can be paused, one that is paused resumed, and each of them canceled.',
        cure: 'Read the migration; the detail says what can be done.',
      },
    },
  },
  invoice: {
    prefix: 'inv',
    noun: 'invoice',
    tag: 'Invoices',
    about: 'What was issued, and drafts of it. An issued invoice never changes.',
    scope: 'invoices',
    conflicts: invoiceConflicts,
  },
  simulation: {
    prefix: 'sim',
    noun: 'simulation',
    tag: 'Simulations',
    about: 'What other plans would have charged for real usage. Nothing is billed by them.',
    scope: 'simulations',
    conflicts: {
      SIMULATION_NOT_COMPLETED: {
        status: 409,
        title: 'The simulation has no results',
        cause: 'It is not done yet, it failed, or it was cancelled.',
        cure: 'Wait for its end with GET /v1/simulations/{id}?wait_seconds=25; its results are there once it is completed.',
      },
      TOO_MANY_SIMULATIONS: {
        status: 409,
        title: 'Too many simulations are under way',
        cause: 'An organization has at most 25 simulations that are not done.',
        cure: 'Wait for the end of one, or cancel one with DELETE /v1/simulations/{id}.',
      },
    },
  },
  test_clock: {
    prefix: 'clk',
    noun: 'test clock',
    tag: 'Test clocks',
    about: 'The hour of customers in a sandbox, which goes on when it is told to.',
    scope: 'test_clocks',
    conflicts: {
      TEST_CLOCK_NEEDS_SANDBOX: {
        status: 409,
        title: 'Only customers of the sandbox live by a test clock',
        cause: 'The key is of the live world, whose customers live by the hour of all.',
        cure: 'Use a key that begins with mr_test_.',
      },
      TEST_CLOCK_ADVANCING: {
        status: 409,
        title: 'The test clock is advancing',
        cause: 'What falls due on the way to its target is being billed.',
        cure: 'Wait with GET /v1/test-clocks/{id}?wait_seconds=25 until its state is ready.',
      },
    },
    stored: { table: 'test_clocks', columns: { name: 'text', metadata: 'text' } },
  },
  ...couponResources,
  ...invoicingResources,
} as const satisfies Readonly<Record<string, Resource>>;

type Resources = typeof resources;
type ResourceName = keyof Resources;
type With<Field extends string> = {
  [Name in ResourceName]: Resources[Name] extends { readonly [field in Field]: unknown } ? Name : never;
}[ResourceName];
type KeysOf<Union> = Union extends unknown ? keyof Union : never;

const rows: readonly (readonly [string, Resource])[] = Object.entries(resources);

export type ResourcePrefix = Resources[ResourceName]['prefix'];
/** Noun by prefix. */
export const resourcePrefixes = Object.fromEntries(rows.map(([, { prefix, noun }]) => [prefix, noun])) as Readonly<
  Record<ResourcePrefix, string>
>;

/** What is about what, by tag. */
export const resourceTags = Object.fromEntries(rows.map(([, { tag, about }]) => [tag, about]));

export type ResourceScope = `${'read' | 'write'}:${Resources[With<'scope'>]['scope']}`;
export const resourceScopes = rows.flatMap(([, { scope }]) =>
  scope === undefined ? [] : [`read:${scope}`, `write:${scope}`],
) as readonly ResourceScope[];

const anyOne = (noun: string): string => `${/^[aeiou]/i.test(noun) ? 'an' : 'a'} ${noun}`;
const oneBegins = (noun: string): string => anyOne(noun).replace(/^a/, 'A');

const notFound = ({ noun, shortNoun = noun, name }: Resource): Failure => ({
  status: 404,
  title: `There is no such ${noun}`,
  cause: `No ${shortNoun} of your organization has this id${name ? ` or ${name}` : ''}; ${shortNoun}s of others answer the same.`,
  cure: `Use the id${name ? ` or the ${name}` : ''} of ${anyOne(shortNoun)} of your organization.`,
});

const alreadyExists = (noun: string, name: string): Failure => ({
  status: 409,
  title: `${oneBegins(noun)} with this ${name} exists`,
  cause: `${oneBegins(name)} names one ${noun} of an organization, and this one is taken.`,
  cure: `Read it by its ${name}, or choose another.`,
});

type NotFoundCode = `${Uppercase<ResourceName>}_NOT_FOUND`;
export const resourcesNotFound = Object.fromEntries(
  rows.map(([key, resource]) => [`${key.toUpperCase()}_NOT_FOUND`, notFound(resource)]),
) as Readonly<Record<NotFoundCode, Failure>>;

type ConflictCode = `${Uppercase<With<'name'>>}_ALREADY_EXISTS` | KeysOf<Resources[With<'conflicts'>]['conflicts']>;
export const resourceConflicts = Object.fromEntries(
  rows.flatMap(([key, { noun, name, conflicts = {} }]) => [
    ...(name === undefined ? [] : [[`${key.toUpperCase()}_ALREADY_EXISTS`, alreadyExists(noun, name)] as const]),
    ...Object.entries(conflicts),
  ]),
) as Readonly<Record<ConflictCode, Failure>>;

export type StoredResource = With<'stored'>;
/** By table, what is digested of the rows that stand for a resource alone. */
export const storedResources = rows.flatMap(([name, { stored }]) =>
  stored === undefined ? [] : [{ name: name as StoredResource, ...stored }],
);
