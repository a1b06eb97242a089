import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { HostRecord, NvmetPortRecord, SubsystemRecord } from '../state/nvmet/records.ts';
import { CallError, type CallContext, type SimRelease } from './contract.ts';
import { str } from './method.ts';

/** From 25.10 on there is NVMe-oF (truenas-api 12). */
export const NVMET_RELEASES: readonly SimRelease[] = ['25.10', '26.0'];
export const ROLE_PREFIX = 'SHARING_NVME_TARGET';
const HIDDEN = '********';

const NQN =
  /^(?:nqn\.2014-08\.org\.nvmexpress\.discovery|nqn\.2014-08\.org\.nvmexpress:uuid:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(?!nqn\.2014-08\.org\.nvmexpress:uuid:)nqn\.[0-9]{4}-[0-9]{2}\.[A-Za-z]{2,}(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))+(?::.*)?)$/;

/** An NVMe Qualified Name as TrueNAS takes it: 11 to 223 characters. */
export const nqn = z.string().min(11).max(223).regex(NQN, 'Value error, must start with "nqn.YYYY-MM.<reverse.domain>"');

/** Parameter of a delete that only knows `force`. */
export const forceOptions = z.strictObject({ force: z.boolean().default(false) });

export const optionalFlag = z.boolean().nullable();
export const optionalText = str.nullable();

/** "1 subsystem: a", "4 subsystems: a,b,c,..." as the refusals of delete count them. */
export function counted(noun: string, names: readonly (string | number)[]): string {
  if (names.length === 1) return `1 ${noun}: ${String(names[0])}`;
  return `${names.length} ${noun}s: ${names.slice(0, 3).join(',')}${names.length > 3 ? ',...' : ''}`;
}

/** `hosts`, `namespaces` and `ports` are filled on demand only (extra `verbose`). */
export function subsystemEntry(core: ArrayCore, row: SubsystemRecord, verbose = false): Record<string, unknown> {
  const { nvmet } = core;
  const own = <T extends { readonly subsys_id: number }>(rows: readonly T[], id: (one: T) => number): number[] =>
    verbose ? rows.filter((one) => one.subsys_id === row.id).map(id) : [];
  return {
    ...row,
    hosts: own(nvmet.hostSubsystems.all(), (one) => one.host_id),
    namespaces: own(nvmet.namespaces.all(), (one) => one.id),
    ports: own(nvmet.portSubsystems.all(), (one) => one.port_id),
  };
}

export function hostEntry(core: ArrayCore, row: HostRecord, context: CallContext | null): Record<string, unknown> {
  const { description, dhchap_key, dhchap_ctrl_key, ...common } = row;
  const shown = context?.hasRole(`${ROLE_PREFIX}_WRITE`) === true;
  return {
    ...common,
    dhchap_key: shown ? dhchap_key : HIDDEN,
    dhchap_ctrl_key: shown ? dhchap_ctrl_key : HIDDEN,
    ...(core.release === '26.0' ? { description } : {}),
  };
}

export function portEntry(row: NvmetPortRecord): Record<string, unknown> {
  return { ...row, addr_adrfam: row.addr_traddr.includes(':') ? 'IPV6' : 'IPV4' };
}

/** What an association, a namespace or a host is made of besides its id may be changed: the fields that were sent. */
export function overlaid<T extends object>(row: T, change: { readonly [K in keyof T]?: T[K] | undefined }): T {
  return { ...row, ...Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) };
}

/** An entry that a foreign key promises. */
export function referenced<T>(row: T | undefined, what: string): T {
  if (row === undefined) throw new CallError(`${what} is gone`);
  return row;
}
