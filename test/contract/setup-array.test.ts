import { afterEach, describe, expect, it } from 'vitest';
import { SIM_RELEASES } from '../../sim/api/contract.ts';
import { expandRoles } from '../../sim/auth/roles.ts';
import { TestingClient } from '../../sim/server/testing-client.ts';
import type { Answers } from '../../src/setup/answers.ts';
import type { Done } from '../../src/setup/apply.ts';
import { takeBack } from '../../src/setup/apply.ts';
import { lookAt } from '../../src/setup/look.ts';
import { ROLES } from '../../src/setup/parts/account.ts';
import { SETUP_PROPERTY } from '../../src/setup/marks.ts';
import { planFor } from '../../src/setup/plan.ts';
import { removalFor } from '../../src/setup/removal.ts';
import { missingRoles } from '../../src/volumes/needed-roles.ts';
import { rowsOf } from './testing/array-state.ts';
import { OWNER, SetupStage } from './testing/setup-stage.ts';

let stages: SetupStage[] = [];
afterEach(async () => {
  await Promise.all(stages.map((stage) => stage.end()));
  stages = [];
});

async function begin(release: (typeof SIM_RELEASES)[number], transport: Answers['transport'] = 'iscsi'): Promise<SetupStage> {
  const stage = await SetupStage.begin(release, transport);
  stages.push(stage);
  return stage;
}

const CHANGE = /\.(?:create|update|delete|start|control)$/;

/** Every change that a clean run makes: method, and which call of it. */
async function changesOf(stage: SetupStage): Promise<readonly { readonly method: string; readonly nth: number }[]> {
  stage.sim.resetCalls();
  await stage.run();
  const counts = Object.entries(stage.sim.calls()).filter(([method]) => CHANGE.test(method));
  return counts.flatMap(([method, count]) => Array.from({ length: count }, (_, index) => ({ method, nth: index + 1 })));
}

const FAULTS = ['cut-before', 'cut-after', 'drop-answer'] as const;
/** A change that happened and is not known of: where the releases differ, they differ in this. */
const LOST = ['cut-after'] as const;

describe.each([
  { release: '25.04', transport: 'iscsi', changes: 10, faults: LOST },
  { release: '25.10', transport: 'iscsi', changes: 10, faults: FAULTS },
  { release: '26.0', transport: 'iscsi', changes: 10, faults: LOST },
  { release: '25.10', transport: 'nvme-tcp', changes: 14, faults: FAULTS },
  { release: '26.0', transport: 'nvme-tcp', changes: 14, faults: LOST },
] as const)('setup on $release by $transport', ({ release, transport, changes, faults }) => {
  it('makes what is missing, and a second run finds all of it', async () => {
    const stage = await begin(release, transport);
    const done = await stage.run();
    expect(done).toHaveLength(changes);
    const state = await stage.state();
    expect(await stage.run()).toEqual([]);
    expect(await stage.state()).toEqual(state);
  });

  it.each(faults)(
    'ends in the same state after %s at each of its changes',
    async (fault) => {
      const clean = await begin(release, transport);
      const all = await changesOf(clean);
      expect(all).toHaveLength(changes);
      const wanted = await clean.state();
      for (const { method, nth } of all) {
        const stage = await begin(release, transport);
        stage.sim.faults.add({ fault, method, nth });
        await expect(stage.run({ hurried: true }), method).rejects.toThrow();
        stage.sim.faults.clear();
        await stage.run();
        expect(await stage.state(), `${method} ${nth}`).toEqual(wanted);
        expect(stage.held, method).not.toBeNull();
        await stage.end();
      }
    },
    300_000,
  );

  it('takes back in reverse order what an interrupted run made, after each of its changes', async () => {
    const whole = await begin(release, transport);
    const count = (await whole.run()).length;
    const stage = await begin(release, transport);
    const before = await stage.state();
    for (let after = 1; after < count; after += 1) {
      const stop = new AbortController();
      const done: Done[] = [];
      const push = done.push.bind(done);
      done.push = (...steps) => {
        const length = push(...steps);
        if (length === after) stop.abort();
        return length;
      };
      await expect(stage.run({ stop: stop.signal, done })).rejects.toThrow('interrupted');
      expect(done).toHaveLength(after);
      expect(await takeBack(done, () => undefined)).toEqual([]);
      expect(await stage.state(), `after ${after}`).toEqual(before);
    }
  }, 300_000);

  it('removes all that it made, and nothing else', async () => {
    const stage = await begin(release, transport);
    const before = await stage.state();
    await stage.run();
    const array = await stage.open();
    const { removals, stays } = removalFor(stage.answers, OWNER, await lookAt(array, stage.answers));
    for (const { request } of removals) await array.call(request);
    array.close();
    const kept = transport === 'iscsi' ? [/^iSCSI service/] : [/^NVMe hosts and ports/, /^NVMe-oF service/];
    expect(stays).toEqual(kept.map((text) => expect.stringMatching(text) as string));
    const after = await stage.state();
    const { service, 'nvmet.host': hosts = [], 'nvmet.port': ports = [] } = after;
    expect(after).toEqual(
      transport === 'iscsi' ? { ...before, service } : { ...before, service, 'nvmet.host': hosts, 'nvmet.port': ports },
    );
  });
});

