import { launchSimulator, type Simulator } from '../../../sim/server/launch.ts';
import { TestingClient } from '../../../sim/server/testing-client.ts';
import type { SimRelease } from '../../../sim/api/contract.ts';
import type { Clock } from '../../../src/core/ports.ts';
import { systemClock } from '../../../src/core/system-clock.ts';
import { type Answers, completeAnswers } from '../../../src/setup/answers.ts';
import { applyPlan, assertGoingOn, type Done, keyPlan, makeKey } from '../../../src/setup/apply.ts';
import { lookAt } from '../../../src/setup/look.ts';
import { planFor } from '../../../src/setup/plan.ts';
import { openArray, type OpenArray } from '../../../src/setup/session.ts';

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

  private constructor(sim: Simulator) {
    this.sim = sim;
    this.answers = completeAnswers({
      storage: 'tn',
      host: sim.host,
      port: sim.port,
      dataset: 'tank/pve/disks',
      portals: ['127.0.0.1'],
      initiators: { pve1: 'iqn.1993-08.org.debian:01:pve1', pve2: 'iqn.1993-08.org.debian:01:pve2' },
    });
  }

  static async begin(release: SimRelease): Promise<SetupStage> {
    return new SetupStage(await launchSimulator({ release, seed: null, delays: false }));
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
      const key = keyPlan(this.answers, OWNER, look, this.#held);
      if (!key.there) this.#held = await makeKey(array, key.request, done);
      return done;
    } finally {
      array.close();
    }
  }

  get held(): string | null {
    return this.#held;
  }

  /** Everything that the API shows of the array, without ids, hashes and times. */
  async state(): Promise<unknown> {
    await this.forgetLogins();
    const client = await TestingClient.open(this.sim);
    await client.call('auth.login_ex', { mechanism: 'API_KEY_PLAIN', username: this.sim.username, api_key: this.sim.apiKey });
    const collections = [
      'pool.dataset',
      'service',
      'iscsi.portal',
      'iscsi.initiator',
      'iscsi.target',
      'iscsi.extent',
      'iscsi.targetextent',
    ];
    const found: Record<string, unknown> = {};
    for (const name of [...collections, 'user', 'group', 'privilege', 'api_key']) {
      const { result, error } = await client.call(`${name}.query`);
      if (error !== undefined) throw new Error(`${name}: ${error.message}`);
      found[name] = plain(result);
    }
    client.socket.terminate();
    return found;
  }

  /** Tests log in more often than the 20 times a minute that TrueNAS lets through. */
  async forgetLogins(): Promise<void> {
    await this.sim.command({ command: 'reset-rate-limit' });
  }

  end(): Promise<void> {
    return this.sim.stop();
  }
}

const VOLATILE =
  /^(?:id|uid|gid|tag|rel_tgt_id|keyhash|stored_key|server_key|salt|user_identifier|created_at|creation|api_keys|portal|port|initiator|bsdgrp_gid|users|used.*|available|children)$/;

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !VOLATILE.test(key));
  // Datasets have no other name than their id.
  const id = 'id' in value && typeof value.id === 'string' ? { id: value.id } : {};
  return { ...id, ...Object.fromEntries(kept.map(([key, entry]) => [key, plain(entry)])) };
}
