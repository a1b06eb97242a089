import { parseArgs } from 'node:util';
import { SIM_RELEASES, type SimRelease } from '../../../sim/api/contract.ts';
import { compare } from './differential.ts';
import { directoryOf, Machine, script } from './machine.ts';

/** Calls that start from an empty pool together: a difference can be repeated from its own seed. */
const EPISODE = 250;

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '1' },
    release: { type: 'string', multiple: true, default: [...SIM_RELEASES] },
  },
});
const releases = SIM_RELEASES.filter((one) => values.release.includes(one));
const [calls, seed, from] = [Number(values.calls), Number(values.seed), Number(values.from)];
if (!(calls > 0 && Number.isSafeInteger(seed) && from > 0 && releases.length > 0)) {
  process.stderr.write('usage: differential [--calls N] [--seed N] [--release 25.04|25.10|26.0]... [--from EPISODE]\n');
  process.exit(2);
}

const machine = await Machine.restore('st');
const total = { same: 0, succeeded: 0, differences: 0 };
const began = Date.now();
try {
  for (let episode = from; (episode - 1) * EPISODE < calls; episode += 1) {
    const release: SimRelease = releases[(episode - 1) % releases.length] ?? '25.10';
    const count = Math.min(EPISODE, calls - (episode - 1) * EPISODE);
    const outcome = await compare({ vm: directoryOf('st'), release, seed: seed * 1000 + episode, calls: count });
    total.same += outcome.same;
    total.succeeded += outcome.succeeded;
    total.differences += outcome.differences.length;
    const minutes = ((Date.now() - began) / 60_000).toFixed(1);
    process.stdout.write(
      `episode ${episode} (${release}): ${outcome.same} of ${count} calls answered alike; ${total.same} so far, ${total.succeeded} of them succeeded, ${total.differences} differences, ${minutes} min\n`,
    );
    for (const one of outcome.differences) process.stdout.write(`${one}\n`);
  }
} finally {
  await machine.cutPower();
  await script('net', 'down');
}
process.exitCode = total.differences === 0 ? 0 : 1;
