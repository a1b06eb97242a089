import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { ServedLun, ServedTarget } from '../lun-server.ts';
import { type ConfigStep, type ConfigTree, parseTree } from './configfs-shell.ts';
import { lioConfig } from './lio-config.ts';
import { lioPlan } from './lio-plan.ts';
import { standing } from './lio-standing.ts';

const RECORDED = new URL('testing/lio-linux-6.12.107.json', import.meta.url);
const BASE = 'iqn.2005-10.org.freenas.ctl';
const FABRIC = 'target/iscsi';
const NAMED = ['iqn.2026-01.org.example:n1', 'iqn.2026-01.org.example:n2'];
const OWN = ['127.0.0.1', '10.77.0.10', '::1'];

/** What a kernel of Linux 6.12.107 showed of the two targets below. */
function recorded(): ConfigTree {
  const words = z.array(z.array(z.string()).length(3)).parse(JSON.parse(readFileSync(RECORDED, 'utf8')));
  return parseTree(words.map((three) => three.map((word) => `${word}\0`).join('')).join(''));
}

const lun = (number: number, naa: string, device: string, extra: Partial<ServedLun> = {}): ServedLun => ({
  lun: number,
  key: device,
  device: `/dev/zvol/tank/pve/${device}`,
  size: 2 ** 30,
  serial: 'be7b5d6327ba7fb',
  naa: `0x${naa}`,
  vendor: 'TrueNAS',
  productId: 'iSCSI Disk',
  blockSize: 512,
  readOnly: false,
  rotational: false,
  ...extra,
});
const P = lun(0, '6589cfc00000019bfcc62636bc5439e0', 'p');
const Q = lun(3, '6589cfc0000002d12f59068ba956ad52', 'q', { blockSize: 4096, readOnly: true, rotational: true, productId: 'Cold' });
const OPEN: ServedTarget = {
  id: 1,
  iqn: `${BASE}:pve`,
  portals: [{ ip: '127.0.0.1', port: 3260 }],
  luns: [P],
  initiators: 'ALL',
  incoming: [],
  outgoing: null,
};
const CLOSED: ServedTarget = {
  id: 2,
  iqn: `${BASE}:closed`,
  portals: [
    { ip: '10.77.0.10', port: 3260 },
    { ip: '::1', port: 3260 },
  ],
  luns: [Q],
  initiators: NAMED,
  incoming: [{ user: 'pve', secret: 'twelve-chars-1' }],
  outgoing: { user: 'nas', secret: 'twelve-chars-2' },
};

function plan(targets: readonly ServedTarget[], tree: ConfigTree = recorded(), devices = tree.devices): string[] {
  return lioPlan(lioConfig(targets, devices, OWN), standing(tree))
    .flat()
    .map(words);
}
const words = (step: ConfigStep): string => step.join(' ').replaceAll(`${FABRIC}/${BASE}:`, '');

