import { StorageError } from '../../core/errors.ts';
import { ANSWERS, type Answers, assertUsable, completeAnswers, connectionAnswers, unusable } from '../../setup/answers.ts';
import { poolNames, portalAddresses } from '../../setup/look.ts';
import { certificateOf, type OpenArray, openArray, type ShownCertificate } from '../../setup/session.ts';
import type { CommandContext } from '../commands/context.ts';
import { clean } from '../render/text.ts';
import { givenCredential, noCredential, type SecretOptions, typedCredential } from './credential.ts';
import type { Interview } from './interview.ts';
import type { Cluster, PveNode } from './pve-node.ts';

/** Answers that need not be complete yet. */
type Given = Record<string, unknown>;

export interface Opening {
  readonly given: Given;
  readonly options: SecretOptions;
  /** There is a file of answers: what it leaves out and has a default is not asked for. */
  readonly fromFile: boolean;
  readonly context: CommandContext;
  readonly pve: PveNode;
  readonly cluster: Cluster;
  /** null: nobody can be asked. */
  readonly interview: Interview | null;
  readonly stop: AbortSignal;
}

export interface Opened {
  readonly answers: Answers;
  readonly fingerprint: string | null;
  readonly array: OpenArray;
}

/** A session with TrueNAS and complete answers; what is missing is asked for. Errors: SETUP_ANSWERS, those of certificateOf and openArray. */
export async function openSetup(opening: Opening): Promise<Opened> {
  const { given, interview, pve, cluster } = opening;
  // Without anybody to ask all faults are told at once, before anything is sent.
  if (interview === null) await withNames(completeAnswers(given), pve, cluster, null);
  else assertUsable(given);
  const fingerprint = await address(opening);
  const array = await session(opening, fingerprint);
  try {
    if (interview !== null) await rest(given, interview, array, pve);
    return { answers: await withNames(completeAnswers(given), pve, cluster, interview), fingerprint, array };
  } catch (error) {
    array.close();
    throw error;
  }
}

/** Why a value is no answer of this name, null: it is one. */
function wrongFor(name: keyof typeof ANSWERS, value: unknown): string | null {
  const checked = ANSWERS[name].safeParse(value);
  return checked.success ? null : (checked.error.issues[0]?.message ?? 'that cannot be used');
}

/** Name and port of TrueNAS, and the certificate that is to be trusted; gives the fingerprint to pin. */
async function address(opening: Opening): Promise<string | null> {
  const { given, interview } = opening;
  if (interview === null || given['host'] !== undefined) return trusted(opening);
  for (let left = 3; ; left -= 1) {
    const text = 'name or address of TrueNAS';
    given['host'] = await interview.ask({ text, wrong: (host) => wrongFor('host', host) });
    try {
      return await trusted(opening);
    } catch (error) {
      if (left === 1 || !(error instanceof StorageError) || error.kind !== 'unavailable') throw error;
      interview.say(`  ${clean(error.message)}`);
    }
  }
}

/** A pinned fingerprint decides alone; a certificate that no CA vouches for is shown and asked about. */
async function trusted({ given, context: { io }, interview, stop }: Opening): Promise<string | null> {
  const { host, port, fingerprint } = connectionAnswers(given);
  if (fingerprint !== undefined) return fingerprint;
  io.progress?.(`connecting to ${host}`);
  const shown = await certificateOf({ host, port }, io.clock, stop).finally(() => io.progress?.(null));
  if (shown.trusted) return null;
  if (interview === null) throw untrusted(host, shown);
  const pairs = shown.fingerprint.split(':');
  const lines = [0, 16].map((from) => `    ${pairs.slice(from, from + 16).join(':')}`);
  interview.say(
    [
      `The certificate of ${clean(host)} is vouched for by no CA that this node trusts:`,
      ...about(shown),
      '  SHA-256 fingerprint',
      ...lines,
    ].join('\n'),
  );
  interview.say('  TrueNAS shows it in System > General Settings > GUI SSL Certificate.');
  if (await interview.agrees('Is this your TrueNAS?')) return shown.fingerprint;
  throw new StorageError('TLS_UNTRUSTED', 'the certificate was not accepted: nothing was sent');
}

function about({ subject, validTo }: ShownCertificate): readonly string[] {
  return [`  ${clean(subject)}, valid to ${clean(validTo)}`];
}

function untrusted(host: string, { subject, validTo, fingerprint }: ShownCertificate): StorageError {
  return new StorageError('TLS_UNTRUSTED', `no CA vouches for the certificate of ${host} (${subject}, valid to ${validTo})`, {
    hints: [
      'compare the fingerprint with the one in TrueNAS: System > General Settings > GUI SSL Certificate',
      `if they are the same, add to the answers: fingerprint: ${fingerprint}`,
    ],
  });
}

