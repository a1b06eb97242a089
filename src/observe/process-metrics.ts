import { performance } from 'node:perf_hooks';
import type { Meter } from '../core/metrics.ts';

/** Measures this process at each call of the returned function: memory, processor time, start, and how busy its event loop was since the last call. */
export function createProcessMetrics(meter: Meter): () => void {
  let loop = performance.eventLoopUtilization();
  let counted = 0;
  return () => {
    const { user, system } = process.cpuUsage(); // microseconds
    const seconds = (user + system) / 1_000_000;
    meter.count('process_cpu_seconds_total', {}, seconds - counted);
    counted = seconds;
    meter.set('process_resident_memory_bytes', {}, process.memoryUsage.rss());
    meter.set('process_start_time_seconds', {}, performance.timeOrigin / 1000);
    const now = performance.eventLoopUtilization();
    meter.set('pve_truenas_event_loop_busy_ratio', {}, performance.eventLoopUtilization(now, loop).utilization);
    loop = now;
  };
}
