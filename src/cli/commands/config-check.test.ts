import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { ScriptedDaemon } from '../testing/scripted-daemon.ts';

const bench = new ScriptedDaemon();
const { answering, cli } = bench;
beforeEach(() => bench.begin());
afterEach(() => bench.end());

describe('config check', () => {
  const GOOD = 'truenasplugin: nas\n\tapi_host nas\n\tdataset tank/x\n\ttarget_iqn t\n\tdiscovery_portal 192.0.2.1\n';
  const check = async (text: string | Buffer, ...flags: string[]) => {
    const file = join(bench.folder, 'storage.cfg');
    await writeFile(file, text);
    return cli(['config', 'check', '--file', file, ...flags]);
  };

  it('0 when all is fine, without a daemon', async () => {
    expect(await check(`dir: local\n\tpath /x\n\n${GOOD}`)).toMatchObject({ exit: 0, out: 'nas: ok\n', err: '' });
    expect((await check('')).exit).toBe(0);
  });

  it('1 for warnings, naming what has no effect', async () => {
    const { exit, out } = await check(`${GOOD}\ttn_ipv6_by_path 1\n`, '--json');
    expect(exit).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      storages: [{ id: 'nas', ok: true, faults: [{ setting: 'tn_ipv6_by_path', severity: 'warning' }] }],
      lines: [],
    });
    expect((await check(`${GOOD}\tdataset other\n`)).exit).toBe(1);
  });

  it('2 for errors, each with its cure', async () => {
    const { exit, out } = await check(`${GOOD}\n\ntruenasplugin: bad\n\tapi_port 0\n`, '--json');
    const answer = z
      .object({ storages: z.array(z.object({ id: z.string(), ok: z.boolean(), faults: z.array(z.object({ cure: z.string().min(1) })) })) })
      .parse(JSON.parse(out));
    expect(exit).toBe(2);
    expect(answer.storages.map(({ id, ok, faults }) => [id, ok, faults.length])).toEqual([
      ['nas', true, 0],
      ['bad', false, 5],
    ]);
  });

  it('names what PVE would pass over in silence when it reads the file', async () => {
    const { exit, out } = await check(`${GOOD}\ttn_sparse no\n\tuse_multipath no\n\tfingerprint ${'ab'.repeat(32)}\n`, '--json');
    expect(exit).toBe(2);
    expect(faultsIn(out).map((fault) => [fault.setting, fault.severity])).toEqual([
      ['tn_sparse', 'error'],
      ['use_multipath', 'warning'],
      ['fingerprint', 'error'],
    ]);
  });

  const faultsIn = (out: string) =>
    z
      .object({ storages: z.array(z.object({ faults: z.array(z.record(z.string(), z.string())) })) })
      .parse(JSON.parse(out))
      .storages.flatMap((storage) => storage.faults);

  it('--online: adds what the daemon found, once, and asks it without any secret', async () => {
    const wrong = { setting: 'dataset', severity: 'error', message: 'does not exist', cure: 'TrueNAS: Datasets' };
    const twin = {
      setting: 'tn_ipv6_by_path',
      severity: 'warning',
      message: 'has no effect: it never did anything in the Perl plugins either',
      cure: 'remove it',
    };
    await answering({ asked: true, faults: [twin, wrong] });
    const { exit, out } = await check(`${GOOD}\ttn_ipv6_by_path 1\n\tapi_key 1-very-secret\n`, '--online', '--json');
    expect(exit).toBe(2);
    expect(faultsIn(out).filter((fault) => fault['setting'] !== 'api_key')).toEqual([twin, wrong]);
    expect(bench.requests).toMatchObject([{ method: 'storage.probe', params: { storage: { id: 'nas', config: { dataset: 'tank/x' } } } }]);
    expect(JSON.stringify(bench.requests)).not.toContain('very-secret');
  });

  it('--online: a hint is shown and is no reason for another exit code', async () => {
    await answering({
      asked: true,
      faults: [{ setting: 'api_key', severity: 'hint', message: 'is a full administrator’s', cure: 'less' }],
    });
    const { exit, out } = await check(GOOD, '--online');
    expect({ exit, out }).toEqual({ exit: 0, out: 'nas: ok\n  hint     api_key: is a full administrator’s\n           cure: less\n' });
  });

  it('--online: 2 when TrueNAS could not be asked, with the reason: no daemon, settings that come first, a refusal', async () => {
    const none = await check(GOOD, '--online', '--json');
    expect(none.exit).toBe(2);
    expect(faultsIn(none.out)).toMatchObject([
      {
        setting: 'online',
        severity: 'error',
        message: expect.stringMatching(/^TrueNAS was not asked: the daemon is not running/) as string,
      },
    ]);
    await answering({ asked: false, faults: [{ setting: 'api_key', severity: 'error', message: 'no API key', cure: 'pvesm set' }] });
    const wrong = await check(GOOD, '--online', '--json');
    expect(wrong.exit).toBe(2);
    expect(faultsIn(wrong.out).map((fault) => fault['setting'])).toEqual(['api_key', 'online']);
  });

  it('--online: asks for nothing where the file has no storage of ours', async () => {
    expect(await check('dir: local\n\tpath /x\n', '--online')).toMatchObject({ exit: 0 });
  });

  it('3 for what cannot be read', async () => {
    for (const file of [join(bench.folder, 'none'), bench.folder, '/dev/null', ''])
      expect((await cli(['config', 'check', '--file', file])).exit).toBe(3);
    expect((await check(Buffer.from([0, 1, 2]))).exit).toBe(3);
    expect((await check('x'.repeat(1024 * 1024 + 1))).exit).toBe(3);
  });
});
