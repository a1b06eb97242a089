import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ScriptedDaemon } from '../testing/scripted-daemon.ts';

const bench = new ScriptedDaemon();
const { answering, cli } = bench;
beforeEach(() => bench.begin());
afterEach(() => bench.end());

describe('metrics', () => {
  const waits = { labels: { storage: 'nas' }, count: 3, sum: 4.6, mean: 1.5333, p50: 0.375, p95: 4.55 };
  const metrics = [
    { name: 'pve_truenas_array_up', type: 'gauge', help: '', values: [{ labels: { array: 'nas:443' }, value: 1 }] },
    { name: 'pve_truenas_dataset_used_bytes', type: 'gauge', help: '', values: [{ labels: { storage: 'nas' }, value: 3 * 1024 ** 3 }] },
    { name: 'pve_truenas_overcommit_ratio', type: 'gauge', help: '', values: [{ labels: { storage: 'nas' }, value: 1.256 }] },
    { name: 'pve_truenas_session_age_seconds', type: 'gauge', help: '', values: [{ labels: {}, value: 90.04 }] },
    { name: 'process_start_time_seconds', type: 'gauge', help: '', values: [{ labels: {}, value: 1_795_420_800.7 }] },
    {
      name: 'pve_truenas_operations_total',
      type: 'counter',
      help: '',
      values: [{ labels: { storage: '', operation: 'daemon.hello' }, value: 7 }],
    },
    {
      name: 'pve_truenas_device_wait_seconds',
      type: 'histogram',
      help: '',
      distributions: [waits, { ...waits, labels: {}, count: 0, mean: null, p50: null, p95: null }],
    },
    { name: 'pve_truenas_orphans', type: 'gauge', help: '', values: [] },
  ];

  it('shows values and distributions in their units, and nothing of what has no values', async () => {
    await answering({ metrics });
    const { exit, out } = await cli(['metrics']);
    expect(exit).toBe(0);
    for (const line of [
      /^pve_truenas_array_up +array=nas:443 +1$/m,
      /^pve_truenas_dataset_used_bytes +storage=nas +3\.00 GiB$/m,
      /^pve_truenas_overcommit_ratio +storage=nas +126 %$/m,
      /^pve_truenas_session_age_seconds +- +90 s$/m,
      /^process_start_time_seconds +- +2026-11-2\d \d\d:\d\d:\d\d [+-]\d{4}$/m,
      /^pve_truenas_operations_total +operation=daemon.hello +7$/m,
      /^pve_truenas_device_wait_seconds +storage=nas +3 +1\.53 s +0\.375 s +4\.55 s$/m,
      /^pve_truenas_device_wait_seconds +- +0 +- +- +-$/m,
    ]) {
      expect(out).toMatch(line);
    }
    expect(out).not.toContain('orphans');
  });

  it('prints the answer as JSON', async () => {
    await answering({ metrics });
    expect(JSON.parse((await cli(['metrics', '--json'])).out)).toEqual({ metrics });
  });

  it.each(['openmetrics', 'prometheus'])('prints the text for --%s as it comes, byte for byte', async (format) => {
    const text = '# HELP a b\na{b="\\\\"} 1\n# EOF\n';
    await answering({ text });
    expect(await cli(['metrics', `--${format}`])).toEqual({ exit: 0, out: text, err: '' });
    expect(bench.requests).toMatchObject([{ method: 'overview.exposition', params: { format } }]);
  });

  it.each([
    [['--openmetrics', '--prometheus'], ''],
    [['--openmetrics', '--json'], 'exclude each other'],
    [['extra'], ''],
  ])('refuses %j, and asks nobody', async (flags, text) => {
    await answering({ text: '' });
    const { exit, out, err } = await cli(['metrics', ...flags]);
    expect(exit).toBe(3);
    expect(out + err).toContain(text);
    expect(bench.requests).toEqual([]);
  });

  it('fails with 2 when the daemon does not run, and prints nothing that a collector could take for numbers', async () => {
    const { exit, out, err } = await cli(['metrics', '--prometheus']);
    expect(exit).toBe(2);
    expect(out).toBe('');
    expect(err).toContain('DAEMON_UNREACHABLE');
  });
});
