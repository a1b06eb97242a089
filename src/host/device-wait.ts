import type { LunSpec } from '../core/host-port.ts';
import type { HostContext } from './host-context.ts';

/** Measures how long it takes until `attach` has verified the volume's device; a failed one is counted with its operation. */
export async function measured<T>({ clock, meter }: HostContext, { storage }: LunSpec, attach: () => Promise<T>): Promise<T> {
  const started = clock.monotonic();
  const device = await attach();
  meter.observe('pve_truenas_device_wait_seconds', { storage }, (clock.monotonic() - started) / 1000);
  return device;
}
