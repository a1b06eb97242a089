import type { SimRelease } from '../../../sim/api/contract.ts';
import { LabAgent } from '../../../sim/blocks/lab/lab-agent.ts';
import { ArrayDriver } from '../../../sim/state/array-driver.ts';
import { Dice, type RandomCall, randomCall } from './random-calls.ts';
import { answer, difference, type Tolerance } from './same-answer.ts';

export interface Episode {
  /** directory of the running VM */
  readonly vm: string;
  readonly release: SimRelease;
  readonly seed: number;
  readonly calls: number;
}

export interface Outcome {
  /** calls whose answers and state were the same */
  readonly same: number;
  /** of them those that did not fail */
  readonly succeeded: number;
  /** each with the calls that led to it; after one of state the episode is over */
  readonly differences: readonly string[];
}

/** How many calls a report of a difference shows before the one that differed. */
const SHOWN = 15;
/** Share of the calls before which the lab reads its whole pool, so that numbers of space are compared as well. */
const WHOLE = 0.02;
/** ms by which the lab's clock goes on so that it reads the whole pool (lab-engine.ts) */
const LATER = 1000;
/**
 * Everything below the root dataset goes; busy ones are tried again when udev is done (RP-02). udev keeps the rules that make
 * the nodes of volumes: nothing here asks what is on them, and looking costs most of the time.
 */
const EMPTY_POOL = String.raw`
if mkdir /run/rules-of-volumes 2> /dev/null; then
  cp /usr/lib/udev/rules.d/{50-udev-default.rules,*zvol*} /run/rules-of-volumes/
  mount --bind /run/rules-of-volumes /usr/lib/udev/rules.d
  udevadm control --reload
fi
for f in /run/zfs/open-*; do [[ -s $f ]] && kill "$(< "$f")"; rm -f "$f"; done
for n in 1 2 3 4 5; do
  for d in $(zfs list -Hpo name -d 1 tank | tail -n +2); do
    for s in $(zfs list -Hpo name -t snapshot -r "$d"); do zfs holds -H "$s" | cut -f2 | while IFS= read -r tag; do zfs release "$tag" "$s"; done; done
    zfs destroy -R "$d"
  done
  [[ $(zfs list -Hpo name -r tank | wc -l) == 1 ]] && exit 0
  udevadm settle -t 10
done
exit 1`.replaceAll('\\$', '$');

/** The same random calls to an array in memory and to one whose zvols are real, until their state differs. */
export async function compare(episode: Episode): Promise<Outcome> {
  const emptied = await new LabAgent(episode.vm, [0]).run(EMPTY_POOL, { seconds: 300 });
  if (emptied.status !== 0) throw new Error(`the pool in the VM could not be emptied: ${emptied.stderr}`);
  const lab = new ArrayDriver({ blocks: 'lab', vm: episode.vm, release: episode.release });
  await lab.array.start();
  try {
    const memory = new ArrayDriver({ release: episode.release, poolSize: await poolSize(lab) });
    await memory.array.start();
    // exports are served by neither: what holds a zvol open are the calls that do
    for (const driver of [memory, lab]) await stopServices(driver);
    return await run(episode, memory, lab);
  } finally {
    await lab.array.stop();
  }
}

/** `lab` is the array that is compared with the one in memory. */
export async function run({ release, seed, calls }: Omit<Episode, 'vm'>, memory: ArrayDriver, lab: ArrayDriver): Promise<Outcome> {
  const dice = new Dice(seed);
  const made: RandomCall[] = [];
  const differences: string[] = [];
  let same = 0;
  let succeeded = 0;
  while (made.length < calls) {
    const call = randomCall(dice, release, (method) => memory.has(method));
    made.push(call);
    const whole = dice.chance(WHOLE);
    const later = (): void => {
      if (whole) for (const driver of [memory, lab]) driver.time += LATER;
    };
    later();
    const tolerance: Tolerance = whole ? 'space' : 'no space';
    const found = await answer(lab, call);
    const inAnswer = difference(await answer(memory, call), found, tolerance);
    later();
    const inState = await stateDifference(memory, lab, tolerance);
    for (const one of [inAnswer, inState]) if (one !== null) differences.push(report(release, seed, made, one));
    if (inState !== null) break;
    if (inAnswer !== null) continue;
    same += 1;
    if ('result' in found) succeeded += 1;
  }
  return { same, succeeded, differences };
}

async function poolSize(driver: ArrayDriver): Promise<number> {
  const [pool] = (await driver.call('pool.query')) as readonly { readonly size: number }[];
  return pool?.size ?? 0;
}

async function stopServices(driver: ArrayDriver): Promise<void> {
  const old = driver.release === '25.04';
  await driver.call(old ? 'service.stop' : 'service.control', ...(old ? [] : ['STOP']), 'iscsitarget', {});
}

async function stateDifference(memory: ArrayDriver, lab: ArrayDriver, tolerance: Tolerance): Promise<string | null> {
  const states: RandomCall[] = [
    { method: 'pool.dataset.query', args: [[], { extra: { snapshots_count: true } }] },
    {
      method: memory.snapshots('query'),
      args: [[], { extra: { holds: true, properties: ['volsize', 'userrefs', 'defer_destroy', 'clones'] } }],
    },
  ];
  for (const state of states) {
    const different = difference(await answer(memory, state), await answer(lab, state), tolerance);
    if (different !== null) return `state after it, ${state.method}${different}`;
  }
  return null;
}

function report(release: SimRelease, seed: number, made: readonly RandomCall[], different: string): string {
  const last = made.slice(-SHOWN).map((one) => `  ${one.method} ${JSON.stringify(one.args)}`);
  return `release ${release}, seed ${seed}, call ${made.length}: memory / lab differ at ${different}\n${last.join('\n')}`;
}
