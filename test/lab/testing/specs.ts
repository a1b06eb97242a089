import type { Spec } from './operations.ts';

export const GIB = 2 ** 30;
export const IQN = 'iqn.2005-10.org.freenas.ctl:lab';
export const PORTALS = [
  { host: '127.0.0.1', port: 3260 },
  { host: '127.0.0.2', port: 3260 },
] as const;

/** What TrueNAS would say of volume `number`, whatever stands at its LUN. */
export function specOf(number: number, over: { readonly lun?: number; readonly size?: number } = {}): Spec {
  const serial = `000000a1b2c3d4e5f60${String(1000 + number)}00`;
  return {
    storage: 'nas',
    volume: `vm-${100 + number}-disk-0`,
    iqn: IQN,
    portals: [PORTALS[0]],
    lun: over.lun ?? number,
    naa: `0x6589cfc${serial}`,
    serial,
    size: over.size ?? GIB,
    multipath: false,
  };
}

export function linkOf(spec: Spec): string {
  return `/dev/pve-truenas/${spec.storage}/${spec.volume}`;
}
