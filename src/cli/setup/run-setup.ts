import { parseSection } from '../../config/parse-section.ts';
import { asStorageError, OutcomeUnknownError, StorageError } from '../../core/errors.ts';
import type { Answers } from '../../setup/answers.ts';
import { applyPlan, assertGoingOn, type Done, takeBack, type Tell } from '../../setup/apply.ts';
import { callsOf, type ShownCall } from '../../setup/dry-run.ts';
import { keyPlan, makeKey } from '../../setup/key.ts';
import { type ArrayAdmin, lookAt } from '../../setup/look.ts';
import type { Owner } from '../../setup/marks.ts';
import { planFor } from '../../setup/plan.ts';
import { differences, sectionFor } from '../../setup/storage-section.ts';
import { CliFailure } from '../failure.ts';
import { askDaemon, type DaemonAddress } from '../socket-client.ts';
import { probeDisk } from './probe-disk.ts';
import { addArguments, type PveNode } from './pve-node.ts';

export interface SetupRun {
  readonly answers: Answers;
  readonly owner: Owner;
  readonly array: ArrayAdmin;
  /** What is pinned; null where a CA vouches for the certificate. */
  readonly fingerprint: string | null;
  readonly pve: PveNode;
  readonly daemon: DaemonAddress;
  readonly stop: AbortSignal;
  readonly tell: Tell;
}

/** The plugin does not offer this transport yet, so only TrueNAS is made ready. */
export const NVME_NOTE =
  'NVMe/TCP is not offered by this version of the plugin: TrueNAS is made ready for it, and no storage is added to PVE';

/** What differs between what is there and the answers want, and the calls that would make it so. */
export async function compare(run: SetupRun) {
  const { answers, owner, array, pve, fingerprint } = run;
  run.tell('doing', 'looking at TrueNAS');
  const look = await lookAt(array, answers);
  const plan = planFor(answers, owner, look);
  const settings = sectionFor(answers, look, fingerprint);
  const section = await pve.section(answers.storage);
  const held = await pve.key(answers.storage);
  const key = keyPlan(answers, owner, look, { held, inUse: section !== null, now: Date.now() });
  const withStorage = answers.transport === 'iscsi';
  const problems = [
    ...plan.problems,
    ...(key.problem === null ? [] : [key.problem]),
    ...(withStorage ? problemsOfStorage(answers, settings, section) : []),
  ];
  const missing = [
    ...plan.parts.filter(({ changes }) => changes.length > 0).map(({ what }) => what),
    ...(key.there ? [] : ['API key']),
    ...(withStorage && section === null ? [`storage ${answers.storage} in PVE`] : []),
  ];
  const calls = [
    ...callsOf(plan, key.requests, array.release),
    ...(key.there ? [] : [{ what: 'keep the API key, readable for root only', method: 'write', params: [pve.keyFile(answers.storage)] }]),
    ...(withStorage ? nodeCalls(answers, section === null ? settings : null) : []),
  ];
  return { plan, settings, section, held, key, problems, missing, calls };
}

function problemsOfStorage(
  { storage }: Answers,
  settings: Readonly<Record<string, string>>,
  section: Awaited<ReturnType<PveNode['section']>>,
): readonly string[] {
  const faults = parseSection(storage, settings).faults.filter(({ severity }) => severity === 'error');
  const problems = faults.map(({ setting, message }) => `${setting}: ${message}`);
  if (section === null) return problems;
  const found = section.type === 'truenasplugin' ? differences(settings, section.properties) : [`its type is ${section.type}`];
  return found.length === 0 ? problems : [...problems, `the storage ${storage} is there and otherwise: ${found.join('; ')}`];
}

/** What is done on this node once TrueNAS is ready. */
function nodeCalls({ storage, probe }: Answers, settings: Readonly<Record<string, string>> | null): readonly ShownCall[] {
  const add = settings === null ? [] : [{ what: 'add the storage', method: 'pvesh', params: addArguments(storage, settings) }];
  const health = { what: 'health check, by the daemon', method: 'overview.health', params: [storage] };
  const disk = ['allocate', 'activate', 'deactivate', 'free'].map((word) => ({
    what: `${word} the probe disk, by the daemon`,
    method: `volume.${word}`,
    params: [storage, 'vm-<free VMID>-setup-probe', '1 GiB'],
  }));
  return [...add, health, ...(probe ? disk : [])];
}

/** Everything, from the first object to the freed probe disk; taken back when it is interrupted. Errors: SETUP_*, those of the calls. */
export async function setUp(run: SetupRun): Promise<void> {
  const done: Done[] = [];
  try {
    await work(run, done);
  } catch (error) {
    if (!run.stop.aborted) throw leaving(error, done.length === 0 ? 'nothing was changed' : STAYS);
    throw await interrupted(run, error, done);
  }
}

