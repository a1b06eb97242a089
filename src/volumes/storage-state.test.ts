import { describe, expect, it } from 'vitest';
import type { ArrayConnection } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import { GRACE_MS, reasonText, StateJudge, type StorageFacts, type StorageState } from './storage-state.ts';

const START = 1_700_000_000_000;
const READY: ArrayConnection = {
  state: 'ready',
  since: START,
  error: null,
  release: '25.10',
  version: 'TrueNAS-25.10.6',
  logins: 1,
  inFlight: 0,
  latencyMs: 5,
  heardAt: START,
  recentRetries: 0,
  limited: null,
  sessionSince: START,
  step: null,
  renewalError: null,
};
const UNREACHABLE = new StorageError('ARRAY_UNREACHABLE', 'nothing listens on nas:443');

function facts(after: number, more: Partial<StorageFacts> = {}): StorageFacts {
  return {
    now: START + after,
    connection: READY,
    api: 'nas:443',
    datasetError: null,
    space: { used: 1, available: 9 },
    pool: { name: 'tank', status: 'ONLINE', healthy: true, detail: null },
    serviceRunning: true,
    portals: 2,
    deadPortals: [],
    probe: null,
    ...more,
  };
}

function lost(state: ArrayConnection['state'], since: number, error: StorageError | null = UNREACHABLE): Partial<StorageFacts> {
  return { connection: { ...READY, state, since: START + since, error } };
}

/** The last verdict over facts in order. */
function verdict(...course: readonly StorageFacts[]): StorageState {
  const judge = new StateJudge();
  let last: StorageState | null = null;
  for (const one of course) last = judge.judge(one);
  if (last === null) throw new Error('test: no facts');
  return last;
}

const codes = ({ reasons }: StorageState): string[] => reasons.map(({ code }) => code);

describe('a session that is lost', () => {
  it('leaves the storage degraded for the grace, down after it, and healthy as soon as a session stands; since is the loss', () => {
    const judge = new StateJudge();
    expect(judge.judge(facts(0))).toMatchObject({ state: 'healthy', since: START, reasons: [] });
    expect(judge.judge(facts(10_500, lost('waiting', 10_000)))).toMatchObject({ state: 'degraded' });
    // the session changes between connecting and waiting meanwhile: that does not start the grace anew
    expect(judge.judge(facts(14_900, lost('connecting', 14_800)))).toMatchObject({ state: 'degraded' });
    const down = judge.judge(facts(10_001 + GRACE_MS, lost('waiting', 15_000)));
    expect(down).toMatchObject({ state: 'down', since: START + 10_000 });
    expect(reasonText(down)).toBe('nothing listens on nas:443');
    expect(judge.judge(facts(60_000, lost('connecting', 59_000)))).toMatchObject({ state: 'down', since: START + 10_000 });
    expect(judge.judge(facts(62_000))).toEqual({ state: 'healthy', since: START + 62_000, reasons: [] });
  });

  it('that comes back within the grace was never down, however often', () => {
    const judge = new StateJudge();
    const states = Array.from({ length: 10 }, (_unused, n) => [
      judge.judge(facts(n * 10_000)).state,
      judge.judge(facts(n * 10_000 + 4_000, lost('waiting', n * 10_000 + 1_000))).state,
    ]).flat();
    expect(new Set(states)).toEqual(new Set(['healthy', 'degraded']));
  });

  it('is down at once when TrueNAS refuses the key, and says why', () => {
    const error = new StorageError('AUTH_FAILED', 'TrueNAS does not accept the API key');
    expect(verdict(facts(0), facts(1_000, lost('refused', 900, error)))).toMatchObject({ state: 'down', reasons: [{ code: 'refused' }] });
  });

  it('tells how long the login window still takes, during the grace and after it', () => {
    const limited = { until: START + 51_000, reason: "waiting for the array's login window" };
    const waiting = (now: number): StorageFacts => facts(now, { connection: { ...READY, state: 'waiting', since: START, limited } });
    expect(verdict(facts(0), waiting(10_000))).toMatchObject({
      state: 'down',
      reasons: [{ code: 'login-window', message: "waiting for the array's login window, 41 s left" }],
    });
    expect(reasonText(verdict(facts(0), waiting(1_000)))).toContain('50 s left');
  });
});

describe('a storage that never had a session', () => {
  it('has no grace: its first failure counts', () => {
    expect(verdict(facts(0, lost('waiting', 0)))).toMatchObject({ state: 'down', reasons: [{ code: 'unreachable' }] });
  });

  it('says that nobody answers while the connection hangs', () => {
    expect(reasonText(verdict(facts(7_000, lost('connecting', 0, null))))).toBe('TrueNAS at nas:443 does not answer, connecting for 7 s');
    const step = 'the TLS handshake with nas:443 (7 s)';
    const hanging = facts(7_000, { connection: { ...READY, state: 'connecting', since: START, error: null, step } });
    expect(reasonText(verdict(hanging))).toBe(`TrueNAS at nas:443 does not answer, connecting for 7 s, still at ${step}`);
  });
});

