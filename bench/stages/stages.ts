import { claimsStage } from './claims.ts';
import { insertStage, insertTextStage } from './insert.ts';
import { parseAvroStage, parseObjectsStage, parseStage } from './parse.ts';
import { publishStage } from './publish.ts';
import type { Stage, StageServers } from './stage.ts';

/** The stages of the line that are measured by themselves, in the order in which an event passes them. */
export const stagesOf = (servers: StageServers): readonly Stage[] => [
  parseStage,
  claimsStage(servers),
  publishStage(servers),
  insertStage(servers),
];

/** Other ways, beside those of the line: of another form of the events, and two that were rejected. */
export const rejectedStagesOf = (servers: StageServers): readonly Stage[] => [
  parseAvroStage,
  parseObjectsStage,
  insertTextStage(servers),
];
