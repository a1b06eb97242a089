/**
 * `make test-lab`: builds the lab if it is not there, runs its tests (with `ONLY=word` those whose file or name has the word), one
 * line a test, and makes sure that nothing of them is left running or mounted, also after Ctrl-C.
 * Exit status: 0 all passed and nothing was left, 1 not so, 130 interrupted.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Choice, chooseTests, parseTests } from './choose-tests.ts';
import { leftBehind, type Place, tell } from './left-behind.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const TESTS = join(ROOT, 'test/lab');
const MACHINE = join(TESTS, 'machine');
const VITEST = join(ROOT, 'node_modules/.bin/vitest');
/** Rounds of 0.1 s in which what was killed has to be gone. */
const ROUNDS = 200;
/** ms that an interrupted program has for its own cleaning */
const PATIENCE = 10_000;
const run = promisify(execFile);

const LAB = resolve(process.env['LAB_DIR'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'pve-truenas-lab'));
const RUNS = resolve(process.env['LAB_RUN'] ?? join(LAB, 'run'));

/** Of the run of process `pid`. */
function placeOf(pid: number): Place {
  return { lab: LAB, run: join(RUNS, `t${pid}`), namespace: `lab-t${pid}` };
}

let running: ChildProcess | undefined;
let interrupted: NodeJS.Signals | undefined;

/**
 * A program in a process group of its own. Exit status; 1 when a signal ended it. `seen` gets what it writes, which goes to the
 * terminal as well.
 */
async function show(
  argv: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  seen: (text: string) => void = () => undefined,
): Promise<number> {
  if (interrupted !== undefined) return 1;
  const [program, ...args] = argv;
  const child = spawn(program, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  running = child;
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    from.on('data', (chunk: Buffer) => {
      to.write(chunk);
      seen(chunk.toString('utf8'));
    });
  }
  // what it leaves running may hold its output open for ever
  const ended = once(child, 'exit').then(() => pause(2000, undefined, { ref: false }));
  await Promise.race([once(child, 'close'), ended]);
  running = undefined;
  return child.exitCode ?? 1;
}

/** Lets the running program take down its own; what stays is ended later. */
function interrupt(signal: NodeJS.Signals): void {
  if (interrupted === undefined) process.stdout.write(`\n${signal}: cleaning up\n`);
  interrupted ??= signal;
  const { pid } = running ?? {};
  if (pid === undefined) return;
  endProcess(-pid, signal);
  setTimeout(() => endProcess(-pid, 'SIGKILL'), PATIENCE).unref();
}

/** Errors: it could not be built; the message names the step. */
async function build(): Promise<void> {
  let output = '';
  const status = await show([join(MACHINE, 'lab'), 'build', '--install'], process.env, (text) => (output += text));
  if (status === 0) return;
  const step = /step failed: .*/.exec(output)?.[0] ?? output.trim().split('\n').at(-1) ?? '';
  throw new Error(`the lab could not be built: ${step}`);
}

async function choose(word: string): Promise<Choice | null> {
  if (word === '') return null;
  const { stdout } = await run(VITEST, ['list', '--project', 'lab', '--json'], { cwd: ROOT, maxBuffer: 16 * 1024 * 1024 });
  return chooseTests(parseTests(stdout.slice(stdout.indexOf('['))), TESTS, word);
}

async function test(here: Place, choice: Choice | null): Promise<boolean> {
  const reporters = ['--reporter=tools/lab/line-reporter.ts', '--reporter=json', '--outputFile.json=.cache/suites/lab.json'];
  const only = choice === null ? [] : ['--testNamePattern', choice.pattern, ...choice.files];
  const env = { ...process.env, LAB_RUN: here.run, LAB_NS: here.namespace, NO_COLOR: '1' };
  return (await show([VITEST, 'run', '--project', 'lab', ...reporters, ...only], env)) === 0;
}

/** Ends what a run left. Returns what it was: nothing, when the tests took down their own. */
async function clear(here: Place): Promise<readonly string[]> {
  const first = tell(await leftBehind(here));
  for (let round = 0; round < ROUNDS; round += 1) {
    const { processes, namespaces, mounts } = await leftBehind(here);
    if (processes.length + namespaces.length + mounts.length === 0) break;
    for (const { pid } of processes) endProcess(pid, 'SIGKILL');
    if (processes.length === 0) {
      for (const name of namespaces)
        await run(join(MACHINE, 'net'), ['down'], { env: { ...process.env, LAB_NS: name } }).catch(() => undefined);
    }
    await pause(100);
  }
  await rm(here.run, { recursive: true, force: true });
  return first;
}

/** What is left of a run that was killed without a chance to clear up. */
async function clearDead(): Promise<void> {
  for (const name of await readdir(RUNS).catch(() => [])) {
    const pid = Number(/^t(\d+)$/.exec(name)?.[1] ?? NaN);
    if (Number.isInteger(pid) && !existsSync(`/proc/${pid}`)) await clear(placeOf(pid));
  }
}

/** Negative: a process group. */
function endProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended meanwhile
  }
}

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) throw new Error('the lab needs root: network namespaces, chroot, device nodes');
  const here = placeOf(process.pid);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => interrupt(signal));
  }
  await clearDead();
  const start = performance.now();
  await build();
  const choice = await choose(process.env['ONLY'] ?? '');
  if (choice !== null) console.log(`${choice.count} tests have "${process.env['ONLY'] ?? ''}" in their name or file`);
  await mkdir(join(ROOT, '.cache/suites'), { recursive: true });
  await mkdir(here.run, { recursive: true });
  let passed = false;
  let left: readonly string[] = [];
  try {
    passed = await test(here, choice);
  } finally {
    left = await clear(here);
  }
  if (interrupted !== undefined) return 130;
  for (const line of left) console.log(`FAIL left behind: ${line}`);
  if (left.length === 0) console.log('nothing left running or mounted');
  console.log(`lab: ${Math.round((performance.now() - start) / 1000)} s`);
  return passed && left.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`test-lab: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = interrupted === undefined ? 1 : 130;
}