describe('what the array itself says', () => {
  it.each<[string, Partial<StorageFacts>, StorageState['state'], string]>([
    ['service', { serviceRunning: false }, 'degraded', 'the iSCSI service is not running'],
    [
      'pool',
      { pool: { name: 'tank', status: 'DEGRADED', healthy: false, detail: 'One or more devices could not be opened.' } },
      'degraded',
      "pool 'tank' is DEGRADED: One or more devices could not be opened.",
    ],
    ['pool', { pool: { name: 'tank', status: 'SUSPENDED', healthy: false, detail: null } }, 'down', "pool 'tank' is SUSPENDED"],
    ['dataset', { datasetError: new StorageError('DATASET_MISSING', 'no such dataset') }, 'down', 'no such dataset'],
    ['portal', { deadPortals: ['10.0.0.2:3260'] }, 'degraded', 'portal 10.0.0.2:3260 does not answer, 1 of 2 portals left'],
    ['portal', { deadPortals: ['a:1', 'b:1'] }, 'degraded', 'portals a:1, b:1 do not answer'],
    [
      'renewal',
      { connection: { ...READY, renewalError: new StorageError('AUTH_FAILED', 'TrueNAS does not accept the API key') } },
      'degraded',
      'the session could not be renewed: TrueNAS does not accept the API key',
    ],
    [
      'rate-limit',
      { connection: { ...READY, limited: { until: START + 3_000, reason: 'TrueNAS limits calls' } } },
      'degraded',
      'TrueNAS limits calls, 3 s left',
    ],
  ])('%s: %j', (code, more, state, message) => {
    const found = verdict(facts(0, more));
    expect(found).toMatchObject({ state, reasons: [{ code, message }] });
    expect(verdict(facts(0, more), facts(1_000))).toMatchObject({ state: 'healthy' });
  });

  it('names several reasons, and keeps the time of the state when they change', () => {
    const judge = new StateJudge();
    judge.judge(facts(0));
    expect(codes(judge.judge(facts(5_000, { serviceRunning: false, deadPortals: ['a:1'] })))).toEqual(['service', 'portal']);
    expect(judge.judge(facts(9_000, { deadPortals: ['a:1'] }))).toMatchObject({ since: START + 5_000, reasons: [{ code: 'portal' }] });
  });

  it('a renewal that failed for now is none of them', () => {
    const renewalError = new StorageError('ARRAY_UNREACHABLE', 'no answer');
    expect(verdict(facts(0, { connection: { ...READY, renewalError } })).state).toBe('healthy');
  });

  it('takes what is not known for nothing', () => {
    expect(verdict(facts(0, { space: null, pool: null, serviceRunning: null })).state).toBe('healthy');
  });
});

describe('slow answers', () => {
  const looks = (...ms: readonly number[]): StorageState['state'][] => {
    const judge = new StateJudge();
    return ms.map((one, n) => judge.judge(facts(n * 1_000, { probe: { count: n + 1, ms: one } })).state);
  };

  it('count only when there are several, and are over only after several fast ones', () => {
    expect(looks(4_000, 5, 4_000, 4_000, 5)).toEqual(Array(5).fill('healthy'));
    expect(looks(1_500, 4_000, Number.POSITIVE_INFINITY)).toEqual(['healthy', 'healthy', 'degraded']);
    expect(looks(2_000, 2_000, 2_000, 5, 5, 2_000, 5, 5, 5).slice(2)).toEqual([...Array<string>(6).fill('degraded'), 'healthy']);
  });

  it('neither slow nor fast changes nothing', () => {
    expect(looks(2_000, 2_000, 700, 2_000, 700)).toEqual(Array(5).fill('healthy'));
  });

  it('one look that is judged many times is one look', () => {
    const judge = new StateJudge();
    for (let n = 0; n < 10; n += 1) expect(judge.judge(facts(n, { probe: { count: 1, ms: 9_000 } })).state).toBe('healthy');
  });
});

describe('what lies about a limit does not flap', () => {
  it('low space: from 90 % on, until it is below 88 %', () => {
    const judge = new StateJudge();
    const states = [85, 89, 90, 89, 88, 87, 89].map((used) => judge.judge(facts(0, { space: { used, available: 100 - used } })).state);
    expect(states).toEqual(['healthy', 'healthy', 'degraded', 'degraded', 'degraded', 'healthy', 'healthy']);
  });

  it('repeated reads: from three on, until there is at most one', () => {
    const judge = new StateJudge();
    const states = [0, 1, 2, 3, 2, 1, 2].map((recentRetries) => judge.judge(facts(0, { connection: { ...READY, recentRetries } })).state);
    expect(states).toEqual(['healthy', 'healthy', 'healthy', 'degraded', 'degraded', 'healthy', 'healthy']);
  });
});
