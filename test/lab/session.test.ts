import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OneNode } from './testing/one-node.ts';
import type { Spec } from './testing/operations.ts';
import { linkOf } from './testing/specs.ts';

const STATE = 'cat /sys/class/iscsi_session/*/state';

describe('a session that is lost', () => {
  let node: OneNode;
  let spec: Spec;
  beforeAll(async () => {
    node = await OneNode.start(async (fresh) => {
      spec = await fresh.volume(1);
      await fresh.done({ what: 'attach', spec });
    });
  });
  beforeEach(() => node.again());
  afterAll(() => node.stop());

  const lose = 'echo 0 > $C/target/iscsi/$IQN/tpgt_1/enable; wait_for 30 grep -q FAILED /sys/class/iscsi_session/session*/state';
  const giveBack = 'echo 1 > $C/target/iscsi/$IQN/tpgt_1/enable';

  it('and comes back: a write that was under way goes on, and all of it is on the zvol (F-114)', async () => {
    const written = await node.sh(`head -c 16M /dev/urandom > /tmp/data; ${lose}
      dd if=/tmp/data of=${linkOf(spec)} bs=1M oflag=direct status=none & w=$!
      ${giveBack}; wait $w; sha256sum < /tmp/data; dd if=/dev/zvol/tank/d1 bs=1M count=16 iflag=direct status=none | sha256sum; ${STATE}`);
    const [source, there, state] = written.split('\n');
    expect(there).toBe(source);
    expect(state).toBe('LOGGED_IN');
  });

  it('is waited for by an attach, which makes no second one (RP-16, F-114)', async () => {
    await node.sh(lose);
    await node.sh(`(sleep 3; ${giveBack}) < /dev/null > /dev/null 2>&1 &`);
    expect(await node.done({ what: 'attach', spec })).toMatch(/^\/dev\/sd/);
    expect(await node.sh(STATE)).toBe('LOGGED_IN');
  });

  it('and stays away: attach says so in its own time, and I/O fails once replacement_timeout is over instead of hanging', async () => {
    await node.sh(lose);
    const [outcome] = await node.perform({ what: 'attach', spec, ms: 5000 });
    expect(outcome).toMatchObject({ code: expect.stringMatching(/^(LOGIN_FAILED|DEADLINE)$/) as string });
    expect(await node.sh(`dd if=${linkOf(spec)} bs=4k count=1 iflag=direct 2>&1 | grep -o 'Input/output error'`)).toBe(
      'Input/output error',
    );
  });

  it('by a logout of somebody else: the next attach logs in anew and has the right disk', async () => {
    const sum = await node.write(linkOf(spec));
    await node.sh(`iscsiadm -m node -T ${spec.iqn} --logout`);
    await node.done({ what: 'attach', spec });
    expect(await node.read(linkOf(spec))).toBe(sum);
  });
});
