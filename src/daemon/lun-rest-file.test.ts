import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, RecordingLog } from '../core/testing/manual-clock.ts';
import { LunRestFile } from './lun-rest-file.ts';

let directory: string;
const clock = new ManualClock();
const open = (log = new RecordingLog()): Promise<LunRestFile> => LunRestFile.open(join(directory, 'state/lun-rests.json'), clock, log);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lun-rests-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('LunRestFile', () => {
  it('gives back what was kept, per array and target, to nobody but root', async () => {
    const file = await open();
    await file.of('nas:443').keep(1, new Map([[5, clock.now()]]));
    await file.of('nas:443').keep(2, new Map([[6, clock.now()]]));
    await file.of('other:443').keep(1, new Map([[7, clock.now()]]));
    const again = await open();
    expect(again.of('nas:443').recall(1)).toEqual(new Map([[5, clock.now()]]));
    expect(again.of('nas:443').recall(2)).toEqual(new Map([[6, clock.now()]]));
    expect(again.of('other:443').recall(1)).toEqual(new Map([[7, clock.now()]]));
    expect(again.of('third:443').recall(1).size).toBe(0);
    expect((await stat(join(directory, 'state/lun-rests.json'))).mode & 0o777).toBe(0o600);
  });

  it('what was kept last is on disk when its promise resolves, whatever else is being written', async () => {
    const file = await open();
    const writes = Array.from({ length: 50 }, (_unused, n) => file.of('nas:443').keep(n, new Map([[1, clock.now()]])));
    await writes[49];
    const again = await open();
    for (let target = 0; target < 50; target += 1) expect(again.of('nas:443').recall(target).size).toBe(1);
    await Promise.all(writes);
  });

  it('forgets what was freed longer ago than a number can rest', async () => {
    const file = await open();
    await file.of('nas:443').keep(
      1,
      new Map([
        [5, clock.now() - 604_800_001],
        [6, clock.now()],
      ]),
    );
    expect([...(await open()).of('nas:443').recall(1).keys()]).toEqual([6]);
  });

  it.each(['', 'no json', '{"version":2,"arrays":{}}', '{"version":1,"arrays":{"nas:443":{"x":{"1":1}}}}', '[]'])(
    'begins anew with a file that holds %j, and says so',
    async (text) => {
      await open();
      await writeFile(join(directory, 'state/lun-rests.json'), text);
      const log = new RecordingLog();
      const file = await open(log);
      expect(file.of('nas:443').recall(1).size).toBe(0);
      expect(log.lines.map((line) => line.level)).toEqual(['warn']);
      await file.of('nas:443').keep(1, new Map([[5, clock.now()]]));
      expect(JSON.parse(await readFile(join(directory, 'state/lun-rests.json'), 'utf8'))).toMatchObject({ version: 1 });
    },
  );

  it('a disk that takes nothing is reported and stops nobody', async () => {
    const log = new RecordingLog();
    const file = await open(log);
    await rm(join(directory, 'state'), { recursive: true });
    await file.of('nas:443').keep(1, new Map([[5, clock.now()]]));
    expect(log.lines).toMatchObject([{ level: 'warn', message: expect.stringContaining('cannot be kept') as string }]);
    expect(file.of('nas:443').recall(1).size).toBe(1);
  });
});
