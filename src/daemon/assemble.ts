import type { GuestReferencesPort } from '../core/guest-references.ts';
import type { HostPort } from '../core/host-port.ts';
import type { NodeLeftovers } from '../core/leftovers-port.ts';
import type { Clock, Log } from '../core/ports.ts';
import { VERSION } from '../core/version.ts';
import type { PromMeter } from '../observe/metrics.ts';
import { createProcessMetrics } from '../observe/process-metrics.ts';
import { metricsSource, type MetricsSource } from './collect-metrics.ts';
import { createHandlers } from './handlers.ts';
import { FileJournal } from './journal.ts';
import { LunRestFile } from './lun-rest-file.ts';
import { Orphans } from './orphans.ts';
import { Overview } from './overview.ts';
import { createRpc } from './rpc.ts';
import { Settler } from './settle.ts';
import { StateWatch } from './state-watch.ts';
import { Storages } from './storages.ts';
import { judgeStorage } from './validation.ts';

export interface AssemblyOptions {
  readonly storageCfg: string;
  readonly privDir: string;
  readonly stateDir: string;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: PromMeter;
  /** This node's side. */
  readonly host: {
    readonly kernel: HostPort;
    readonly direct: HostPort;
    readonly guests: GuestReferencesPort;
    readonly leftovers: NodeLeftovers;
  };
}

/** A daemon without its sockets. */
export interface Assembly {
  /** Answers one line of the daemon socket. */
  readonly rpc: (line: string, signal: AbortSignal) => Promise<string | null>;
  readonly overview: Overview;
  readonly metrics: MetricsSource;
  readonly orphans: Orphans;
  readonly storages: Storages;
  readonly settler: Settler;
  readonly watch: StateWatch;
}

/** Wires the rooms together: everything between the lines of the socket and the array. Nobody is asked anything yet. */
export async function assemble(options: AssemblyOptions): Promise<Assembly> {
  const { storageCfg, privDir, stateDir, node, clock, log, meter, host } = options;
  const version = VERSION;
  const journal = await FileJournal.open(`${stateDir}/journal`, log);
  const lunRests = await LunRestFile.open(`${stateDir}/lun-rests.json`, clock, log);
  const storages = new Storages({ storageCfg, privDir, node, hosts: host, journal, lunRests, clock, log, meter });
  const resolve: Storages['resolve'] = (param) => storages.resolve(param);
  const configured: Storages['configured'] = () => storages.configured();
  const watch = new StateWatch({ clock, log, onUnused: (id) => void storages.forgetUnconfigured(id) });
  const settler = new Settler({ journal, resolve, clock, log });
  journal.onLeft = (operation) => settler.take(operation);

  const overview = new Overview({ configured, resolve, watch, openOperations: () => settler.open, version, node, clock });
  const metrics = metricsSource({
    meter,
    configured,
    known: () => storages.known(),
    state: (context) => watch.state(context).state,
    journal,
    processMetrics: createProcessMetrics(meter),
    version,
    node,
    clock,
  });
  const orphans = new Orphans({
    sections: () => storages.sections(),
    resolve,
    guests: host.guests,
    leftovers: host.leftovers,
    journal,
    clock,
    log,
    meter,
    node,
    random: Math.random,
  });
  const handlers = createHandlers({
    resolve,
    forget: async (id) => {
      watch.forget(id);
      await storages.forget(id);
    },
    watch,
    judge: (param, occasion, deadline) => judgeStorage(storages, param, occasion, clock, deadline),
    passedOver: (param) => storages.passedOver(param),
    overview,
    orphans,
    metrics,
    version,
    node,
    clock,
  });
  return { rpc: createRpc(handlers, clock, log, meter), overview, metrics, orphans, storages, settler, watch };
}
