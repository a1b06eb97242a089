import { afterEach, describe, expect, it } from 'vitest';
import { SetupNode } from './testing/setup-node.ts';

const nodes: SetupNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.end()));
});
async function begin(): Promise<SetupNode> {
  const node = await SetupNode.begin('25.10', 'memory');
  nodes.push(node);
  node.sim.resetCalls();
  return node;
}

/** Only real LUNs can be written to. */
const ARGS = ['--no-probe'] as const;

/** State after one clean run, and the changes that it made. */
async function cleanRun() {
  const node = await begin();
  expect(await node.setup([...ARGS])).toMatchObject({ status: 0, err: '' });
  return { changes: node.changes(), wanted: await node.state() };
}

describe('setup that is interrupted', () => {
  it('and killed after each of its calls ends in the same state when it is run again', async () => {
    const { changes, wanted } = await cleanRun();
    expect(changes.length).toBeGreaterThanOrEqual(9);
    for (const { method, nth } of changes) {
      const node = await begin();
      // Done, but setup never hears of it
      node.sim.faults.add({ fault: 'drop-answer', method, nth });
      const { child, ended } = node.start([...ARGS]);
      await node.called(method, nth);
      child.kill('SIGKILL');
      expect((await ended).status, method).toBeNull();
      node.sim.faults.clear();
      expect(await node.setup([...ARGS]), method).toMatchObject({ status: 0, err: '' });
      expect(await node.state(), `${method} ${nth}`).toEqual(wanted);
    }
  }, 600_000);

  it.each(['before', 'after'])('and killed %s PVE adds the storage ends in the same state when it is run again', async (when) => {
    const { wanted } = await cleanRun();
    const node = await begin();
    expect((await node.setup([...ARGS], { PVESH_LITE_KILL: when })).status).toBeNull();
    // The stand-in for pvesh outlives setup
    if (when === 'after') expect(node.storageCfg).toContain('truenasplugin: tn');
    expect(await node.setup([...ARGS])).toMatchObject({ status: 0, err: '' });
    expect(await node.state()).toEqual(wanted);
  });

  it('by Ctrl-C during each of its calls takes back what it made, and nothing else', async () => {
    const { changes } = await cleanRun();
    const node = await begin();
    const before = await node.state();
    for (const { method, nth } of changes) {
      await node.forgetLogins();
      node.sim.resetCalls();
      node.sim.faults.add({ fault: 'latency', method, nth, ms: 500 });
      const { child, ended } = node.start([...ARGS]);
      await node.called(method, nth);
      child.kill('SIGINT');
      const { status, out, err } = await ended;
      expect({ status, err }, method).toEqual({
        status: 2,
        err: expect.stringContaining('what this run had made was taken back') as string,
      });
      expect(out, method).toMatch(/undone/);
      node.sim.faults.clear();
      expect(await node.state(), `${method} ${nth}`).toEqual(before);
    }
  }, 600_000);

  it('by Ctrl-C while PVE adds the storage removes it again, with the key', async () => {
    const node = await begin();
    const before = await node.state();
    const ended = await node.setup([...ARGS], { PVESH_LITE_KILL: 'interrupt' });
    expect(ended.status).toBe(2);
    expect(ended.out).toMatch(
      /undone +add the storage tn\n +undone +keep the API key\n +undone +make the API key\n +undone +make the privilege/,
    );
    expect(await node.state()).toEqual(before);
  });

  it.each(['SIGTERM', 'SIGHUP'] as const)('by %s takes back in reverse order', async (signal) => {
    const node = await begin();
    const before = await node.state();
    node.sim.faults.add({ fault: 'latency', method: 'iscsi.portal.create', ms: 500 });
    const { child, ended } = node.start([...ARGS]);
    await node.called('iscsi.portal.create', 1);
    child.kill(signal);
    const { status, out } = await ended;
    expect(status).toBe(2);
    expect(out).toMatch(
      /undone +make a portal on 127\.0\.0\.1\n +undone +start the iSCSI service\n +undone +enable the iSCSI service\n +undone +make dataset tank\/proxmox\n/,
    );
    expect(await node.state()).toEqual(before);
  });

  it('by a lost connection says what stays, and goes on from there', async () => {
    const { wanted } = await cleanRun();
    const node = await begin();
    node.sim.faults.add({ fault: 'cut-after', method: 'user.create' });
    const cut = await node.setup([...ARGS]);
    expect(cut.status).toBe(2);
    expect(cut.err).toContain('pve-truenas setup goes on from there');
    node.sim.faults.clear();
    expect(await node.setup([...ARGS])).toMatchObject({ status: 0, err: '' });
    expect(await node.state()).toEqual(wanted);
  });
});
