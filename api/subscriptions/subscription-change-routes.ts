/** What changes subscriptions over their time, and the ledger of it: `/v1/subscriptions/{id}/...`. */
import type { Static, TSchema } from 'typebox';
import type { FailureCode } from '#schemas/failures.ts';
import {
  AddOnChange,
  LedgerEntry,
  PlanChange,
  SeatsChange,
  SubscriptionPause,
  SubscriptionResumption,
  UndoneChange,
} from '#schemas/http/subscription-changes.ts';
import {
  ChangedSubscription,
  SubscriptionId,
  Subscription as SubscriptionSchema,
} from '#schemas/http/subscriptions.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import { applyChange } from './apply-change.ts';
import { decideAddOn } from './change-add-ons.ts';
import { changedNow } from './change-instant.ts';
import { decideSeats } from './change-seats.ts';
import { decidePlanChange } from './change-subscription-plan.ts';
import { decidePause, decideResumption } from './pause-subscription.ts';
import type { LedgerChanges, SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import { ledgerJson, subscriptionJson } from './subscription-json.ts';
import type { Subscription, SubscriptionStore } from './subscriptions.postgres.ts';
import { decideUndo } from './undo-change.ts';

export type SubscriptionChangePorts = {
  readonly subscriptions: SubscriptionStore;
  readonly subscriptionChanges: SubscriptionChangeStore;
  readonly catalog: CatalogStore;
};

/** What a change that was decided would charge and credit, as `ChangePreview` says it. */
type PreviewChange = (db: Db, subscription: Subscription, decided: LedgerChanges, now: Instant) => Promise<object>;

type Decide<Asked> = (
  ports: SubscriptionChangePorts,
  db: Db,
  subscription: Subscription,
  asked: Asked,
  now: Instant,
) => Promise<LedgerChanges>;

/** The subscription, locked and as it is when all requests before this one are done. */
const locked = async (
  { subscriptions }: SubscriptionChangePorts,
  db: Db,
  id: string,
  matchVersion: (version: number) => void,
): Promise<Subscription> => {
  const subscription = found(await subscriptions.lockSubscription(db, id), 'SUBSCRIPTION_NOT_FOUND');
  matchVersion(subscription.version);
  return subscription;
};

const applied = async (
  ports: SubscriptionChangePorts,
  db: Db,
  before: Subscription,
  action: string,
  decided: LedgerChanges,
  now: Instant,
) => {
  const { after, at, change } = await applyChange(ports, db, before, action, decided, now);
  return { body: subscriptionJson(after, at), location: `/v1/subscriptions/${after.id}`, changes: [change] };
};

export const subscriptionChangeRoutes = (
  { change, list }: Routes,
  ports: SubscriptionChangePorts & { readonly previewChange: PreviewChange },
): void => {
  const tag = 'Subscriptions';
  const common = ['SUBSCRIPTION_NOT_FOUND', 'SUBSCRIPTION_STATE_CONFLICT'] as const;

  const changeRoute = <B extends TSchema>(
    route: {
      readonly path: string;
      readonly operation: string;
      readonly summary: string;
      readonly body: B;
      readonly action: string;
      /** Whether it says with `?preview=true` what it would charge. */
      readonly canPreview?: boolean;
      readonly failures: readonly FailureCode[];
    },
    decide: Decide<Static<B>>,
  ): void =>
    change(
      {
        method: 'POST',
        url: `/v1/subscriptions/:id/${route.path}`,
        operation: route.operation,
        tag,
        summary: route.summary,
        scope: 'write:subscriptions',
        rateClass: 'write',
        params: SubscriptionId,
        body: route.body as TSchema,
        answers: { 200: route.canPreview ? ChangedSubscription : SubscriptionSchema },
        failures: [...common, ...route.failures],
      },
      async ({ db, params, body, nowMs, matchVersion }) => {
        const before = await locked(ports, db, params.id, matchVersion);
        const now = changedNow(before, hourOf(before, nowMs));
        const decided = await decide(ports, db, before, body as Static<B>, now);
        const done = await applied(ports, db, before, route.action, decided, now);
        return route.canPreview ? { ...done, body: { ...done.body, preview: null } } : done;
      },
      route.canPreview
        ? async ({ db, params, body, nowMs }) => {
            const subscription = found(await ports.subscriptions.subscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
            const now = changedNow(subscription, hourOf(subscription, nowMs));
            const decided = await decide(ports, db, subscription, body as Static<B>, now);
            const preview = await ports.previewChange(db, subscription, decided, now);
            const location = `/v1/subscriptions/${subscription.id}`;
            return { body: { ...subscriptionJson(subscription, now), preview }, location };
          }
        : undefined,
    );

  changeRoute(
    {
      path: 'change-plan',
      operation: 'changeSubscriptionPlan',
      summary: 'Change the plan of a subscription, now, at the end of the period or at an instant to come',
      body: PlanChange,
      action: 'plan_changed',
      canPreview: true,
      failures: [
        'PLAN_NOT_FOUND',
        'PLAN_IS_ADD_ON',
        'PLAN_NOT_ACTIVE',
        'SUBSCRIPTION_UNCHANGED',
        'SUBSCRIPTION_CHANGE_PENDING',
        'SUBSCRIPTION_ALREADY_ACTIVE',
        'SUBSCRIPTION_ADD_ON_MISFIT',
      ],
    },
    decidePlanChange,
  );
  changeRoute(
    {
      path: 'seats',
      operation: 'changeSubscriptionSeats',
      summary: 'Change how many seats a subscription has',
      body: SeatsChange,
      action: 'seats_changed',
      canPreview: true,
      failures: ['SUBSCRIPTION_UNCHANGED'],
    },
    decideSeats,
  );
  changeRoute(
    {
      path: 'add-ons',
      operation: 'changeSubscriptionAddOns',
      summary: 'Take an add-on beside the plan, another quantity of it, or none any more',
      body: AddOnChange,
      action: 'add_ons_changed',
      canPreview: true,
      failures: [
        'PLAN_NOT_FOUND',
        'PLAN_IS_NO_ADD_ON',
        'PLAN_NOT_ACTIVE',
        'SUBSCRIPTION_UNCHANGED',
        'SUBSCRIPTION_CHANGE_PENDING',
        'SUBSCRIPTION_ADD_ON_MISFIT',
      ],
    },
    decideAddOn,
  );
  changeRoute(
    {
      path: 'pause',
      operation: 'pauseSubscription',
      summary: 'Pause a subscription: nothing is billed until it is resumed',
      body: SubscriptionPause,
      action: 'paused',
      failures: ['SUBSCRIPTION_CHANGE_PENDING'],
    },
    decidePause,
  );
  changeRoute(
    {
      path: 'resume',
      operation: 'resumeSubscription',
      summary: 'Resume a subscription that is paused',
      body: SubscriptionResumption,
      action: 'resumed',
      failures: [],
    },
    decideResumption,
  );
  changeRoute(
    {
      path: 'undo-change',
      operation: 'undoSubscriptionChange',
      summary: 'Take a change back that has not taken effect',
      body: UndoneChange,
      action: 'change_undone',
      failures: [
        'SUBSCRIPTION_CHANGE_NOT_FOUND',
        'SUBSCRIPTION_CHANGE_IN_EFFECT',
        'SUBSCRIPTION_ALREADY_ACTIVE',
        'SUBSCRIPTION_ADD_ON_MISFIT',
      ],
    },
    (_, db, subscription, { change_id: changeId }, now) => decideUndo(ports, db, subscription, changeId, now),
  );

  list(
    {
      url: '/v1/subscriptions/:id/changes',
      operation: 'listSubscriptionChanges',
      tag,
      summary: 'The ledger of a subscription: its plans, seats, add-ons and pauses, each from when on',
      scope: 'read:subscriptions',
      params: SubscriptionId,
      list: ports.subscriptionChanges.ledger,
      answers: { 200: listSchema(LedgerEntry) },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = found(await ports.subscriptions.subscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      return listJson(query, await ports.subscriptionChanges.changes(db, id, query), ledgerJson);
    },
  );
};
