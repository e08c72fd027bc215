/** `/v1/simulations`: what other plans would have charged. */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { FailureError } from '#schemas/failures.ts';
import { RunWait, RunWaitDocument } from '#schemas/http/runs.ts';
import {
  NewSimulationDocument,
  SimulationHead,
  SimulationId,
  SimulationResult,
  Simulation as SimulationSchema,
} from '#schemas/http/simulations.ts';
import type { Db, Done, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import { waitForRun } from '../runs/wait-for-run.ts';
import { type AskPorts, askSimulation } from './ask-simulation.ts';
import {
  lastingOf,
  resultsCsvHeader,
  resultToCsv,
  resultToJson,
  simulationHeadToJson,
  simulationToJson,
} from './simulation-json.ts';
import type { Simulation } from './simulations.postgres.ts';

export type SimulationPorts = AskPorts & {
  /** False once the process drains: whoever waits is answered. */
  readonly isServing: () => boolean;
};

const tag = 'Simulations';
const read = { tag, scope: 'read:simulations' } as const;
const write = { tag, scope: 'write:simulations', rateClass: 'write' } as const;
const url = '/v1/simulations';

const changed = (action: 'created' | 'cancelled', before: Simulation | undefined, after: Simulation): Done => ({
  status: before ? 200 : 202,
  body: simulationToJson(after),
  location: `${url}/${after.id}`,
  changes: [
    {
      action: `simulation.${action}`,
      objectType: 'simulation',
      objectId: after.id,
      ...(before && { before: lastingOf(before) }),
      after: lastingOf(after),
    },
  ],
});

const resultRoutes = ({ get, list }: Routes, { simulations }: SimulationPorts): void => {
  const completed = async (db: Db, id: string): Promise<Simulation> => {
    const simulation = found(await simulations.simulation(db, id), 'SIMULATION_NOT_FOUND');
    if (simulation.state !== 'completed')
      throw new FailureError('SIMULATION_NOT_COMPLETED', `The simulation is ${simulation.state}`);
    return simulation;
  };
  list(
    {
      ...read,
      url: `${url}/:id/results`,
      operation: 'listSimulationResults',
      summary: 'What each candidate comes to for each customer',
      params: SimulationId,
      list: simulations.resultList,
      answers: { 200: listSchema(SimulationResult) },
      failures: ['SIMULATION_NOT_FOUND', 'SIMULATION_NOT_COMPLETED'],
    },
    async ({ db, params, query }) => {
      const { id } = await completed(db, params.id);
      return listJson(query, await simulations.results(db, id, query), resultToJson);
    },
  );
  get(
    {
      ...read,
      url: `${url}/:id/results.csv`,
      operation: 'exportSimulationResults',
      summary: 'The same as CSV, all of it in one answer',
      params: SimulationId,
      answers: { 200: Type.String() },
      mediaTypes: ['text/csv'],
      failures: ['SIMULATION_NOT_FOUND', 'SIMULATION_NOT_COMPLETED'],
    },
    async ({ db, params, setType }) => {
      const { id, plans } = await completed(db, params.id);
      const names = plans.candidates.map(({ name }) => name);
      setType('text/csv; charset=utf-8');
      return Readable.from(
        (async function* () {
          yield resultsCsvHeader;
          for await (const page of simulations.allResults(db, id))
            yield page.map((result) => resultToCsv(result, names)).join('');
        })(),
      );
    },
  );
};

export const simulationRoutes = (routes: Routes, ports: SimulationPorts): void => {
  const { get, list, change } = routes;
  const { simulations, isServing } = ports;
  // Read by its own reader, which names every fault at its place.
  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createSimulation',
      summary: 'Rate past usage of customers under other plans; nothing is billed by it',
      body: Type.Object({}),
      documentedBody: NewSimulationDocument,
      answers: { 202: SimulationSchema },
      failures: ['TOO_MANY_SIMULATIONS'],
    },
    async ({ db, body, caller, requestId, nowMs }) =>
      changed('created', undefined, await askSimulation(ports, db, { body, requestId, apiKeyId: caller.keyId }, nowMs)),
  );
  list(
    {
      ...read,
      url,
      operation: 'listSimulations',
      summary: 'List simulations, without their summaries',
      list: simulations.simulationList,
      answers: { 200: listSchema(SimulationHead) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await simulations.simulations(db, query), simulationHeadToJson),
  );
  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getSimulation',
      summary: 'Read a simulation with its progress and its summary, or wait for its end',
      params: SimulationId,
      query: RunWait,
      documentedQuery: RunWaitDocument,
      changesByItself: true,
      answers: { 200: SimulationSchema },
      failures: ['SIMULATION_NOT_FOUND'],
    },
    async ({ db, params, query, isCallerThere }) => {
      const state = () => simulations.simulationState(db, params.id);
      await waitForRun({ state, isServing, isCallerThere }, query.wait_seconds);
      return simulationToJson(found(await simulations.simulation(db, params.id), 'SIMULATION_NOT_FOUND'));
    },
  );
  change(
    {
      ...write,
      method: 'DELETE',
      url: `${url}/:id`,
      operation: 'cancelSimulation',
      summary: 'Cancel a simulation, or give up the results of one that has ended',
      params: SimulationId,
      answers: { 200: SimulationSchema },
      failures: ['SIMULATION_NOT_FOUND'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const before = found(await simulations.lockSimulation(db, params.id), 'SIMULATION_NOT_FOUND');
      matchVersion(before.version);
      return changed('cancelled', before, await simulations.cancel(db, before.id, new Date(nowMs)));
    },
  );
  resultRoutes(routes, ports);
};
