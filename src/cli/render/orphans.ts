import { formatBytes } from '../../core/sizes.ts';
import type { Result } from '../../protocol/methods.ts';
import type { Cleaned, OrphanRow, Planned } from '../commands/orphans-clean.ts';
import { clean, cleanLines, type Colours, table } from './text.ts';

type Report = Result<'overview.orphans'>;

/** All that was found, a table a storage, with reasons and what a clean-up does below. */
export function renderReport(report: Report, colours: Colours): string {
  const blocks = report.storages.map(({ id, complete, error, orphans, notes }) => {
    const head = `${colours.bold(clean(id))}: `;
    if (!complete) {
      return `${head}${colours.red('could not be looked at')}: ${cleanLines(error?.message ?? 'no reason given')} [${clean(error?.code ?? '')}]\n`;
    }
    return `${head}${block(orphans, notes, colours)}`;
  });
  if (report.node.orphans.length > 0 || report.node.notes.length > 0 || blocks.length === 0)
    blocks.push(`${colours.bold(`node ${clean(report.node.name)}`)}: ${block(report.node.orphans, report.node.notes, colours)}`);
  return blocks.join('\n');
}

function block(orphans: readonly OrphanRow[], notes: readonly string[], colours: Colours): string {
  const count = orphans.length === 0 ? 'no orphans' : `${orphans.length} orphan${orphans.length === 1 ? '' : 's'}`;
  const rows = orphans.length === 0 ? '' : `${rowsOf(orphans, colours)}${reasons(orphans, colours)}`;
  return `${count}\n${rows}${notes.map((note) => `  note: ${clean(note)}\n`).join('')}`;
}

function rowsOf(orphans: readonly OrphanRow[], colours: Colours): string {
  const drawn = table<OrphanRow>(
    [
      { head: 'SURE', value: (row) => sureWord(colours, row.certainty) },
      { head: 'KIND', value: (row) => clean(row.kind) },
      { head: 'NAME', value: (row) => clean(row.name) },
      { head: 'AGE', align: 'right', value: ageOf },
      { head: 'SIZE', align: 'right', value: (row) => (row.size === null ? '-' : formatBytes(row.size)) },
    ],
    orphans,
    colours,
  );
  return drawn.replace(/^(?=.)/gm, '  ');
}

function reasons(orphans: readonly OrphanRow[], colours: Colours): string {
  return orphans
    .map((row) => `${colours.dim(`  ${clean(row.name)}: ${clean(row.reason)}`)}\n${colours.dim(`    clean-up: ${clean(row.action)}`)}\n`)
    .join('');
}

function sureWord(colours: Colours, certainty: OrphanRow['certainty']): string {
  return certainty === 'certain' ? colours.red(certainty) : certainty === 'likely' ? colours.yellow(certainty) : certainty;
}

/** `3d`, `5h`, `12m`; with `>` where only our own sighting is known. */
function ageOf({ age_s: age, seen_s: seen }: OrphanRow): string {
  const seconds = age ?? seen;
  const [unit, size] = seconds >= 172_800 ? ['d', 86_400] : seconds >= 7200 ? ['h', 3600] : seconds >= 120 ? ['m', 60] : ['s', 1];
  return `${age === null ? '>' : ''}${Math.floor(seconds / size)}${unit}`;
}

/** What a clean-up is about to do. */
export function renderPlan(plan: readonly Planned[], report: Report, includeVolumes: boolean, colours: Colours): string {
  const all = [...report.storages.flatMap((storage) => storage.orphans), ...report.node.orphans];
  const withData = all.filter((orphan) => orphan.certainty === 'certain' && orphan.data).length;
  const hint =
    withData > 0 && !includeVolumes ? `${withData} with data ${withData === 1 ? 'is' : 'are'} left alone without --include-volumes\n` : '';
  if (plan.length === 0) return `\nnothing to clean up\n${hint}`;
  const lines = plan.map(({ storage, orphan }) => {
    const data = orphan.data ? colours.red(' (data)') : '';
    return `  ${clean(storage ?? report.node.name)}  ${clean(orphan.kind)}  ${clean(orphan.name)}: ${clean(orphan.action)}${data}\n`;
  });
  return `\n${colours.bold('To be deleted:')}\n${lines.join('')}${hint}`;
}

/** What became of one; of a deleted one all that is needed to make it again. */
export function renderCleaned(one: Cleaned, colours: Colours): string {
  const word = one.outcome === 'failed' ? colours.red(one.outcome) : one.outcome === 'kept' ? colours.yellow(one.outcome) : one.outcome;
  const was = one.outcome === 'deleted' ? `  was: ${clean(JSON.stringify(one.was))}\n` : '';
  const state = one.error?.state === undefined ? '' : `  state: ${clean(one.error.state)}\n`;
  return `${word}: ${clean(one.message)}\n${was}${state}`;
}
