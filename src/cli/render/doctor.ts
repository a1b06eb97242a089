import type { DoctorReport } from '../../doctor/doctor.ts';
import type { Finding, FindingState } from '../../doctor/finding.ts';
import { clean, type Colours, stateWord } from './text.ts';

const STATE_WIDTH = 'skipped'.length;

/** Every check below the node or storage that it is of, with what was seen and what cures it. */
export function renderDoctor({ subjects, node, version, state }: DoctorReport, colours: Colours): string {
  const blocks = subjects.map(({ storage, state: worst, checks }) => {
    const title = storage === null ? `node ${clean(node)}` : `storage ${clean(storage)}`;
    const width = Math.max(0, ...checks.map(({ name }) => name.length));
    return [`${colours.bold(title)}: ${word(worst, colours)}`, ...checks.flatMap((check) => linesOf(check, width, colours)), ''].join('\n');
  });
  const all = subjects.flatMap(({ checks }) => checks);
  const counts = (['ok', 'warning', 'error', 'skipped'] as const).map(
    (one) => `${all.filter((check) => check.state === one).length} ${one}`,
  );
  return `${blocks.join('\n')}\npve-truenas ${clean(version)}: ${word(state, colours)} (${counts.join(', ')})\n`;
}

function linesOf({ name, state, seen, cure }: Finding, width: number, colours: Colours): readonly string[] {
  const padded = `${word(state, colours)}${' '.repeat(STATE_WIDTH - state.length)}`;
  const line = `  ${padded}  ${clean(name).padEnd(width)}  ${clean(seen)}`;
  return cure === undefined ? [line] : [line, `  ${' '.repeat(STATE_WIDTH + width + 4)}cure: ${clean(cure)}`];
}

function word(state: FindingState, colours: Colours): string {
  return state === 'skipped' ? colours.dim(state) : stateWord(colours, state);
}