describe.each(SIM_RELEASES)('setup on %s', (release) => {
  it('gives the user no role beyond what the plugin needs, and all that it needs but the rollback of 25.04', () => {
    const missing = missingRoles([...expandRoles(ROLES.iscsi)], release).map(({ anyOf }) => anyOf[0]);
    expect(missing).toEqual(release === '25.04' ? ['FULL_ADMIN'] : []);
    for (const role of ROLES.iscsi) {
      const without = missingRoles([...expandRoles(ROLES.iscsi.filter((one) => one !== role))], release);
      expect(without.length, role).toBeGreaterThan(missing.length);
    }
  });

  it('changes nothing of others, on an array full of their things', async () => {
    const stage = await begin(release);
    const client = await TestingClient.open(stage.sim);
    const call = async (method: string, ...params: unknown[]): Promise<{ id: number }> => {
      const reply = await client.call(method, ...params);
      expect(reply.error, method).toBeUndefined();
      return reply.result as { id: number };
    };
    await call('auth.login_ex', { mechanism: 'API_KEY_PLAIN', username: stage.sim.username, api_key: stage.sim.apiKey });
    await call('pool.dataset.create', { name: 'tank/pve', type: 'FILESYSTEM', comments: 'mine' });
    const portal = await call('iscsi.portal.create', { listen: [{ ip: '0.0.0.0' }], comment: 'mine' });
    const initiator = await call('iscsi.initiator.create', { initiators: ['iqn.2000-01.org.other:x'], comment: 'mine' });
    const groups = [{ portal: portal.id, initiator: initiator.id, authmethod: 'NONE', auth: null }];
    await call('iscsi.target.create', { name: 'other', groups });
    await call('group.create', { name: 'people', smb: false });
    await call('user.create', { username: 'somebody', full_name: 'x', group_create: true, password: 'p', smb: false });
    client.socket.terminate();
    const before = rowsOf(await stage.state());
    await stage.run();
    const after = rowsOf(await stage.state());
    for (const row of before) expect(after).toContain(row);
  });

  it('refuses a target and a user of others by name, before it changes anything', async () => {
    const stage = await begin(release);
    const client = await TestingClient.open(stage.sim);
    await client.call('auth.login_ex', { mechanism: 'API_KEY_PLAIN', username: stage.sim.username, api_key: stage.sim.apiKey });
    await client.call('iscsi.target.create', { name: 'proxmox', groups: [] });
    await client.call('user.create', { username: 'pve-truenas', full_name: 'x', group_create: true, password: 'p', smb: false });
    client.socket.terminate();
    const before = await stage.state();
    await expect(stage.run()).rejects.toThrow(/target proxmox was made by somebody else.*user pve-truenas was made by somebody else/);
    expect(await stage.state()).toEqual(before);
  });

  it('names the roles that the administrator lacks, a pool and an address that are not there', async () => {
    const stage = await begin(release);
    const array = await stage.open();
    const look = await lookAt(array, stage.answers);
    array.close();
    const answers = { ...stage.answers, dataset: 'none/x', portals: ['192.0.2.9'] };
    const { problems } = planFor(answers, OWNER, { ...look, roles: ['READONLY_ADMIN'] });
    expect(problems.join('\n')).toMatch(/lacks the roles DATASET_WRITE.*\n.*no pool none.*\n.*no address 192\.0\.2\.9/s);
  });

  it('takes no dataset that was made for another storage, and no NVMe-oF where there is none', async () => {
    const stage = await begin(release, 'nvme-tcp');
    const array = await stage.open();
    const look = await lookAt(array, stage.answers);
    array.close();
    const theirs = {
      ...look,
      datasets: [{ id: 'tank/pve/disks', type: 'FILESYSTEM', user_properties: { [SETUP_PROPERTY]: 'x@other tank/pve/disks' } }],
    };
    const { problems } = planFor(stage.answers, OWNER, theirs);
    expect(problems.join('\n')).toMatch(/made for another storage \(x@other\)/);
    expect(problems.some((text) => text.includes('25.04 has no NVMe-oF'))).toBe(release === '25.04');
  });
});
