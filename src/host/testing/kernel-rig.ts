import { deadlineAfter } from '../../core/deadline.ts';
import type { LunSpec } from '../../core/host-port.ts';
import type { Deadline } from '../../core/ports.ts';
import { createHost } from '../host.ts';
import { FakeNode, naaOf } from './fake-node.ts';
import type { FakeTarget } from './fake-node-state.ts';

export const IQN = 'iqn.2005-10.org.freenas.ctl:proxmox';
export const GIB = 1024 ** 3;
export const A = naaOf('a');
export const B = naaOf('b');
export const REF = { storage: 'tn', volume: 'vm-100-disk-0', naa: A };
export const LINK = '/dev/pve-truenas/tn/vm-100-disk-0';

export function setup(...portals: string[]): {
  node: FakeNode;
  target: FakeTarget;
  host: ReturnType<typeof createHost>['kernel'];
  within: (ms?: number) => Deadline;
} {
  const node = new FakeNode();
  const target = node.addTarget(IQN, ...(portals.length === 0 ? ['10.0.0.1:3260'] : portals));
  target.luns.set(1, { naa: A, size: GIB });
  return { node, target, host: createHost(node.context).kernel, within: (ms = 60_000) => deadlineAfter(node.clock, ms, 'test') };
}

export function lun(over: Partial<LunSpec> = {}): LunSpec {
  return {
    storage: 'tn',
    volume: 'vm-100-disk-0',
    iqn: IQN,
    portals: [{ host: '10.0.0.1', port: 3260 }],
    lun: 1,
    naa: A,
    serial: '0123456789abcde',
    size: GIB,
    multipath: false,
    ...over,
  };
}

export const TWO = [
  { host: '10.0.0.1', port: 3260 },
  { host: '10.0.1.1', port: 3260 },
];
export const two = (): ReturnType<typeof setup> => setup('10.0.0.1:3260', '10.0.1.1:3260');
