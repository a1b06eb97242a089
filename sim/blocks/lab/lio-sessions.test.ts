import { describe, expect, it } from 'vitest';
import { parseConnected, parseLogins, sessionsOf } from './lio-sessions.ts';
import type { Standing } from './lio-standing.ts';

const PVE = 'iqn.2005-10.org.freenas.ctl:pve';
const NODE = 'iqn.1993-08.org.debian:01:st';
/** `dmesg` of Linux 6.12.107: a discovery, a login, a logout, a login of another node at the same time as a refused one. */
const DMESG = `[  390.550429] [633] Received iSCSI login request from 127.0.0.1:48468 on iSCSI/TCP Network Portal 127.0.0.1:3260
[  390.701176] <intr> iSCSI Login successful on CID: 0 from 127.0.0.1:48468 to 127.0.0.1:3260,1
[  390.701493] <intr> Incremented iSCSI Connection count to 1 from node: ${NODE}
[  348.418880] [633] Received iSCSI login request from 127.0.0.1:38200 on iSCSI/TCP Network Portal 127.0.0.1:3260
[  348.454433] [633] Located Storage Object: ${PVE}
[  348.577274] <intr> iSCSI Login successful on CID: 0 from 127.0.0.1:38200 to 127.0.0.1:3260,1
[  348.577497] <intr> Incremented iSCSI Connection count to 1 from node: ${NODE}
[  390.901562] <intr> Decremented iSCSI connection count to 0 from node: ${NODE}
[  392.424933] [669] Received iSCSI login request from [::1]:40938 on iSCSI/TCP Network Portal [::1]:3260
[  392.424935] [633] Received iSCSI login request from 10.77.0.11:40940 on iSCSI/TCP Network Portal 10.77.0.10:3260
[  392.424937] [669] Located Storage Object: ${PVE}
[  392.424938] [633] Located Storage Object: iqn.2005-10.org.freenas.ctl:closed
[  392.498550] [77] iSCSI Login successful on CID: 0 from [::1]:40938 to [::1]:3260,1
[  392.517200] [77] Incremented iSCSI Connection count to 1 from node: iqn.b
`;
const PORTALS = new Set(['127.0.0.1:3260', '[::1]:3260', '10.77.0.10:3260']);
const SS = `0      0      127.0.0.1:3260  127.0.0.1:38200
0      0      127.0.0.1:38200 127.0.0.1:3260
0      0          [::1]:3260      [::1]:40938
0      0      127.0.0.1:22    127.0.0.1:5555
`;

function now(guests: readonly string[], named: readonly string[] = []): Standing {
  const initiators = new Map(named.map((name) => [name, { luns: new Map<number, null>(), loggedIn: true }]));
  const target = { iqn: PVE, path: '', enabled: true, portals: PORTALS, luns: new Map<number, null>(), initiators, guests };
  return { disks: new Map(), targets: new Map([[PVE, target]]), files: new Map() };
}

describe('the sessions of LIO', () => {
  it('are connections that stand, known by their login', () => {
    const connected = parseConnected(SS, PORTALS);
    expect(connected).toEqual(['127.0.0.1:38200', '[::1]:40938']);
    expect(sessionsOf(now([NODE], ['iqn.b']), connected, parseLogins(DMESG))).toEqual([
      { target: PVE, initiator: NODE, address: '127.0.0.1' },
      { target: PVE, initiator: 'iqn.b', address: '::1' },
    ]);
  });

  it('are two for an initiator with two connections', () => {
    const logins = parseLogins(`${DMESG}${DMESG.replaceAll('38200', '38202')}`);
    expect(sessionsOf(now([NODE]), ['127.0.0.1:38200', '127.0.0.1:38202'], logins)).toHaveLength(2);
  });

  it('take a port that is used again for its last login', () => {
    const later = DMESG.replaceAll(NODE, 'iqn.later');
    expect(parseLogins(`${DMESG}${later}`).get('127.0.0.1:38200')).toEqual({ target: PVE, initiator: 'iqn.later' });
  });

  it('do not mix up two logins at once, and know nothing of a refused one', () => {
    const logins = parseLogins(DMESG);
    expect(logins.get('[::1]:40938')).toEqual({ target: PVE, initiator: 'iqn.b' });
    expect(logins.get('10.77.0.11:40940')).toEqual({ target: 'iqn.2005-10.org.freenas.ctl:closed' });
  });

  it('are those of configfs when the kernel no longer has the messages, with the address when it is the only one', () => {
    expect(sessionsOf(now([NODE]), ['10.77.0.11:1', '10.77.0.11:2'], new Map())).toEqual([
      { target: PVE, initiator: NODE, address: '10.77.0.11' },
    ]);
    expect(sessionsOf(now([NODE], ['iqn.b']), ['10.77.0.11:1', '10.77.0.12:2'], new Map()).map((one) => one.address)).toEqual(['', '']);
  });

  it('are none for nothing and for garbage', () => {
    for (const text of [
      '',
      '\0',
      'x'.repeat(1000),
      '[1] Located Storage Object: a\n<intr> Incremented iSCSI Connection count to 1 from node: b\n',
    ]) {
      expect(sessionsOf(now([]), parseConnected(text, PORTALS), parseLogins(text))).toEqual([]);
    }
  });
});
