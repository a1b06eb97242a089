import { describe, expect, it } from 'vitest';
import { recorded } from '../../host/testing/recordings.ts';
import { judgeTimes, parseIscsidConf } from './iscsid.ts';

const DEBIAN = recorded('iscsiadm-2.1.11/iscsid-conf').stdout;
const NONE = { replacement: 120, noopInterval: 5, noopTimeout: 5 };

describe('iscsid.conf', () => {
  it('of Debian, with 380 lines of explanations', () => {
    expect(parseIscsidConf(DEBIAN)).toEqual({ replacement: 15, noopInterval: 5, noopTimeout: 5 });
  });
  it.each([
    ['nothing', '', NONE],
    ['comments', '#node.session.timeo.replacement_timeout = 7\n', NONE],
    ['no number', 'node.session.timeo.replacement_timeout = soon\n', NONE],
    ['the last of two', `${DEBIAN}\nnode.session.timeo.replacement_timeout=-1\n`, { ...NONE, replacement: -1 }],
    ['a dot that is any character', 'nodeXsession.timeo.replacement_timeout = 7\n', NONE],
    ['another connection', 'node.conn[1].timeo.noop_out_interval = 0\n', NONE],
  ])('%s', (_what, text, times) => {
    expect(parseIscsidConf(text)).toEqual(times);
  });
});

describe('timeouts', () => {
  it.each([
    // replacement_timeout, multipath, fast_io_fail_tmo
    [120, false, false, 'ok'],
    [60, false, false, 'ok'],
    [59, false, false, 'warning'],
    [-1, false, false, 'ok'],
    [15, true, false, 'ok'],
    [30, true, false, 'ok'],
    [31, true, false, 'warning'],
    [-1, true, false, 'warning'],
    [120, true, true, 'ok'],
  ] as const)('%i s until an error, multipath %s, cut short by multipathd %s: %s', (replacement, wanted, failFast, state) => {
    const judged = judgeTimes('t', { ...NONE, replacement }, { wanted, failFast }, 'cure');
    expect(judged.state).toBe(state);
    expect(judged.cure === undefined).toBe(state === 'ok');
  });
  it.each([{ noopInterval: 0 }, { noopTimeout: 0 }])('no ping to a portal: %j', (off) => {
    expect(judgeTimes('t', { ...NONE, ...off }, { wanted: false, failFast: false }, 'cure').seen).toContain('not noticed');
  });
});
