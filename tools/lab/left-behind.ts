import { readdir, readFile } from 'node:fs/promises';

/** Where one run of the lab's tests has all that is its own. */
export interface Place {
  /** `LAB_RUN` of the run; those of its workers lie below. Every process of the run has it in its environment. */
  readonly run: string;
  /** Network namespace; those of the workers begin with it. */
  readonly namespace: string;
  /** `LAB_DIR`: what is built. */
  readonly lab: string;
}

export interface Leftovers {
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
  /** Names. */
  readonly namespaces: readonly string[];
  /** Mount points. */
  readonly mounts: readonly string[];
}

/** What of a run is still there. */
export async function leftBehind(place: Place): Promise<Leftovers> {
  const all = await readdir('/run/netns').catch(() => []);
  return {
    processes: await processes(place.run),
    namespaces: all.filter((name) => name === place.namespace || name.startsWith(`${place.namespace}-`)),
    mounts: mountsBelow(await readFile('/proc/self/mountinfo', 'utf8'), place),
  };
}

/** One line for each thing; none when nothing is left. */
export function tell({ processes: running, namespaces, mounts }: Leftovers): readonly string[] {
  return [
    ...running.map(({ pid, command }) => `process ${pid}: ${command.slice(0, 160)}`),
    ...namespaces.map((name) => `network namespace ${name}`),
    ...mounts.map((point) => `mount ${point}`),
  ];
}

/** Processes that were started with this `LAB_RUN` or one below it. One that ends meanwhile, or is a stranger's, is none. */
async function processes(run: string): Promise<Leftovers['processes']> {
  const found: { pid: number; command: string }[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const environment = (await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')).split('\0');
    if (!environment.some((entry) => entry === `LAB_RUN=${run}` || entry.startsWith(`LAB_RUN=${run}/`))) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command !== '') found.push({ pid: Number(pid), command: command.replaceAll('\0', ' ').trim() });
  }
  return found;
}

/** Mount points of `mountinfo`'s text that lie in the run's or the lab's directory, or hold one of its namespaces. */
export function mountsBelow(mountinfo: string, { run, namespace, lab }: Place): readonly string[] {
  const points = mountinfo.split('\n').map((line) => line.split(' ')[4] ?? '');
  const below = (point: string): boolean => [run, lab].some((folder) => point === folder || point.startsWith(`${folder}/`));
  const holds = (point: string): boolean => point === `/run/netns/${namespace}` || point.startsWith(`/run/netns/${namespace}-`);
  return [...new Set(points.filter((point) => below(point) || holds(point)))];
}
