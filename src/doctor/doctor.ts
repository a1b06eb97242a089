import { setMaxListeners } from 'node:events';
import { withDeadline } from '../core/deadline.ts';
import { within } from '../host/waiting.ts';
import { type Examination, examineAll } from './examine.ts';
import { error, type Finding, type FindingState, skipped } from './finding.ts';
import { checkAccount } from './node/account.ts';
import { checkClusterVersions } from './node/cluster-versions.ts';
import { meetDaemon } from './node/daemon.ts';
import { checkInitiatorName, checkIscsidConf } from './node/iscsid.ts';
import { checkLvmFilter } from './node/lvm-filter.ts';
import { seeMultipath } from './node/multipath.ts';
import { checkModule, checkSoftware, checkTimeService } from './node/software.ts';
import type { DoctorPorts } from './ports.ts';
import { probeStorage } from './probe.ts';
import { messageOf } from './reasons.ts';
import { type FoundStorage, readConfigured, settingFindings, unusedHere } from './storage-cfg.ts';
import { checkArray } from './storage/array.ts';
import { checkClocks } from './storage/clocks.ts';
import { checkSecrets } from './storage/secrets.ts';
import { checkPaths, checkSessions } from './storage/sessions.ts';
import { checkTls } from './storage/tls.ts';
import { checkApart, checkNames, checkWay } from './storage/way.ts';

/** ms; each examination has a time of its own */
const MS = { cfg: 5_000, file: 5_000, command: 8_000, network: 8_000, array: 15_000 } as const;

interface DoctorRequest {
  /** Only this storage; all when absent. */
  readonly storage?: string;
  /** Also make, attach, write, read and free a disk on each. */
  readonly probe: boolean;
  readonly stop: AbortSignal;
  /** What is being done, in a few words. */
  readonly progress: (text: string) => void;
}

export interface SubjectReport {
  /** A storage id; null: this node. */
  readonly storage: string | null;
  readonly state: FindingState;
  readonly checks: readonly Finding[];
}

export interface DoctorReport {
  /** The worst of all; `skipped` where nothing else was seen. */
  readonly state: FindingState;
  readonly node: string;
  readonly version: string;
  readonly subjects: readonly SubjectReport[];
}

/** Looks at everything. Changes nothing but for the probe disk. Never rejects because of what it looks at. */
export async function examineNode(ports: DoctorPorts, request: DoctorRequest): Promise<DoctorReport> {
  // one listener for each examination; Node warns of a leak from eleven on
  setMaxListeners(0, request.stop);
  request.progress('reading storage.cfg');
  const [configured, daemon] = await Promise.all([readWithin(ports, request.stop), meetDaemon(ports)]);
  const chosen = configured.storages.filter(({ section }) => request.storage === undefined || section.id === request.storage);
  const used = chosen.filter((one) => unusedHere(one, ports.node) === null);
  const node: Finding[] = [checkAccount(ports), ...configured.findings, daemon.finding];
  if (request.storage !== undefined && chosen.length === 0)
    node.push(
      error(
        'storage',
        `no storage '${request.storage}' of type truenasplugin can be found in storage.cfg`,
        'pve-truenas doctor, without a name',
      ),
    );

  const multipath = multipathOnce(ports, used);
  const examinations = [
    ...nodeExaminations(ports, configured.storages, used, multipath),
    ...used.flatMap((one) => storageExaminations(ports, one, daemon.hello !== null, multipath)),
  ];
  const examined = await examineAll(examinations, ports.clock, request.stop, (done, all, waitingFor) => {
    const shown = waitingFor.slice(0, 2).join(', ');
    request.progress(`${done} of ${all} examinations${shown === '' ? '' : `, waiting for ${shown}`}`);
  });
  const seenOf = (subject: string | null): readonly Finding[] =>
    examined.filter((one) => one.subject === subject).flatMap((one) => one.findings);
  const subjects = [subject(null, [...node, ...seenOf(null)])];
  for (const one of chosen) {
    const { id } = one.section;
    const unused = unusedHere(one, ports.node);
    const checks = unused === null ? [...settingFindings(one), ...seenOf(id)] : [...settingFindings(one), skipped('storage', unused)];
    if (request.probe && unused === null) checks.push(...(await probed(ports, one, daemon.hello !== null, request)));
    subjects.push(subject(id, checks));
  }
  return { state: worst(subjects.map(({ state }) => state)), node: ports.node, version: ports.version, subjects };
}

type SeenMultipath = () => ReturnType<typeof seeMultipath>;

/** multipathd is asked once, for whoever asks first. */
function multipathOnce(ports: DoctorPorts, used: readonly FoundStorage[]): SeenMultipath {
  const wanted = used.some(({ config }) => config?.initiator === 'kernel' && config.multipath);
  let seen: ReturnType<typeof seeMultipath> | null = null;
  return () => {
    seen ??= withDeadline(ports.clock, MS.file, 'asking multipathd', (deadline) => seeMultipath(ports, wanted, deadline));
    return seen;
  };
}

type Configured = Awaited<ReturnType<typeof readConfigured>>;

