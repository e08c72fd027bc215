/** k6: the one on the PATH, or else one that Go builds into the folder of programs, once. */
import { join } from 'node:path';
import type { Log } from '#platform/local/home.ts';
import { fetchWithGo, findOnPath, type Program, programsFolder, tryProgram } from '#platform/local/programs.ts';
import { isAtLeast, versions, versionText } from '#platform/local/versions.ts';

const { module, pin, least } = versions.k6;

export const findK6 = async (log: Log): Promise<Program> => {
  const onPath = findOnPath('k6');
  const found = onPath ? await tryProgram(onPath, 'version', 'the PATH') : undefined;
  if (found && isAtLeast(found.version, least)) return found;
  const target = join(programsFolder, `k6-${pin}`);
  const probe = () => tryProgram(join(target, 'k6'), 'version', `go install ${pin}`);
  const kept = await probe();
  if (kept) return kept;
  const goPath = findOnPath('go');
  const go = goPath ? await tryProgram(goPath, 'version', 'the PATH') : undefined;
  const old = found
    ? `k6 ${versionText(found.version)} on the PATH is older than ${versionText(least)}`
    : 'there is no k6 on the PATH';
  let fault = 'there is no Go here to build it';
  if (go && !isAtLeast(go.version, versions.go.least))
    fault = `Go ${versionText(go.version)} is older than ${versionText(versions.go.least)}`;
  else if (go) {
    const built = await fetchWithGo(module, pin, { target, probe, log });
    if ('program' in built) return built.program;
    fault = built.fault;
  }
  throw new Error(
    `${old}, and it could not be built (${fault}). Get it by one of these:\n` +
      `  go install ${module}@${pin}     (with Go from https://go.dev/dl; then put "$(go env GOPATH)/bin" on the PATH)\n` +
      '  brew install k6\n' +
      '  or a package from https://grafana.com/docs/k6/latest/set-up/install-k6',
  );
};