/** The session of the administrator; what was typed wrongly is asked for again. Each try counts against TrueNAS's limit of logins. */
async function session(
  { given, options, fromFile, context: { io }, interview, stop }: Opening,
  fingerprint: string | null,
): Promise<OpenArray> {
  if (interview !== null && !fromFile && given['admin'] === undefined) {
    given['admin'] = await interview.ask({ text: 'administrator', fallback: 'truenas_admin', wrong: (name) => wrongFor('admin', name) });
  }
  const { admin: username, ...fixed } = connectionAnswers(given);
  const credential = await givenCredential(options, username, io);
  if (credential === null && interview === null) throw noCredential();
  for (let left = 3; ; left -= 1) {
    const used = credential ?? (interview === null ? null : await typedCredential(interview, username));
    if (used === null) throw noCredential();
    try {
      io.progress?.(`logging in as ${username}`);
      return await openArray(fixed, used, fingerprint, io.clock, stop).finally(() => io.progress?.(null));
    } catch (error) {
      if (credential !== null || left === 1 || !(error instanceof StorageError) || error.code !== 'AUTH_FAILED') throw error;
      interview?.say(`  ${clean(error.message)}`);
    }
  }
}

/** What only TrueNAS knows good proposals for. */
async function rest(given: Given, interview: Interview, array: OpenArray, pve: PveNode): Promise<void> {
  if (given['dataset'] === undefined) {
    const pools = await poolNames(array);
    const wrong = (dataset: string): string | null =>
      wrongFor('dataset', dataset) ??
      (dataset.includes('/') ? null : 'it must lie below a pool: POOL/NAME') ??
      (pools.includes(dataset.split('/')[0] ?? '') ? null : `there is no such pool; there are ${pools.join(', ')}`);
    const [pool] = pools;
    const text = 'dataset for the volumes, made when it is missing';
    given['dataset'] = await interview.ask({ text, wrong, ...(pool === undefined ? {} : { fallback: `${pool}/proxmox` }) });
  }
  if (given['portals'] === undefined) {
    const addresses = (await portalAddresses(array)).filter((one) => one !== '0.0.0.0' && one !== '::');
    const known = addresses.find((one) => one === given['host']) ?? addresses[0];
    const text = `addresses of TrueNAS for the disks' traffic (it has ${addresses.join(', ')})`;
    const split = (answer: string): readonly string[] => answer.split(/[\s,]+/).filter((one) => one !== '');
    const wrong = (answer: string): string | null => wrongFor('portals', split(answer));
    given['portals'] = split(await interview.ask({ text, wrong, ...(known === undefined ? {} : { fallback: known }) }));
  }
  if (given['storage'] === undefined) {
    const taken = await pve.storages();
    const fallback = ['truenas', ...Array.from({ length: 98 }, (_, index) => `truenas${index + 2}`)].find((one) => !taken.includes(one));
    const text = 'id of the storage in PVE';
    const wrong = (id: string): string | null => wrongFor('storage', id);
    given['storage'] = await interview.ask({ text, wrong, ...(fallback === undefined ? {} : { fallback }) });
  }
}

const KINDS = {
  iscsi: { field: 'initiators', title: 'iSCSI name', file: '/etc/iscsi/initiatorname.iscsi', flag: '--node', like: 'iqn...' },
  'nvme-tcp': { field: 'hosts', title: 'NVMe name', file: '/etc/nvme/hostnqn', flag: '--nvme-host', like: 'nqn...' },
} as const;

/** This node's name is read; those of the others must be given, since no API of PVE tells them. */
async function withNames(answers: Answers, pve: PveNode, { nodes, node: own }: Cluster, interview: Interview | null): Promise<Answers> {
  const { field, title, file, flag, like } = KINDS[answers.transport];
  const names: Record<string, string> = { ...answers[field] };
  const read = names[own] === undefined ? await (field === 'initiators' ? pve.initiator() : pve.hostNqn()) : null;
  if (read !== null) names[own] = read;
  const unknown = nodes.filter((node) => names[node] === undefined);
  if (unknown.length > 0 && interview === null) {
    throw unusable(`the ${title}s of these nodes are not known: ${unknown.join(', ')}`, [
      `on each of them: cat ${file}`,
      `${flag} ${unknown[0] ?? 'NODE'}=${like}, or ${field} in the file`,
    ]);
  }
  for (const node of unknown) {
    const wrong = (name: string): string | null => wrongFor(field, { [node]: name });
    names[node] = (await interview?.ask({ text: `${title} of the node ${node} (there: cat ${file})`, wrong })) ?? '';
  }
  return { ...answers, [field]: names };
}
