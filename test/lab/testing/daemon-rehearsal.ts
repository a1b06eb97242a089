import type { MethodName, Result } from '../../../src/protocol/methods.ts';
import { GIB } from './specs.ts';

/** A call of the daemon that has to succeed. */
export type Call = <M extends MethodName>(method: M, params: Record<string, unknown>) => Promise<Result<M>>;

/**
 * Has the daemon do once what most tests ask of it, so that Node.js has compiled its code before the VM's state is kept: these calls take
 * two thirds of the time then, the first one half. More of it costs more than the tests gain. The storage is forgotten afterwards; the
 * session, the target and the files stay for the caller to take away.
 */
export async function rehearseDaemon(call: Call): Promise<void> {
  await call('storage.activate', {});
  const { volname: volume } = await call('volume.allocate', { vmid: 100, size: GIB });
  await call('volume.activate', { volume });
  await call('volume.deactivate', { volume });
  await call('volume.free', { volume });
  await call('storage.forget', {});
}
