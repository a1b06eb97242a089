import { describe, expect, it } from 'vitest';
import { deadlineAfter } from '../../core/deadline.ts';
import { ManualClock } from '../../core/testing/manual-clock.ts';
import type { Finding } from '../finding.ts';
import { FakeNode } from '../testing/fake-node-ports.ts';
import { recorded } from '../../host/testing/recordings.ts';
import { checkApart, checkWay } from './way.ts';

const PORTAL = { host: '10.99.0.5', port: 3260 };

/** A node whose `ip` says what a real one said. */
function nodeWith(route: string): FakeNode {
  const node = new FakeNode();
  const { exitCode, stdout, stderr } = recorded(`iproute2-6.15.0/${route}`);
  node.commands.answers.set('ip -json route get', exitCode === 0 ? { stdout } : new Error(stderr.trim()));
  node.files.put('/sys/class/net/eth0/mtu', '1500');
  return node;
}
const way = (node: FakeNode): Promise<readonly Finding[]> =>
  checkWay(node.ports(), PORTAL, deadlineAfter(new ManualClock(), 8_000, 'test'));
/** Sizes with headers of the pings that were sent. */
const pinged = (node: FakeNode): readonly number[] =>
  node.commands.asked.filter((line) => line.startsWith('ping')).map((line) => Number(/-s (\d+)/.exec(line)?.[1]) + 28);

describe('a way, as `ip` shows it', () => {
  it('directly connected: the MTU of the interface is probed', async () => {
    const node = nodeWith('route-direct');
    const [route, mtu] = await way(node);
    expect(route).toMatchObject({ state: 'ok', seen: '10.99.0.5 through eth0, directly connected, from 10.77.0.10' });
    expect(mtu).toMatchObject({ state: 'ok', seen: "1500 bytes by interface eth0; a don't-fragment ping of 1500 bytes came back" });
    expect(pinged(node)).toEqual([1500]);
  });
  it('by a gateway, with an MTU of its own: that one is probed', async () => {
    const node = nodeWith('route-by-gateway');
    const [route, mtu] = await way(node);
    expect(route?.seen).toContain('via 10.77.0.1');
    expect(mtu?.seen).toContain('1400 bytes by the route');
    expect(pinged(node)).toEqual([1400]);
  });
  it('none: an error, and no ping is sent', async () => {
    const node = nodeWith('route-none');
    expect((await way(node)).map(({ state }) => state)).toEqual(['error', 'skipped']);
    expect(pinged(node)).toEqual([]);
  });
  it('jumbo frames that a switch on the way drops', async () => {
    const node = nodeWith('route-direct');
    node.files.put('/sys/class/net/eth0/mtu', '9000');
    node.commands.answers.set('ping', (argv) => ({ exitCode: argv.includes('8972') ? 1 : 0 }));
    const [, mtu] = await way(node);
    expect(mtu).toMatchObject({ state: 'error', cure: expect.stringContaining('ping -M do -s 8972 10.99.0.5') as string });
  });
});

it('two portals: by one interface they are one way', async () => {
  const node = nodeWith('route-direct');
  const deadline = deadlineAfter(new ManualClock(), 8_000, 'test');
  expect(await checkApart(node.ports(), [PORTAL, { host: '10.77.0.1', port: 3260 }], deadline)).toMatchObject({ state: 'warning' });
  expect(await checkApart(node.ports(), [PORTAL], deadline)).toMatchObject({ state: 'ok' });
});