const STAYS = 'what was made stays: pve-truenas setup goes on from there, --remove takes it away';

/** Takes back what was made, and says what the state is then. */
async function interrupted({ tell }: SetupRun, error: unknown, done: Done[]): Promise<StorageError> {
  const unsure = error instanceof OutcomeUnknownError ? [`${error.message}: run setup again, or --remove`] : [];
  const nothing = done.length === 0 && unsure.length === 0;
  const left = [...(await takeBack(done, tell)), ...unsure];
  const back = nothing ? 'nothing was changed' : 'what this run had made was taken back';
  const state = left.length === 0 ? back : `could not be taken back: ${left.join('; ')}`;
  return new StorageError('SETUP_INTERRUPTED', 'setup was interrupted', { state });
}

/** The failure with what it leaves, also where the daemon told of it. */
function leaving(error: unknown, state: string): Error {
  if (error instanceof CliFailure) return new CliFailure({ ...error.facts, state });
  return asStorageError(error).leaving(state);
}

async function work(run: SetupRun, done: Done[]): Promise<void> {
  const { answers, array, tell, stop } = run;
  const before = await compare(run);
  if (before.problems.length > 0) throw refused(before.problems);
  // Without it nothing that is made could be tried: better to know before.
  if (answers.transport === 'iscsi') await askDaemon(run.daemon, 'daemon.hello', {});
  await applyPlan(array, before.plan, done, tell, stop);
  await giveKey(run, before, done);
  if (answers.transport === 'nvme-tcp') {
    tell('note', NVME_NOTE);
    return;
  }
  await addStorage(run, before, done);
  const after = await compare(run);
  if (after.missing.length > 0) throw refused([`after all this is still missing: ${after.missing.join(', ')}`]);
  assertGoingOn(stop);
  await assertHealthy(run);
  if (answers.probe) await tryDisk(run);
  assertGoingOn(stop);
}

function refused(problems: readonly string[]): StorageError {
  return new StorageError('SETUP_REFUSED', problems.join('\n'));
}

type Comparison = Awaited<ReturnType<typeof compare>>;

async function giveKey({ answers, array, pve, tell, stop }: SetupRun, { key, held }: Comparison, done: Done[]): Promise<void> {
  assertGoingOn(stop);
  if (!key.there) {
    tell('doing', 'making the API key');
    // One that no longer works goes first: were this run killed now, the next one would take it for the new one.
    if (held !== null) await pve.keepKey(answers.storage, null);
    const text = await makeKey(array, key, done);
    done.push({ what: 'keep the API key', undo: () => pve.keepKey(answers.storage, held) });
    await pve.keepKey(answers.storage, text);
  }
  tell(key.there ? 'there' : 'made', 'API key');
}

async function addStorage({ answers, pve, tell, stop }: SetupRun, { section, settings }: Comparison, done: Done[]): Promise<void> {
  assertGoingOn(stop);
  const what = `storage ${answers.storage} in PVE`;
  if (section === null) {
    tell('doing', `adding the storage ${answers.storage} to PVE`);
    // Before the call: one that fails or is killed may have added it.
    const undo = async (): Promise<void> => {
      if ((await pve.section(answers.storage)) !== null) await pve.removeStorage(answers.storage);
    };
    done.push({ what: `add the storage ${answers.storage}`, undo });
    await pve.addStorage(answers.storage, settings);
  }
  tell(section === null ? 'made' : 'there', what);
}

async function assertHealthy({ answers: { storage }, daemon, tell }: SetupRun): Promise<void> {
  tell('doing', 'health check');
  const report = await askDaemon(daemon, 'overview.health', { storage_id: storage });
  const checks = report.storages.flatMap((one) => one.checks);
  const faults = checks.filter(({ state }) => state === 'critical');
  if (faults.length > 0) {
    const found = faults.map(({ name, message }) => `${name}: ${message}`).join('\n');
    throw new StorageError('SETUP_REFUSED', `the health check found\n${found}`, { hints: [`pve-truenas health ${storage}`] });
  }
  tell('made', 'health check');
  for (const { name, message } of checks.filter(({ state }) => state === 'warning')) tell('note', `${name}: ${message}`);
}

async function tryDisk({ answers: { storage }, pve, daemon, tell, stop }: SetupRun): Promise<void> {
  assertGoingOn(stop);
  const section = await pve.section(storage);
  if (section === null) throw refused([`the storage ${storage} was removed from PVE meanwhile`]);
  const node = { vmid: await pve.freeVmid(), initiator: await pve.initiator() };
  await probeDisk(daemon, section, node, (what) => tell('doing', what), stop);
  tell('made', 'probe disk of 1 GiB: written, read back and freed');
}
