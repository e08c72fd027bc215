/**
 * Test keys see a world of their own, and what they don't find may well be in the other one: a refusal says where was
 * looked. Pure.
 */
import type { World } from '#schemas/api-key.ts';
import { type FailureCode, type Fault, failures } from '#schemas/failures.ts';

type Refusal = {
  readonly code: FailureCode;
  readonly detail?: string | undefined;
  readonly faults?: readonly Fault[] | undefined;
};

/**
 * The refusal as a caller of that world is told of it; what is not a test key's is left as it is. The words are the
 * same whatever the live world holds: whether the object is there, nobody looked.
 */
export const nameWorld = (world: World | undefined, refusal: Refusal): Refusal => {
  if (world !== 'test') return refusal;
  const { code, detail = failures[code].cure, faults } = refusal;
  // A route is missing in both.
  const isMissing = failures[code].status === 404 && code !== 'NOT_FOUND';
  return {
    ...refusal,
    ...(isMissing ? { detail: `${detail} Looked for in the sandbox: a test key sees nothing of the live world.` } : {}),
    ...(faults === undefined
      ? {}
      : {
          faults: faults.map((fault) =>
            fault.code.endsWith('not_found') ? { ...fault, message: `${fault.message} in the sandbox` } : fault,
          ),
        }),
  };
};