async function readWithin(ports: DoctorPorts, stop: AbortSignal): Promise<Configured> {
  try {
    return await withDeadline(
      ports.clock,
      MS.cfg,
      'reading storage.cfg',
      (deadline) => within(readConfigured(ports, deadline), deadline),
      stop,
    );
  } catch (thrown) {
    const cure = 'systemctl status pve-cluster: the cluster file system does not answer';
    return { read: false, storages: [], findings: [error('storage.cfg', messageOf(thrown), cure)] };
  }
}

function nodeExaminations(
  ports: DoctorPorts,
  all: readonly FoundStorage[],
  used: readonly FoundStorage[],
  multipath: SeenMultipath,
): readonly Examination[] {
  const kernel = used.flatMap(({ config }) => (config?.initiator === 'kernel' ? [config] : []));
  const kinds = { disks: kernel.some(({ multipath }) => !multipath), maps: kernel.some(({ multipath }) => multipath) };
  const unlimited = all.length === 0 || all.some(({ config }) => config === null || config.nodes === null);
  const needed = unlimited ? null : all.flatMap(({ config }) => config?.nodes ?? []);
  const one = (name: string, ms: number, run: Examination['run']): Examination => ({ subject: null, name, ms, run });
  return [
    one('versions in the cluster', MS.file, async (deadline) => [await checkClusterVersions(ports, needed, deadline)]),
    one('Perl module', MS.file, async (deadline) => [await checkModule(ports, deadline)]),
    one('software', MS.command, async (deadline) => [await checkSoftware(ports, deadline)]),
    one('time service', MS.command, async (deadline) => [await checkTimeService(ports, deadline)]),
    ...(kernel.length === 0 && used.length > 0
      ? [
          one('iSCSI of this node', MS.file, () =>
            Promise.resolve([skipped('iSCSI of this node', 'all storages have truenas-initiator qemu')]),
          ),
        ]
      : [
          one('initiator name', MS.file, async (deadline) => [await checkInitiatorName(ports, deadline)]),
          one('iscsid and multipath', MS.command, async (deadline) => {
            const { findings, failFast } = await multipath();
            // new sessions are made for all storages alike: what the most patient of them bears is judged
            return [await checkIscsidConf(ports, { wanted: kinds.maps && !kinds.disks, failFast }, deadline), ...findings];
          }),
          one('LVM filter', MS.command, async (deadline) => [await checkLvmFilter(ports, kinds, deadline)]),
        ]),
  ];
}

function storageExaminations(
  ports: DoctorPorts,
  { section, config }: FoundStorage,
  runs: boolean,
  multipath: SeenMultipath,
): readonly Examination[] {
  const subject = section.id;
  const one = (name: string, ms: number, run: Examination['run']): Examination => ({ subject, name, ms, run });
  if (config === null)
    return [
      one('TrueNAS', MS.file, () =>
        Promise.resolve([skipped('TrueNAS', 'the settings above come first: it is not known what to look at')]),
      ),
    ];
  const api = { host: config.apiHost, port: config.apiPort };
  const portals = config.portals.filter(({ host }) => host !== config.apiHost);
  return [
    one('DNS', MS.network, (deadline) => checkNames(ports, [config.apiHost, ...config.portals.map(({ host }) => host)], deadline)),
    ...[api, ...portals].map((where) => one(`route and MTU to ${where.host}`, MS.network, (deadline) => checkWay(ports, where, deadline))),
    ...(config.portals.length > 1
      ? [one('separate ways', MS.network, async (deadline) => [await checkApart(ports, config.portals, deadline)])]
      : []),
    one('TLS', MS.network, (deadline) => checkTls(ports, config, deadline)),
    one('clocks', MS.network, async (deadline) => [await checkClocks(ports, config, deadline)]),
    one('secrets', MS.file, () => checkSecrets(ports, config, section.properties)),
    one('TrueNAS', MS.array, (deadline) => checkArray(ports, { id: subject, config, section: section.properties }, runs, deadline)),
    one('sessions', MS.command, async (deadline) => checkSessions(ports, config, (await multipath()).failFast, deadline)),
    one('paths', MS.file, async () => [await checkPaths(ports, config)]),
  ];
}

async function probed(
  ports: DoctorPorts,
  { section, config }: FoundStorage,
  daemonRuns: boolean,
  request: DoctorRequest,
): Promise<readonly Finding[]> {
  if (config === null) return [skipped('probe disk', 'the settings come first')];
  if (!daemonRuns) return [skipped('probe disk', 'only the daemon makes disks, and it does not run')];
  request.progress(`making a probe disk on ${section.id}`);
  return probeStorage(ports, section, request.stop);
}

function subject(storage: string | null, checks: readonly Finding[]): SubjectReport {
  return { storage, state: worst(checks.map(({ state }) => state)), checks };
}

function worst(states: readonly FindingState[]): FindingState {
  const order: readonly FindingState[] = ['error', 'warning', 'ok'];
  return order.find((state) => states.includes(state)) ?? 'skipped';
}
