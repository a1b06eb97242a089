import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promtoolPath } from '../build/promtool.ts';
import { type Count, countClosingLine, countStatus, countTap, countVitest } from './counts.ts';

/**
 * When a suite runs, and beside which. In each stage they begin in the order of the list, the long ones before the short ones.
 * - `computing`: first, three at a time, since one of them waits for connections that it cuts: what needs processors, and keeps no deadline that a neighbour could break.
 * - `alone`: then, one by one: what counts what a machine does, or fills it.
 * - `waiting`: last, two at a time: real processes that spend most of their time waiting for each other's deadlines.
 */
export type Stage = (typeof STAGES)[number];
export const STAGES = ['computing', 'alone', 'waiting'] as const;

export interface Suite {
  /** Unique; `make test SUITES=...` takes it, or its `group`. */
  readonly name: string;
  readonly group: string;
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly count: Count;
  /** File (from the repository's root) in which the runner leaves its report. */
  readonly report?: string;
  /** seconds */
  readonly limit: number;
  readonly stage: Stage;
  /** Shows its own progress, which is passed on as it comes. */
  readonly live?: true;
  /** ms that it has to take down what it started when its time is over; without: as `runCommand` has it */
  readonly killAfterMs?: number;
  /** Why it cannot run here and is left out; it then counts neither as passed nor as failed. */
  readonly leftOut?: string;
}

/** Reports of the runners and the closing line of the last run. */
export const REPORTS = '.cache/suites';
/** The suites' whole output. */
export const LOGS = '.cache/logs';

const BIN = 'node_modules/.bin';
const MODULE = 'perl/PVE/Storage/Custom/TrueNASPlugin.pm';
const PERL_LIBS = ['-Iperl', '-Iperl/t/lib'] as const;
const SOURCES = ['src', 'sim', 'tools', 'test'].filter((folder) => existsSync(folder));

function check(name: string, argv: Suite['argv']): Suite {
  return { name: `lint:${name}`, group: 'lint', argv, count: countStatus, limit: 1500, stage: 'computing' };
}

function vitest(name: string, limit: number, stage: Stage): Suite {
  const report = join(REPORTS, `${name}.json`);
  const argv = [`${BIN}/vitest`, 'run', '--project', name, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`] as const;
  return { name, group: name, argv, count: countVitest, report, limit, stage, env: { NO_COLOR: '1' } };
}

function perl(name: string, switches: readonly string[]): Suite {
  const argv = ['prove', '-v', '-r', '--nocolor', ...switches, ...PERL_LIBS, 'perl/t'] as const;
  return { name, group: 'perl', argv, count: countTap, limit: 1500, stage: 'computing' };
}

/** Programs that write committed files; with --check they only tell whether these are stale. */
const GENERATORS = ['tools/perl-schema/generate.ts', 'tools/docs/main.ts'] as const;

/**
 * All suites in the order in which they are shown. `pveSources`: directory with clones of Proxmox's repositories, or empty.
 * `withLab`: whether the tests in VMs belong to it.
 */
export function suites(pveSources: string, withLab: boolean): readonly Suite[] {
  const pve: Suite = {
    name: 'pve',
    group: 'pve',
    argv: ['test/pve/run'],
    count: countClosingLine,
    limit: 1800,
    stage: 'alone',
  };
  const firstDisk: Suite = { ...pve, name: 'pve-first-disk', argv: ['test/pve/first-disk'] };
  const lab: Suite = {
    name: 'lab',
    group: 'lab',
    argv: ['node', '--import', 'tsx', 'tools/lab/main.ts'],
    count: countVitest,
    report: join(REPORTS, 'lab.json'),
    limit: 2400,
    stage: 'alone',
    live: true,
    killAfterMs: 60_000,
  };
  const install: Suite = {
    name: 'install',
    group: 'install',
    argv: ['test/install/run'],
    count: countClosingLine,
    limit: 1800,
    stage: 'waiting',
  };
  const monitoring = vitest('monitoring', 300, 'computing');
  return [
    vitest('contract', 1500, 'computing'),
    check('rules', [`${BIN}/eslint`, '--max-warnings=0', '.']),
    vitest('unit', 1500, 'computing'),
    vitest('package', 1500, 'computing'),
    check('types', [`${BIN}/tsc`, '-p', '.']),
    check('format', [`${BIN}/biome`, 'format']),
    check('arrows', [`${BIN}/depcruise`, '--config', '.dependency-cruiser.cjs', ...SOURCES]),
    check('dead-code', [`${BIN}/knip`]),
    ...GENERATORS.map((file) => check(`generated-${basename(dirname(file))}`, ['node', '--import', 'tsx', file, '--check'])),
    check('perl', ['perl', '-wc', ...PERL_LIBS, MODULE]),
    check('perl-taint', ['perl', '-wTc', ...PERL_LIBS, MODULE]),
    perl('perl', []),
    perl('perl-taint', ['-T']),
    // CI has to have it: there the suite fails instead
    promtoolPath() === null && process.env['CI'] === undefined
      ? { ...monitoring, leftOut: 'promtool (Debian package prometheus) is not here; make setup fetches it' }
      : monitoring,
    vitest('performance', 1500, 'alone'),
    vitest('flows', 1500, 'waiting'),
    vitest('chaos', 1500, 'waiting'),
    // CI is root: there the suite fails where it cannot run
    process.getuid?.() !== 0 && process.env['CI'] === undefined
      ? { ...install, leftOut: 'root is needed: sudo make test SUITES=install' }
      : install,
    ...[pve, firstDisk].map((suite) =>
      pveSources === '' ? { ...suite, leftOut: 'PVE_SRC is not set; make test-pve PVE_SRC=DIR runs it' } : suite,
    ),
    withLab ? lab : { ...lab, leftOut: 'make test-lab runs it' },
  ];
}

/** The suites that were asked for by name or group; all when none was named. Throws for a name that does not exist. */
export function choose(all: readonly Suite[], names: readonly string[]): readonly Suite[] {
  const unknown = names.find((name) => !all.some((suite) => suite.name === name || suite.group === name));
  if (unknown !== undefined) {
    throw new Error(`no suite is called ${unknown}; there are: ${[...new Set(all.map((suite) => suite.group))].join(', ')}`);
  }
  return names.length === 0 ? all : all.filter((suite) => names.includes(suite.name) || names.includes(suite.group));
}
