import { parseSection } from '../../config/parse-section.ts';
import { asStorageError, StorageError } from '../../core/errors.ts';
import type { Answers } from '../../setup/answers.ts';
import { applyPlan, assertGoingOn, type Done, keyPlan, makeKey, takeBack, type Tell } from '../../setup/apply.ts';
import { callsOf } from '../../setup/dry-run.ts';
import { type ArrayAdmin, lookAt } from '../../setup/look.ts';
import type { Owner } from '../../setup/marks.ts';
import { planFor } from '../../setup/plan.ts';
import { removalFor } from '../../setup/removal.ts';
import { differences, sectionFor } from '../../setup/storage-section.ts';
import { CliFailure } from '../failure.ts';
import { askDaemon, type DaemonAddress } from '../socket-client.ts';
import { probeDisk } from './probe-disk.ts';
import { addArguments, type PveNode } from './pve-node.ts';

export interface SetupRun {
  readonly answers: Answers;
  readonly owner: Owner;
  readonly array: ArrayAdmin & { readonly version: string };
  /** What is pinned; null where a CA vouches for the certificate. */
  readonly fingerprint: string | null;
  readonly pve: PveNode;
  readonly daemon: DaemonAddress;
  readonly stop: AbortSignal;
  readonly tell: Tell;
}

/** What differs between what is there and what the answers want, and the calls that would make it so. */
export async function compare(run: SetupRun) {
  const { answers, owner, array, pve, fingerprint } = run;
  const look = await lookAt(array, answers);
  const plan = planFor(answers, owner, look);
  const settings = sectionFor(answers, look, fingerprint);
  const faults = parseSection(answers.storage, settings).faults.filter(({ severity }) => severity === 'error');
  const section = await pve.section(answers.storage);
  const key = keyPlan(answers, owner, look, await pve.key(answers.storage));
  const problems = [...plan.problems, ...faults.map(({ setting, message }) => `${setting}: ${message}`)];
  if (section !== null) {
    const found = section.type === 'truenasplugin' ? differences(settings, section.properties) : [`its type is ${section.type}`];
    if (found.length > 0) problems.push(`the storage ${answers.storage} is there and otherwise: ${found.join('; ')}`);
    else if (!key.there) problems.push(`the storage ${answers.storage} is there with a key that setup did not make`);
  }
  const missing = [
    ...plan.parts.filter(({ changes }) => changes.length > 0).map(({ what }) => what),
    ...(key.there ? [] : ['API key']),
    ...(section === null ? [`storage ${answers.storage} in PVE`] : []),
  ];
  const calls = [
    ...callsOf(plan, key.there ? null : key.request, array.version),
    ...(section === null ? [{ what: 'add the storage', method: 'pvesh', params: addArguments(answers.storage, settings) }] : []),
  ];
  return { plan, settings, section, key, problems, missing, calls };
}

/** Everything, from the first object to the freed probe disk; taken back when it is interrupted. Errors: SETUP_*, those of the calls. */
export async function setUp(run: SetupRun): Promise<void> {
  const done: Done[] = [];
  try {
    await work(run, done);
  } catch (error) {
    if (!run.stop.aborted) throw leaving(error, done.length === 0 ? 'nothing was changed' : STAYS);
    const left = await takeBack(done, run.tell);
    const state = left.length === 0 ? 'what this run had made was taken back' : `could not be taken back: ${left.join('; ')}`;
    throw new StorageError('SETUP_INTERRUPTED', 'setup was interrupted', { state });
  }
}

const STAYS = 'what was made stays: pve-truenas setup goes on from there, --remove takes it away';

/** The failure with what it leaves, also where the daemon told of it. */
function leaving(error: unknown, state: string): Error {
  if (error instanceof CliFailure) return new CliFailure({ ...error.facts, state });
  return asStorageError(error).leaving(state);
}

async function work(run: SetupRun, done: Done[]): Promise<void> {
  const { answers, array, pve, tell, stop, daemon } = run;
  const before = await compare(run);
  if (before.problems.length > 0)
    throw new StorageError('SETUP_REFUSED', before.problems.join('\n'), { hints: ['pve-truenas setup --help'] });
  await applyPlan(array, before.plan, done, tell, stop);
  assertGoingOn(stop);
  if (!before.key.there) {
    const key = await makeKey(array, before.key.request, done);
    done.push({ what: 'keep the API key', undo: () => pve.dropKey(answers.storage) });
    await pve.keepKey(answers.storage, key);
  }
  tell(before.key.there ? 'there' : 'made', 'API key');
  assertGoingOn(stop);
  if (before.section === null) {
    await pve.addStorage(answers.storage, before.settings);
    done.push({ what: `storage ${answers.storage} in PVE`, undo: () => pve.removeStorage(answers.storage) });
  }
  tell(before.section === null ? 'made' : 'there', `storage ${answers.storage} in PVE`);
  const after = await compare(run);
  if (after.missing.length > 0) throw new StorageError('SETUP_REFUSED', `after all this is still missing: ${after.missing.join(', ')}`);
  assertGoingOn(stop);
  await assertHealthy(daemon, answers.storage);
  tell('made', 'health check');
  if (!answers.probe || after.section === null) return;
  assertGoingOn(stop);
  await probeDisk(daemon, after.section, { vmid: await pve.freeVmid(), initiator: await pve.initiator() });
  tell('made', 'probe disk of 1 GiB: written, read back and freed');
}

async function assertHealthy(daemon: DaemonAddress, storage: string): Promise<void> {
  const report = await askDaemon(daemon, 'overview.health', { storage_id: storage });
  const faults = report.storages.flatMap(({ checks }) => checks.filter(({ state }) => state === 'critical'));
  if (faults.length > 0) {
    throw new StorageError(
      'SETUP_REFUSED',
      `the health check found: ${faults.map(({ name, message }) => `${name}: ${message}`).join('; ')}`,
      {
        hints: [`pve-truenas health ${storage}`],
      },
    );
  }
}

/** What `--remove` would take away, and what stays for which reason. */
export async function removalOf({ answers, owner, array, pve }: SetupRun) {
  const look = await lookAt(array, answers);
  const { removals, stays } = removalFor(answers, owner, look);
  const section = await pve.section(answers.storage);
  const volumes = look.datasets.filter(({ id }) => id.startsWith(`${answers.dataset}/`)).length;
  return { removals, stays, section, volumes };
}

/** Deletes it, the storage in PVE first. Errors: SETUP_REFUSED while volumes are there, those of the calls. */
export async function remove(run: SetupRun, found: Awaited<ReturnType<typeof removalOf>>): Promise<void> {
  const { answers, array, pve, tell, stop } = run;
  if (found.volumes > 0) {
    throw new StorageError('SETUP_REFUSED', `${answers.dataset} holds ${found.volumes} volume(s) or dataset(s): nothing was removed`, {
      hints: [`pvesm list ${answers.storage}`],
    });
  }
  if (found.section !== null) {
    await pve.removeStorage(answers.storage);
    tell('undone', `storage ${answers.storage} in PVE`);
  }
  await pve.dropKey(answers.storage);
  for (const { what, request } of found.removals) {
    assertGoingOn(stop);
    await array.call(request);
    tell('undone', what);
  }
}
