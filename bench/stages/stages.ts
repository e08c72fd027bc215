import { claimsStage } from './claims.ts';
import { insertStage, insertTextStage } from './insert.ts';
import { parseObjectsStage, parseStage } from './parse.ts';
import { publishStage } from './publish.ts';
import type { Stage, StageServers } from './stage.ts';

/** The stages of the line that are measured by themselves, in the order in which an event passes them. */
export const stagesOf = (servers: StageServers): readonly Stage[] => [
  parseStage,
  claimsStage(servers),
  publishStage(servers),
  insertStage(servers),
];

/** Ways that were rejected, beside those that took their place; they are none of the line. */
export const rejectedStagesOf = (servers: StageServers): readonly Stage[] => [parseObjectsStage, insertTextStage(servers)];
