import { METRICS } from '../../src/core/metrics.ts';
import { ORPHAN_KINDS } from '../../src/volumes/orphans/orphan.ts';
import { code, generatedBy, table } from './markdown.ts';

/** docs/reference/metrics.md: every metric of the daemon. */
export function metricsPage(): string {
  const rows = Object.entries(METRICS).map(([name, metric]) => [
    code(name),
    metric.type,
    metric.labels.map(code).join(', '),
    metric.type === 'histogram' ? `${metric.help}. Buckets up to ${metric.buckets?.join(', ') ?? ''} s` : metric.help,
  ]);
  return `${generatedBy('metrics-page.ts')}
# Metrics

What the daemon of a node tells, as OpenMetrics on \`/run/pve-truenas/metrics.sock\`, on a loopback port if you ask for one, and by
\`pve-truenas metrics\`. [Metrics and monitoring](../features/metrics.md) says how to read them, and which alert rules come with pve-truenas.

Counters count from the start of the daemon. A histogram has samples \`_bucket\`, \`_sum\` and \`_count\`. No label ever holds a secret.

${table(['metric', 'type', 'labels', 'meaning'], rows)}

## Labels

${table(
  ['label', 'values'],
  [
    [code('array'), 'host and port of the TrueNAS API, as in the settings of the storage'],
    [code('storage'), 'PVE storage id; empty for operations that are about no single storage, and for orphans of the node itself'],
    [code('operation'), 'method of the [daemon socket](socket-protocol.md), for example `volume.allocate`'],
    [code('method'), 'method of the TrueNAS API, for example `pool.dataset.create`'],
    [code('outcome'), '`ok`, or an [error code](errors.md); of API calls: `ok`, `refused`, `unknown`, `unsent`'],
    [code('reason'), 'an [error code](errors.md), or the word that stands in the description above'],
    [code('collection'), '`zvols`, `extents`, `mappings`, `targets`, `portals`, and `space` for the dataset itself'],
    [code('dataset'), 'the parent dataset of the storage'],
    [code('state'), '`healthy`, `degraded`, `down`'],
    [code('kind'), `kind of an [orphan](../features/orphans.md): ${ORPHAN_KINDS.map(code).join(', ')}`],
    [code('check'), 'name of a [pre-flight check](../features/preflight.md)'],
    [`${code('version')}, ${code('node')}`, 'of the daemon'],
  ],
)}
`;
}
