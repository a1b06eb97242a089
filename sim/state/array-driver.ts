import type { ArrayOptions, CallContext, EventMessage, SimArray, SimMethod, SimRelease } from '../api/contract.ts';
import { ValidationErrors } from '../api/contract.ts';
import { createArray } from './array.ts';

const GIB = 1_073_741_824;

export interface DriverOptions {
  readonly release?: SimRelease;
  readonly blocks?: ArrayOptions['blocks'];
  readonly directory?: string;
  /** directory of the lab's VM, with `lab` blocks */
  readonly vm?: string;
  readonly port?: number;
  readonly poolSize?: number;
  readonly seeded?: boolean;
  readonly zvolDeviceLag?: number;
  readonly roles?: readonly string[];
}

/** Calls the models as the server does after its checks: parameters parsed by their models, defaults filled in. */
export class ArrayDriver {
  readonly array: SimArray;
  readonly release: SimRelease;
  readonly events: EventMessage[] = [];
  readonly dirty = new Set<string>();
  readonly log: string[] = [];
  /** what the array takes for the time, ms */
  time = 1_800_000_000_000;
  private readonly methods: ReadonlyMap<string, SimMethod>;
  private readonly context: CallContext;

  constructor(options: DriverOptions = {}) {
    const release = options.release ?? '25.10';
    this.release = release;
    this.array = createArray(
      {
        release,
        emit: (event) => this.events.push(event),
        changed: (part) => this.dirty.add(part),
        now: () => this.time,
        log: (message) => this.log.push(message),
      },
      {
        blocks: options.blocks ?? 'memory',
        directory: options.directory ?? '/nonexistent',
        ...(options.vm === undefined ? {} : { vm: options.vm }),
        portal: { host: '127.0.0.1', port: options.port ?? 0 },
        pool: { name: 'tank', size: options.poolSize ?? 100 * GIB },
        ...(options.seeded === false ? {} : { seed: { dataset: 'tank/pve', target: 'pve' } }),
        ...(options.zvolDeviceLag === undefined ? {} : { zvolDeviceLag: options.zvolDeviceLag }),
      },
    );
    this.methods = new Map(this.array.methods.map((method) => [method.name, method]));
    const held = options.roles;
    this.context = {
      release,
      hasRole: (...names) => held === undefined || names.some((name) => held.includes(name)),
      username: 'pve',
      signal: new AbortController().signal,
      progress: () => undefined,
    };
  }

  has(name: string): boolean {
    return this.methods.has(name);
  }

  /** Rejects with the ValidationErrors of a model as the server words their paths. */
  async call(name: string, ...args: readonly unknown[]): Promise<unknown> {
    const method = this.methods.get(name);
    if (method === undefined) throw new Error(`no method ${name}`);
    const parsed = method.params(this.release).map((param, index) => {
      const value = index < args.length ? args[index] : param.fallback;
      const result = param.schema.safeParse(value);
      if (result.success) return result.data;
      throw new ValidationErrors(
        result.error.issues.map((issue) => [[param.attributePath ?? param.name, ...issue.path].join('.'), issue.message, 22] as const),
      );
    });
    return await method.run(parsed, this.context);
  }

  /** The snapshot namespace of the release. */
  snapshots(action: string): string {
    return `${this.release === '25.04' ? 'zfs.snapshot' : 'pool.snapshot'}.${action}`;
  }

  /** A thin zvol below tank/pve. */
  zvol(name: string, bytes: number = GIB): Promise<unknown> {
    return this.call('pool.dataset.create', { name: `tank/pve/${name}`, type: 'VOLUME', volsize: bytes, sparse: true });
  }
}
