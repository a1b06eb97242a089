import { describe, expect, it } from 'vitest';
import { recorded } from '../../host/testing/recordings.ts';
import { judgeMultipath, readMultipathConf, type MultipathSettings } from './multipath.ts';

const shown = (name: string): MultipathSettings =>
  readMultipathConf(recorded(`multipath-tools-0.11.1/multipathd-show-config-${name}`).stdout);

describe('what multipathd shows of its settings', () => {
  it('with a section for TrueNAS among a hundred others', () => {
    const settings = shown('with-section');
    expect(settings).toEqual({ hasSection: true, prio: 'alua', detectPrio: true, noPathRetry: 'queue', fastIoFail: '15' });
    expect(judgeMultipath(settings)).toMatchObject({ state: 'ok' });
  });

  it('F-113: without one the defaults hold, by which guests get I/O errors when no path is left', () => {
    const settings = shown('without-section');
    expect(settings).toEqual({ hasSection: false, prio: 'const', detectPrio: true, noPathRetry: null, fastIoFail: '5' });
    expect(judgeMultipath(settings)).toMatchObject({ state: 'warning', seen: expect.stringContaining('I/O errors') as string });
  });
});

describe('judged by what they do', () => {
  const good: MultipathSettings = { hasSection: true, prio: 'alua', detectPrio: false, noPathRetry: 'queue', fastIoFail: null };
  it.each([
    ['ALUA by setting', {}, 'ok'],
    ['ALUA by what the device says', { prio: 'const', detectPrio: true }, 'ok'],
    ['no ALUA', { prio: 'const' }, 'warning'],
    ['nothing said of it, and asking the device forbidden', { prio: null }, 'warning'],
    ['a number of retries', { noPathRetry: '12' }, 'ok'],
    ['no retry', { noPathRetry: '0' }, 'warning'],
    ['errors at once', { noPathRetry: 'fail' }, 'warning'],
    ['nothing said of retries', { noPathRetry: null }, 'warning'],
    ['good defaults, no section', { hasSection: false }, 'ok'],
  ] as const)('%s', (_what, change, state) => {
    const { state: judged, cure = '' } = judgeMultipath({ ...good, ...change });
    expect({ judged, cured: cure !== '' }).toEqual({ judged: state, cured: state !== 'ok' });
  });
});

describe('multipath.conf as people write it', () => {
  const conf = (devices: string, defaults = ''): MultipathSettings =>
    readMultipathConf(`defaults {\n${defaults}}\ndevices {\n${devices}}\n`);
  const device = (vendor: string, more: string, product = 'iSCSI Disk'): string =>
    `  device {\n    vendor "${vendor}"\n    product "${product}"\n    ${more}\n  }\n`;

  it('of two sections that fit the later one counts, and what it leaves open comes from the defaults', () => {
    const text = device('TrueNAS', 'prio "const"') + device('True.*', 'no_path_retry queue') + device('IBM', 'prio "x"', '.*');
    expect(conf(text, '  prio "alua"\n  detect_prio no\n')).toEqual({
      hasSection: true,
      prio: 'alua',
      detectPrio: false,
      noPathRetry: 'queue',
      fastIoFail: null,
    });
  });
  it.each([
    ['a comment', `# ${device('TrueNAS', 'prio alua').replaceAll('\n', '\n# ')}\n`],
    ["somebody's default for everything", device('.*', 'prio alua', '.*')],
    ['another product', device('TrueNAS', 'prio alua', 'FC Disk')],
    ['a pattern that is none', device('*(', 'prio alua')],
  ])('%s is no section for TrueNAS', (_what, text) => {
    expect(conf(text).hasSection).toBe(false);
  });
});
