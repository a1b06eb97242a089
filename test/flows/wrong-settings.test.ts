import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';

let sim: Simulator;
const daemon = new DaemonProcess();
beforeAll(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  daemon.secret('tn', sim.apiKey);
  await daemon.start();
});
afterAll(async () => {
  await daemon.dispose();
  await sim.stop();
});

const validate = async (more: Record<string, string | number>): Promise<{ message: string; code: string }> => {
  const { error } = await daemon.ask('storage.validate', {
    storage: { id: 'tn', config: sectionFor(sim, { api_timeout: 5, ...more }) },
    action: 'add',
  });
  return { message: error?.message ?? '', code: error?.data?.code ?? '' };
};

describe('a wrong setting is named, with what to do, and nothing is changed', () => {
  it.each([
    ['host', { api_host: '127.0.0.99' }, /api_host/],
    ['host that does not resolve', { api_host: 'no-such-host.invalid' }, /api_host/],
    ['port', { api_port: 1 }, /api_host|api_port/],
    ['port out of range', { api_port: 70_000 }, /api_port/],
    ['certificate', { fingerprint: Array.from({ length: 32 }, () => 'AB').join(':') }, /fingerprint/],
    ['dataset', { dataset: 'tank/nowhere' }, /dataset.*tank\/nowhere/],
    ['dataset that is not allowed', { dataset: 'tank//x' }, /dataset/],
    ['target', { target_iqn: 'iqn.2005-10.org.freenas.ctl:nobody' }, /target_iqn.*nobody/],
    ['scheme', { api_scheme: 'ws', api_host: '192.0.2.1' }, /api_scheme/],
    ['retries', { api_retry_max: 11 }, /api_retry_max/],
  ])('%s', async (_what, more, pattern) => {
    const { message, code } = await validate(more);
    expect(code).toBe('CONFIG_INVALID');
    expect(message).toMatch(pattern);
    expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
  });

  it('portal', async () => {
    expect((await validate({ discovery_portal: '127.0.0.1:9' })).message).toMatch(/discovery_portal: nobody answers at 127\.0\.0\.1:9/);
  });

  it('F-001: a wrong key is said to be one, and is not tried again and again', async () => {
    daemon.secret('bad', `1-${'x'.repeat(64)}`);
    sim.resetCalls();
    const storage = { id: 'bad', config: sectionFor(sim, { api_timeout: 5 }) };
    const { error } = await daemon.ask('storage.validate', { storage, action: 'add' });
    expect(error?.message).toMatch(/api_key/);
    await daemon.ask('volume.list', { storage, deadline_ms: 2000 });
    await daemon.ask('storage.status', { storage });
    const logins = Object.entries(sim.calls())
      .filter(([method]) => method.startsWith('auth.login'))
      .reduce((sum, [, count]) => sum + count, 0);
    expect(logins).toBeLessThanOrEqual(2);
  });

  it('no key at all', async () => {
    const { error } = await daemon.ask('storage.validate', { storage: { id: 'nokey', config: sectionFor(sim) }, action: 'add' });
    expect(error).toMatchObject({ data: { code: 'CONFIG_INVALID' } });
    expect(error?.message).toContain('api_key');
  });
});
