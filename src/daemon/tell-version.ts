import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { withDeadline } from '../core/deadline.ts';
import type { Clock, Log } from '../core/ports.ts';
import { VERSION_FILE } from '../core/version-file.ts';
import { within } from '../host/waiting.ts';

/** ms; pmxcfs waits for the other nodes, and without quorum it refuses */
const WRITE_MS = 10_000;
/** ms until it is tried again where it could not be written */
const AGAIN_MS = 300_000;

export interface TellOptions {
  /** PVE's cluster file system, `/etc/pve`. */
  readonly pveDir: string;
  readonly node: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Tells the cluster which version runs on this node, for `pve-truenas doctor` on the others: a line in /etc/pve/nodes/NODE. Written only when it
 * is another one than stands there, so that a restart costs the cluster nothing. Nothing waits for it and nothing fails with it; it is
 * tried again until it stands. Returns the way to stop.
 */
export function tellVersion(options: TellOptions): () => void {
  const { clock, log } = options;
  let stopped = false;
  let cancel = (): void => undefined;
  let told = false;
  const attempt = (): void => {
    withDeadline(clock, WRITE_MS, "telling the cluster this daemon's version", (deadline) => within(write(options), deadline)).catch(
      (error: unknown) => {
        if (stopped) return;
        if (!told)
          log.info("the cluster was not told this daemon's version", { error: error instanceof Error ? error.message : String(error) });
        told = true;
        cancel = clock.after(AGAIN_MS, attempt);
      },
    );
  };
  attempt();
  return () => {
    stopped = true;
    cancel();
  };
}

async function write({ pveDir, node, version }: TellOptions): Promise<void> {
  const directory = `${pveDir}/nodes/${node}`;
  // Without pmxcfs there is an empty directory here: a file in it would be in the way of the next mount.
  if (
    !(await stat(`${pveDir}/.members`).then(
      (one) => one.isFile(),
      () => false,
    ))
  )
    throw new Error(`${pveDir} is not the cluster file system`);
  const file = `${directory}/${VERSION_FILE}`;
  if ((await readFile(file, 'utf8').catch(() => '')).trim() === version) return;
  await mkdir(directory, { recursive: true });
  const temporary = `${file}.tmp`;
  try {
    await writeFile(temporary, `${version}\n`);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