describe('the configuration of LIO', () => {
  it('is left alone when it is what it shall be: a simulator that starts again touches nothing', () => {
    expect(plan([OPEN, CLOSED])).toEqual([]);
  });

  it('loses one target without a step on the other', () => {
    const steps = plan([OPEN]);
    expect(steps[0]).toBe('write closed/tpgt_1/enable 0');
    expect(steps.slice(-3)).toEqual(['rmdir closed/tpgt_1', 'rmdir closed', `rmdir target/core/iblock_17/${Q.naa.slice(2)}`]);
    expect(steps.filter((one) => one.includes('pve/'))).toEqual([]);
    // links before what they are in, LUNs of initiators before those of the target (RP-17)
    const at = (text: string): number => steps.findIndex((one) => one.startsWith(text));
    expect(at('unlink closed/tpgt_1/acls')).toBeLessThan(at('rmdir closed/tpgt_1/acls/iqn.2026-01.org.example:n1/lun_3'));
    expect(at('rmdir closed/tpgt_1/acls/iqn.2026-01.org.example:n2')).toBeLessThan(at('unlink closed/tpgt_1/lun/lun_3/'));
  });

  it('gains a LUN on a target in use by steps on that LUN alone', () => {
    const tree = recorded();
    const devices = new Map([...tree.devices, ['/dev/zvol/tank/pve/r', '230:64']]);
    const R = lun(7, '6589cfc000000aaaaaaaaaaaaaaaaaaa', 'r');
    const steps = plan([{ ...OPEN, luns: [P, R] }, CLOSED], tree, devices);
    const disk = 'target/core/iblock_17/6589cfc000000aaaaaaaaaaaaaaaaaaa';
    expect(steps).toEqual([
      'mkdir target/core/iblock_17',
      `mkdir ${disk}`,
      `write ${disk}/control udev_path=/dev/zvol/tank/pve/r`,
      `write ${disk}/enable 1`,
      `write ${disk}/wwn/vpd_unit_serial 000000aaaaaaaaaaaaaaaaaaa`,
      `write ${disk}/wwn/company_id 0x589cfc`,
      `write ${disk}/wwn/vendor_id TrueNAS`,
      `write ${disk}/wwn/product_id iSCSI Disk`,
      `write ${disk}/wwn/revision 0123`,
      `write ${disk}/attrib/block_size 512`,
      `write ${disk}/attrib/is_nonrot 1`,
      `write ${disk}/attrib/emulate_tpu 1`,
      'mkdir pve/tpgt_1/lun/lun_7',
      `link ${disk} pve/tpgt_1/lun/lun_7/6589cfc000000aaaaaaaaaaaaaaaaaaa`,
    ]);
  });

  it('shows a LUN of a closed target to each named initiator', () => {
    const tree = recorded();
    const steps = plan([OPEN, { ...CLOSED, luns: [Q, { ...P, lun: 4 }] }], tree);
    expect(steps.filter((one) => one.startsWith('mkdir'))).toEqual([
      'mkdir closed/tpgt_1/lun/lun_4',
      ...NAMED.map((name) => `mkdir closed/tpgt_1/acls/${name}/lun_4`),
    ]);
  });

  it('maps another zvol at the number of one that went (RP-13)', () => {
    const steps = plan([{ ...OPEN, luns: [{ ...Q, lun: 0 }] }, CLOSED]);
    expect(steps).toEqual([
      `unlink pve/tpgt_1/lun/lun_0/${P.naa.slice(2)}`,
      'rmdir pve/tpgt_1/lun/lun_0',
      `rmdir target/core/iblock_17/${P.naa.slice(2)}`,
      'mkdir pve/tpgt_1/lun/lun_0',
      `link target/core/iblock_17/${Q.naa.slice(2)} pve/tpgt_1/lun/lun_0/${Q.naa.slice(2)}`,
    ]);
  });

  it('keeps the export of a zvol that was renamed (RP-04) or grown (RP-11)', () => {
    const tree = recorded();
    const moved = { ...P, device: '/dev/zvol/tank/pve/renamed', size: 2 ** 31 };
    expect(plan([{ ...OPEN, luns: [moved] }, CLOSED], tree, new Map([...tree.devices, [moved.device, '230:32']]))).toEqual([]);
  });

  it.each([
    ['another zvol behind the extent', { device: '/dev/zvol/tank/pve/q' }],
    ['read-only', { readOnly: true }],
    ['another block size', { blockSize: 4096 }],
    ['another product', { productId: 'Other' }],
    ['another rotation', { rotational: true }],
  ] as const)('makes a disk anew for %s, since LIO changes none that is mapped', (_, change) => {
    const steps = plan([{ ...OPEN, luns: [{ ...P, ...change }] }, CLOSED]);
    const disk = `target/core/iblock_17/${P.naa.slice(2)}`;
    expect(steps.indexOf('rmdir pve/tpgt_1/lun/lun_0')).toBeLessThan(steps.indexOf(`rmdir ${disk}`));
    expect(steps.indexOf(`rmdir ${disk}`)).toBeLessThan(steps.indexOf(`mkdir ${disk}`));
    expect(steps.some((one) => one.includes('closed/'))).toBe(false);
  });

  it('makes a half made disk anew', () => {
    const tree = recorded();
    const path = `target/core/iblock_17/${P.naa.slice(2)}/attrib/emulate_tpu`;
    expect(plan([OPEN, CLOSED], { ...tree, files: new Map([...tree.files, [path, '0']]) })).toContain(`mkdir ${path.split('/attrib')[0]}`);
  });

  it('changes a secret where it is asked for, and takes a mutual one away', () => {
    const steps = plan([OPEN, { ...CLOSED, incoming: [{ user: 'pve', secret: 'another-one-1' }], outgoing: null }]);
    const at = (place: string): string[] => [
      `write ${place}/auth/password another-one-1`,
      `write ${place}/auth/userid_mutual NULL`,
      `write ${place}/auth/password_mutual NULL`,
    ];
    expect(steps).toEqual(['closed/tpgt_1', ...NAMED.map((name) => `closed/tpgt_1/acls/${name}`)].flatMap(at));
  });

  it('asks for CHAP before anybody can log in to a new target', () => {
    const tree = parseTree('');
    const steps = plan([CLOSED], tree, recorded().devices);
    expect(steps.at(-1)).toBe('write closed/tpgt_1/enable 1');
    expect(steps).toContain('write closed/tpgt_1/attrib/authentication 1');
    expect(steps).toContain('write closed/tpgt_1/attrib/generate_node_acls 0');
    expect(steps).toContain('write closed/tpgt_1/auth/password twelve-chars-1');
    expect(steps).toContain('mkdir closed/tpgt_1/np/[::1]:3260');
  });

  it('lets an initiator in and puts one out without a step on the others', () => {
    const [first = '', second = ''] = NAMED;
    const steps = plan([OPEN, { ...CLOSED, initiators: [second, 'iqn.new'] }]);
    expect(steps.slice(0, 3)).toEqual([
      `unlink closed/tpgt_1/acls/${first}/lun_3/lun_3`,
      `rmdir closed/tpgt_1/acls/${first}/lun_3`,
      `rmdir closed/tpgt_1/acls/${first}`,
    ]);
    expect(steps).toContain('link closed/tpgt_1/lun/lun_3 closed/tpgt_1/acls/iqn.new/lun_3/lun_3');
    expect(steps.some((one) => one.includes(second))).toBe(false);
  });

  it('makes a target that was open to everybody anew when it is restricted, since LIO remembers guests', () => {
    const steps = plan([{ ...OPEN, initiators: NAMED }, CLOSED]);
    expect(steps[0]).toBe('write pve/tpgt_1/enable 0');
    expect(steps).toContain('mkdir pve/tpgt_1');
    expect(steps).toContain('write pve/tpgt_1/attrib/generate_node_acls 0');
    expect(steps.at(-1)).toBe('write pve/tpgt_1/enable 1');
    expect(steps.some((one) => one.includes('iblock_17/') && one.startsWith('rmdir'))).toBe(false);
  });

  it('does not cut off a named initiator that is logged in when the target is opened to everybody', () => {
    const tree = recorded();
    const [first = '', second = ''] = NAMED;
    const info = `${FABRIC}/${BASE}:closed/tpgt_1/acls/${first}/info`;
    const steps = plan([OPEN, { ...CLOSED, initiators: 'ALL' }], {
      ...tree,
      files: new Map([...tree.files, [info, `InitiatorName: ${first}`]]),
    });
    expect(steps).toContain('write closed/tpgt_1/attrib/generate_node_acls 1');
    expect(steps).toContain(`rmdir closed/tpgt_1/acls/${second}`);
    expect(steps.some((one) => one.includes(first))).toBe(false);
  });

  it('moves portals one by one; all addresses are each for itself', () => {
    expect(plan([{ ...OPEN, portals: [{ ip: '0.0.0.0', port: 3260 }] }, CLOSED])).toEqual(['mkdir pve/tpgt_1/np/10.77.0.10:3260']);
    expect(plan([{ ...OPEN, portals: [{ ip: '127.0.0.1', port: 3261 }] }, CLOSED])).toEqual([
      'rmdir pve/tpgt_1/np/127.0.0.1:3260',
      'mkdir pve/tpgt_1/np/127.0.0.1:3261',
    ]);
    expect(plan([{ ...OPEN, portals: [{ ip: '::', port: 3260 }] }, CLOSED])).toContain('mkdir pve/tpgt_1/np/[::1]:3260');
  });

  it('does not touch a target that shows disks which somebody else made', () => {
    const tree = recorded();
    const place = `${FABRIC}/${BASE}:lab`;
    const foreign: ConfigTree = {
      ...tree,
      directories: new Set([...tree.directories, place, `${place}/tpgt_1`, `${place}/tpgt_1/lun`, `${place}/tpgt_1/lun/lun_0`]),
      links: new Map([...tree.links, [`${place}/tpgt_1/lun/lun_0/a`, 'target/core/iblock_0/a']]),
    };
    expect(plan([OPEN, CLOSED], foreign)).toEqual([]);
  });

  it('leaves out a disk whose device is not there, and says what LIO cannot do', () => {
    const { devices } = recorded();
    expect(lioConfig([{ ...OPEN, luns: [{ ...P, device: '/dev/zvol/tank/pve/none' }] }], devices, OWN).disks.size).toBe(0);
    const two = { ...CLOSED, incoming: [...CLOSED.incoming, { user: 'other', secret: 'twelve-chars-3' }] };
    const config = lioConfig([OPEN, two], devices, OWN);
    expect([...config.targets.keys()]).toEqual([OPEN.iqn]);
    expect(config.refused).toEqual([`${CLOSED.iqn} has several CHAP accounts, LIO takes one for a target`]);
  });
});

describe('what is read of configfs', () => {
  it('knows LUNs, initiators, guests and disks', () => {
    const { disks, targets } = standing(recorded());
    const closed = targets.get(CLOSED.iqn);
    expect([...(closed?.initiators.keys() ?? [])]).toEqual(NAMED);
    expect(closed?.luns.get(3)?.to).toBe(Q.naa.slice(2));
    expect(targets.get(OPEN.iqn)?.guests).toEqual(['iqn.1993-08.org.debian:01:st']);
    expect(disks.get(Q.naa.slice(2))).toMatchObject({ device: '230:48', blockSize: 4096, readOnly: true, rotational: true });
  });

  it('is refused when it is not the answer of the reading program', () => {
    for (const text of ['bash: perl: not found\0\0\0', 'x\0y\0z\0']) expect(() => parseTree(text)).toThrow('configfs was read as');
    expect(parseTree('').directories.size).toBe(0);
  });
});
