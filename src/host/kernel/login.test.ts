import { describe, expect, it } from 'vitest';
import { IQN, lun, setup, two, TWO } from '../testing/kernel-rig.ts';

describe('KernelInitiator.attach: sessions and node records', () => {
  it('F-111: makes the node record directly, once, without discovery', async () => {
    const { node, host, within } = setup();
    await host.attach(lun(), within());
    await host.attach(lun(), within());
    expect(node.commands.count('iscsiadm', '-m', 'discovery')).toBe(0);
    expect(node.commands.count('iscsiadm', '-m', 'node', '-o', 'new')).toBe(1);
    const record = await node.files.read(`/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`);
    expect(record).toContain('node.session.scan = manual');
  });

  it('F-109: removes an empty node record, on which iscsiadm itself fails, and makes a new one', async () => {
    const { node, host, within } = setup();
    node.files.put(`/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`, '');
    await host.attach(lun(), within());
    expect(await node.files.read(`/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`)).toContain(`node.name = ${IQN}`);
  });

  it('keeps records where iscsiadm does: below /var/lib/iscsi on Debian 13, below /etc/iscsi on Debian 12, whatever an upgrade left', async () => {
    const upgraded = setup();
    upgraded.node.files.put(`/etc/iscsi/nodes/${IQN}/10.0.0.1,3260`, 'node.name = left over\n');
    await upgraded.host.attach(lun(), upgraded.within());
    expect(upgraded.node.commands.count('iscsiadm', '-m', 'node', '-o', 'new')).toBe(1);
    const older = setup();
    older.node.iscsiDatabase = '/etc/iscsi';
    older.node.files.drop('/var/lib/iscsi');
    await older.host.attach(lun(), older.within());
    expect(await older.node.files.read(`/etc/iscsi/nodes/${IQN}/10.0.0.1,3260`)).toContain('node.session.scan = manual');
  });

  it('F-109: finishes a record that was made and no more: the login would show all LUNs. One by hand for each start of the node stays', async () => {
    const path = `/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`;
    const crashed = setup();
    await crashed.node.commands.run(['iscsiadm', '-m', 'node', '-o', 'new', '-T', IQN, '-p', '10.0.0.1:3260'], {
      deadline: crashed.within(),
    });
    await crashed.host.attach(lun(), crashed.within());
    expect(await crashed.node.files.read(path)).toContain('node.session.scan = manual');
    const byHand = setup();
    const record = `node.name = ${IQN}\nnode.discovery_type = static\nnode.startup = automatic\nnode.session.scan = auto`;
    byHand.node.files.put(path, record);
    await byHand.host.attach(lun(), byHand.within());
    expect(await byHand.node.files.read(path)).toBe(record);
  });

  it('writes CHAP secrets into the record, 0600, and never into an argument; an existing record keeps the rest', async () => {
    const { node, host, within } = setup();
    const path = `/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`;
    node.files.put(
      path,
      '# BEGIN RECORD\nnode.name = x\nnode.startup = automatic\nnode.session.auth.authmethod = None\n# END RECORD\n',
      0o600,
    );
    await host.attach(lun({ chap: { user: 'pve', password: 'topsecret1234' } }), within());
    const record = (await node.files.read(path)) ?? '';
    expect(record).toContain('node.session.auth.authmethod = CHAP\n');
    expect(record).toContain('node.session.auth.password = topsecret1234\n');
    expect(record).toContain('node.startup = automatic\n');
    expect(record.trimEnd().endsWith('# END RECORD')).toBe(true);
    expect(node.files.mode(path)).toBe(0o600);
    expect(JSON.stringify(node.commands.log)).not.toContain('topsecret');
  });

  it('refuses a CHAP secret that would add settings to the record, without showing it', async () => {
    const { host, within } = setup();
    const error: unknown = await host
      .attach(lun({ chap: { user: 'pve', password: 'x\nnode.startup = automatic' } }), within())
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'LOGIN_FAILED' });
    expect(String(error)).not.toContain('automatic');
  });

  it('F-101: a session to a target whose name only begins alike does not count', async () => {
    const { node, target, host, within } = setup();
    const alike = node.addTarget(`${IQN}-16k`, '10.0.0.1:3260');
    node.login(alike, '10.0.0.1:3260');
    await host.attach(lun(), within());
    expect(node.sessionOf(target, '10.0.0.1:3260')).toBe(true);
  });

  it('F-110: logs in to all configured portals; F-009: by address, also where the setting is a name', async () => {
    const { node, target, host, within } = two();
    node.names.set('nas.example', ['10.0.1.1']);
    const portals = [TWO[0]!, { host: 'nas.example', port: 3260 }];
    await host.attach(lun({ portals }), within());
    await host.attach(lun({ portals }), within());
    expect(node.sessionOf(target, '10.0.0.1:3260') && node.sessionOf(target, '10.0.1.1:3260')).toBe(true);
    expect(node.commands.log.filter((argv) => argv.includes('--login'))).toHaveLength(2);
  });

  it('RP-16: exit 15 (somebody else logged in meanwhile) is success, exit 24 names what to check', async () => {
    const { node, target, host, within } = setup();
    node.commands.before = (argv) => {
      if (argv.includes('--login')) node.login(target, '10.0.0.1:3260');
    };
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/sda' });
    const refused = setup();
    refused.target.refusals.set('10.0.0.1:3260', 24);
    await expect(refused.host.attach(lun(), refused.within())).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('refused the login') as string,
      causes: expect.arrayContaining([expect.stringContaining('CHAP')]) as string[],
    });
  });

  it('RP-16: exit 19 with mutual CHAP says that the array did not prove itself', async () => {
    const { target, host, within } = setup();
    target.refusals.set('10.0.0.1:3260', 19);
    const chap = { user: 'pve', password: 'topsecret1234', peer: { user: 'nas', password: 'topsecret5678' } };
    await expect(host.attach(lun({ chap }), within())).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('mutual CHAP') as string,
      causes: [expect.stringContaining('peer secret'), expect.any(String)] as string[],
    });
  });

  it('RP-16: a failed login is told with the reason that iscsiadm gives, not with its last line', async () => {
    const { target, host, within } = setup();
    target.refusals.set('10.0.0.1:3260', 8);
    await expect(host.attach(lun(), within())).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('iscsiadm exit code 8: connection timed out') as string,
    });
  });

  it('goes on with one path when the other portal is dead, and says so', async () => {
    const { node, target, host, within } = two();
    target.refusals.set('10.0.1.1:3260', 8);
    await expect(host.attach(lun({ portals: TWO }), within())).resolves.toMatchObject({ device: '/dev/sda' });
    expect(node.warnings.map((warning) => warning.message)).toContain('not every portal has a session');
    const logins = node.commands.log.filter((argv) => argv.includes('--login')).length;
    await host.attach(lun({ portals: TWO }), within());
    expect(node.commands.log.filter((argv) => argv.includes('--login')).length).toBe(logins);
  });

  it('waits for a session that the kernel is bringing back', async () => {
    const { node, target, host, within } = setup();
    const session = node.login(target, '10.0.0.1:3260', 'FAILED');
    node.clock.after(20_000, () => node.setSessionState(session, 'LOGGED_IN'));
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/sda' });
    expect(node.commands.log.some((argv) => argv.includes('--login'))).toBe(false);
  });
});
