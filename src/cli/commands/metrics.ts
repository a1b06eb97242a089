import { Option } from 'commander';
import { formatBytes } from '../../core/sizes.ts';
import { METHODS, type Result } from '../../protocol/methods.ts';
import type { CommandDefinition } from '../command.ts';
import { failure } from '../failure.ts';
import { EXIT } from '../io.ts';
import { clean, type Colours, formatTime, table } from '../render/text.ts';
import { askDaemon } from '../socket-client.ts';
import { type CommandRun, putJson } from './context.ts';

type Metric = Result<'overview.metrics'>['metrics'][number];
type Distribution = NonNullable<Metric['distributions']>[number];
type Labels = Readonly<Record<string, string>>;

export const metricsCommand: CommandDefinition = {
  path: 'metrics',
  group: 'See:',
  description: 'What the daemon counted since its start, and how things are now. Asks no array.',
  exits: { 0: 'printed', 2: 'the daemon cannot be asked' },
  examples: [
    { line: 'metrics', what: 'two tables: values, then distributions' },
    { line: 'metrics --prometheus > pve-truenas.prom', what: "for node_exporter's textfile collector" },
    { line: 'metrics --json', what: 'values for scripts' },
  ],
  json: METHODS['overview.metrics'].result,
  build: (command, runner) =>
    command
      .addOption(new Option('--openmetrics', 'print OpenMetrics 1.0, as the metrics socket does').conflicts('prometheus'))
      .addOption(new Option('--prometheus', 'print the text format of Prometheus'))
      .action((options: { openmetrics?: true; prometheus?: true }) => runner(command, chosen(options))),
};

function chosen(options: { openmetrics?: true; prometheus?: true }): CommandRun {
  if (options.openmetrics === true) return exposition('openmetrics');
  return options.prometheus === true ? exposition('prometheus') : metrics;
}

/** The tables, or the values as JSON. 0 when the daemon answers. */
const metrics: CommandRun = async ({ io, json, colours, daemon }) => {
  const report = await askDaemon(daemon, 'overview.metrics', {});
  if (json) putJson(io, report);
  else io.out(render(report.metrics, colours));
  return EXIT.healthy;
};

function exposition(format: 'openmetrics' | 'prometheus'): CommandRun {
  return async ({ io, json, daemon }) => {
    if (json) {
      throw failure('BAD_REQUEST', `--json and --${format} exclude each other`, {
        causes: ['both say how to print'],
        hints: ['leave one of them out'],
      });
    }
    io.out((await askDaemon(daemon, 'overview.exposition', { format })).text);
    return EXIT.healthy;
  };
}

function render(all: readonly Metric[], colours: Colours): string {
  const values = all.flatMap(({ name, values: rows = [] }) => rows.map((row) => ({ name, ...row })));
  const distributions = all.flatMap(({ name, distributions: rows = [] }) => rows.map((row) => ({ name, ...row })));
  const parts: string[] = [];
  if (values.length > 0) {
    parts.push(
      table<(typeof values)[number]>(
        [
          { head: 'METRIC', value: ({ name }) => clean(name) },
          { head: 'OF', value: ({ labels }) => labelText(labels) },
          { head: 'VALUE', align: 'right', value: ({ name, value }) => inUnit(name, value) },
        ],
        values,
        colours,
      ),
    );
  }
  if (distributions.length > 0) {
    const show = (of: (row: Distribution) => number | null) => (row: Distribution & { name: string }) => inUnit(row.name, of(row));
    parts.push(
      table<(typeof distributions)[number]>(
        [
          { head: 'DISTRIBUTION', value: ({ name }) => clean(name) },
          { head: 'OF', value: ({ labels }) => labelText(labels) },
          { head: 'COUNT', align: 'right', value: ({ count }) => String(count) },
          { head: 'MEAN', align: 'right', value: show((row) => row.mean) },
          { head: 'P50', align: 'right', value: show((row) => row.p50) },
          { head: 'P95', align: 'right', value: show((row) => row.p95) },
        ],
        distributions,
        colours,
      ),
    );
  }
  return parts.length === 0 ? 'no metrics\n' : parts.join('\n');
}

/** `storage=nas operation=volume.free`; what has no labels is about this node. */
function labelText(labels: Labels): string {
  const words = Object.entries(labels).filter(([, value]) => value !== '');
  return words.length === 0 ? '-' : words.map(([name, value]) => `${name}=${clean(value)}`).join(' ');
}

/** A value in the unit that its name ends with. */
function inUnit(name: string, value: number | null): string {
  if (value === null) return '-';
  if (/_(?:timestamp|start_time)_seconds$/.test(name)) return formatTime(value);
  if (/_seconds(?:_total)?$/.test(name)) return `${round(value)} s`;
  if (/_bytes(?:_total)?$/.test(name)) return formatBytes(value);
  if (name.endsWith('_ratio')) return `${round(value * 100)} %`;
  return String(value);
}

/** Three digits that count; whole numbers whole. */
function round(value: number): string {
  return Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
