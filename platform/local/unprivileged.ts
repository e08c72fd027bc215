/**
 * PostgreSQL refuses to run as root. Where we are root, this finds a way to run it as `nobody`, an account that every
 * system has.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, statSync } from 'node:fs';

export type RunAs = {
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  /** Words to put before the command. */
  readonly prefix: readonly string[];
};

const idOf = (option: '-u' | '-g'): number => Number(execFileSync('id', [option, 'nobody'], { encoding: 'utf8' }));

/**
 * True if a process started like this may enter the folder and run the program: asked by trying, as only the kernel
 * knows all rules.
 */
const canReach = ({ user, prefix }: RunAs, program: string, folder: string): boolean => {
  const [command = '', ...words] = [...prefix, 'sh', '-c', 'test -x "$1" && cd "$2"', 'sh', program, folder];
  return spawnSync(command, words, { cwd: '/', stdio: 'ignore', ...(user ?? {}) }).status === 0;
};

/**
 * Gives `folder` to the account that PostgreSQL will run as, and returns that account; where we are not root, nothing
 * is to be done. A folder that already belongs to an ordinary user (who once ran this home) stays with that user, as
 * all data in it does.
 */
export const giveAway = (folder: string): RunAs['user'] => {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = statSync(folder);
  if (uid !== 0) return { uid, gid };
  const nobody = { uid: idOf('-u'), gid: idOf('-g') };
  chownSync(folder, nobody.uid, nobody.gid);
  return nobody;
};

/**
 * How to run `program` on `folder`, which `user` owns. Folders above either may be closed to that user (`/root`, a
 * temporary folder of mode 0700): then, on Linux, it keeps one capability of root, to pass by file permissions.
 * Rejected: copying program and data to where the user may go (data must stay below the home), opening the folders
 * above (not ours to open), and a user namespace (containers forbid it).
 */
export const unprivileged = (user: RunAs['user'], program: string, folder: string): RunAs => {
  const plain: RunAs = { user, prefix: [] };
  if (!user || canReach(plain, program, folder)) return plain;
  const capable: RunAs = {
    user: undefined,
    prefix: [
      'setpriv',
      ...[`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'],
      ...['--inh-caps=+dac_override', '--ambient-caps=+dac_override'],
      // Without it access(2), by which PostgreSQL checks its own files, would leave the capability out of account.
      ...['--securebits=+no_setuid_fixup', '--'],
    ],
  };
  if (canReach(capable, program, folder)) return capable;
  throw new Error(
    `PostgreSQL does not run as root, and the user that it would run as (uid ${user.uid}) can't reach ${program} or ${folder}. ` +
      'Start Millrace as an ordinary user, or move the checkout and MILLRACE_HOME below a folder that everybody may enter ' +
      '(mode 0755), or set DATABASE_URL to a PostgreSQL that runs already.',
  );
};
