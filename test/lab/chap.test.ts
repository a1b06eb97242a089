import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OneNode } from './testing/one-node.ts';
import type { Spec } from './testing/operations.ts';
import { linkOf } from './testing/specs.ts';

const USER = { user: 'pve', password: 'secret-one-12' };
const PEER = { user: 'nas', password: 'secret-two-12' };

describe('CHAP with a real target', () => {
  let node: OneNode;
  let spec: Spec;
  beforeAll(async () => {
    node = await OneNode.start(async (fresh) => {
      spec = await fresh.volume(1);
    });
  });
  beforeEach(() => node.again());
  afterAll(() => node.stop());

  /** The target lets this node in with USER; with `mutual` it proves itself as PEER. */
  const demand = (mutual: boolean): Promise<string> =>
    node.sh(`g=$C/target/iscsi/$IQN/tpgt_1; lio_acl $(sed -n 's/^InitiatorName=//p' /etc/iscsi/initiatorname.iscsi) 1; a=$(echo $g/acls/*)
      echo 1 > $g/attrib/authentication; echo -n ${USER.user} > $a/auth/userid; echo -n ${USER.password} > $a/auth/password
      ${mutual ? `echo -n ${PEER.user} > $a/auth/userid_mutual; echo -n ${PEER.password} > $a/auth/password_mutual` : ''}`);

  it('one way: logs in; the secret is in the record alone, which nobody else reads (F-111)', async () => {
    await demand(false);
    await node.done({ what: 'attach', spec: { ...spec, chap: USER } });
    expect(
      await node.sh(
        `test -b ${linkOf(spec)}; find /var/lib/iscsi/nodes -type f -printf '%m\\n'; grep -c ${USER.password} /run/driver/a.log || true`,
      ),
    ).toBe('600\n0');
  });

  it('mutual: logs in when both prove themselves (F-111)', async () => {
    await demand(true);
    await node.done({ what: 'attach', spec: { ...spec, chap: { ...USER, peer: PEER } } });
    expect(await node.sh(`test -b ${linkOf(spec)} && echo there`)).toBe('there');
  });

  it('a wrong secret: refused, the error says what to check, and the right one works at once (RP-16)', async () => {
    await demand(false);
    const [refused] = await node.perform({ what: 'attach', spec: { ...spec, chap: { ...USER, password: 'wrong-one-1234' } } });
    expect(refused).toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('refused the login') as string,
      causes: expect.arrayContaining([expect.stringContaining('CHAP user or secret')]) as string[],
      hints: expect.arrayContaining([expect.stringContaining('Authorized Access')]) as string[],
    });
    await node.done({ what: 'attach', spec: { ...spec, chap: USER } });
  });

  it('no secret where the target demands one: refused (RP-16)', async () => {
    await demand(false);
    const [refused] = await node.perform({ what: 'attach', spec });
    expect(refused).toMatchObject({ code: 'LOGIN_FAILED', causes: expect.arrayContaining([expect.stringContaining('CHAP')]) as string[] });
  });

  it('a wrong peer secret: the error says that the array did not prove itself (RP-16)', async () => {
    await demand(true);
    const peer = { ...PEER, password: 'wrong-two-1234' };
    const [refused] = await node.perform({ what: 'attach', spec: { ...spec, chap: { ...USER, peer } } });
    expect(refused).toMatchObject({ code: 'LOGIN_FAILED', message: expect.stringContaining('did not prove itself') as string });
    expect(await node.sh('ls /sys/class/iscsi_session 2> /dev/null | wc -l')).toBe('0');
  });
});
