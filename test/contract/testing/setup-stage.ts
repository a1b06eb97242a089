import { launchSimulator, type Simulator } from '../../../sim/server/launch.ts';
import type { SimRelease } from '../../../sim/api/contract.ts';
import type { Clock } from '../../../src/core/ports.ts';
import { systemClock } from '../../../src/core/system-clock.ts';
import { type Answers, completeAnswers } from '../../../src/setup/answers.ts';
import { applyPlan, assertGoingOn, type Done } from '../../../src/setup/apply.ts';
import { keyPlan, makeKey } from '../../../src/setup/key.ts';
import { lookAt } from '../../../src/setup/look.ts';
import { planFor } from '../../../src/setup/plan.ts';
import { arrayState, type ArrayState } from './array-state.ts';
import { openArray, type OpenArray } from '../../../src/setup/session.ts';

const NQN = 'nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-00000000000X';
export const OWNER = { storage: 'tn', cluster: 'lab' };

/** Waits of the client end a hundred times sooner: an answer that never comes is not waited for in full. */
const hasty: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic(),
  sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
  after: (ms, run) => systemClock.after(Math.max(ms / 100, 1), run),
};

/** A simulated array that holds a pool, and setup's part that concerns it, without PVE. */
export class SetupStage {
  readonly sim: Simulator;
  readonly answers: Answers;
  #held: string | null = null;

  private constructor(sim: Simulator, transport: Answers['transport']) {
    this.sim = sim;
    this.answers = completeAnswers({
      storage: 'tn',
      host: sim.host,
      port: sim.port,
      dataset: 'tank/pve/disks',
      transport,
      portals: ['127.0.0.1'],
      initiators: { pve1: 'iqn.1993-08.org.debian:01:pve1', pve2: 'iqn.1993-08.org.debian:01:pve2' },
      hosts: { pve1: NQN.replace('X', '1'), pve2: NQN.replace('X', '2') },
    });
  }

  static async begin(release: SimRelease, transport: Answers['transport'] = 'iscsi'): Promise<SetupStage> {
    return new SetupStage(await launchSimulator({ release, seed: null, delays: false }), transport);
  }

  async open(clock: Clock = systemClock): Promise<OpenArray> {
    const credential = { username: this.sim.username, apiKey: this.sim.apiKey };
    return openArray(this.answers, credential, this.sim.fingerprint, clock, new AbortController().signal);
  }

  /** One run, as `setup` does it up to the key; gives what it did. The key is kept as the node would keep it. */
  async run({ hurried = false, stop = new AbortController().signal, done = [] as Done[] } = {}): Promise<Done[]> {
    await this.forgetLogins();
    const array = await this.open(hurried ? hasty : systemClock);
    try {
      const look = await lookAt(array, this.answers);
      const plan = planFor(this.answers, OWNER, look);
      if (plan.problems.length > 0) throw new Error(plan.problems.join('; '));
      await applyPlan(array, plan, done, () => undefined, stop);
      assertGoingOn(stop);
      const key = keyPlan(this.answers, OWNER, look, { held: this.#held, inUse: false, now: Date.now() });
      if (key.problem !== null) throw new Error(key.problem);
      if (!key.there) this.#held = await makeKey(array, key, done);
      return done;
    } finally {
      array.close();
    }
  }

  get held(): string | null {
    return this.#held;
  }

  async state(): Promise<ArrayState> {
    await this.forgetLogins();
    return arrayState(this.sim);
  }

  /** Tests log in more often than the 20 times a minute that TrueNAS lets through. */
  async forgetLogins(): Promise<void> {
    await this.sim.command({ command: 'reset-rate-limit' });
  }

  end(): Promise<void> {
    return this.sim.stop();
  }
}
