import { afterEach, describe, expect, it } from 'vitest';
import { PASSWORD, SetupNode } from './testing/setup-node.ts';
import type { Terminal } from './testing/terminal.ts';

const USUAL = { columns: 80, rows: 24 } as const;
const NARROW = { columns: 34, rows: 12 } as const;

let node: SetupNode | null = null;
let terminal: Terminal | null = null;
afterEach(async () => {
  await terminal?.close();
  await node?.end();
  terminal = null;
  node = null;
});

async function begin(blocks: 'tgt' | 'memory' = 'memory'): Promise<SetupNode> {
  node = await SetupNode.begin('25.10', blocks);
  node.sim.resetCalls();
  return node;
}

/** Answers from the certificate to the portals, as they are proposed. */
async function untilPortals(at: Terminal): Promise<void> {
  await at.shows('Is this your TrueNAS? [y/N]');
  await at.answer('y');
  await at.shows('administrator [truenas_admin]:');
  await at.answer('');
  await at.shows(/password or API key/);
  await at.answer(PASSWORD);
  await at.shows(/dataset for the volumes/);
  await at.answer('');
  await at.shows(/addresses of TrueNAS/);
  await at.answer('127.0.0.1');
}

describe('pve-truenas setup in a terminal', () => {
  it('asks for everything, shows the certificate and no secret, and ends with a probed disk', async () => {
    const { sim, storageCfg } = await begin('tgt');
    expect(storageCfg).toBe('');
    terminal = await (node as SetupNode).wizard(USUAL);
    await terminal.shows('name or address of TrueNAS:');
    await terminal.answer('127.0.0.1');
    const certificate = await terminal.shows('Is this your TrueNAS? [y/N]');
    expect(certificate.replace(/\n */g, '')).toContain(sim.fingerprint.slice(0, 47));
    expect(certificate.replace(/\n */g, '')).toContain(sim.fingerprint.slice(48));
    await untilPortals(terminal);
    await terminal.shows('id of the storage in PVE [truenas]:');
    await terminal.answer('tn');
    expect(await terminal.shows('Go on? [y/N]')).toMatch(/This will be made:\n {2}dataset tank\/proxmox\n.* {2}storage tn in PVE/s);
    await terminal.answer('y');
    const { status, screen } = await terminal.ended();
    expect(screen).toMatch(/made +probe disk of 1 GiB: written, read back and freed\nThe storage tn is ready/);
    expect(status).toBe(0);
    expect(screen).not.toContain(PASSWORD);
    // In a terminal there are colours
    expect(await terminal.screen({ escapes: true })).toContain('\x1b[32mmade');
    expect(node?.storageCfg).toContain('truenasplugin: tn');
  });

  it('asks again after wrong answers, and says what is wrong with each', async () => {
    const { sim } = await begin();
    terminal = await (node as SetupNode).wizard(USUAL, ['--no-probe']);
    await terminal.shows('name or address of TrueNAS:');
    await terminal.answer('https://127.0.0.1');
    await terminal.shows(/URL[^\n]*\n[^\n]*name or address of TrueNAS:/);
    await terminal.answer('127.0.0.1');
    await terminal.shows('Is this your TrueNAS? [y/N]');
    await terminal.answer('y');
    await terminal.shows('administrator [truenas_admin]:');
    await terminal.answer('');
    await terminal.shows(/password or API key/);
    await terminal.answer('wrong');
    await terminal.shows(/does not accept the password[^\n]*\n[^\n]*password or API key/);
    await terminal.answer(sim.apiKey);
    await terminal.shows(/dataset for the volumes/);
    await terminal.answer('none/x');
    await terminal.shows('there is no such pool; there are tank');
    await terminal.answer('tank');
    await terminal.shows('it must lie below a pool');
    await terminal.answer('');
    await terminal.shows(/addresses of TrueNAS/);
    await terminal.answer('nas');
    await terminal.shows(/addresses of TrueNAS[^\n]*nas\n[^\n]+\n[^\n]*addresses of TrueNAS/);
    await terminal.answer('127.0.0.1');
    await terminal.shows('id of the storage in PVE');
    await terminal.answer('-x');
    await terminal.shows('is not a storage id');
    await terminal.answer('');
    await terminal.shows('Go on? [y/N]');
    await terminal.answer('');
    const { status, screen } = await terminal.ended();
    expect(status).toBe(1);
    expect(screen).not.toContain(sim.apiKey);
    expect(node?.changes()).toEqual([]);
  });

  it('sends nothing when the certificate is not accepted', async () => {
    const { sim } = await begin();
    terminal = await (node as SetupNode).wizard(USUAL, ['--host', '127.0.0.1']);
    await terminal.shows('Is this your TrueNAS? [y/N]');
    await terminal.answer('n');
    const { status, screen } = await terminal.ended();
    expect(screen).toContain('the certificate was not accepted: nothing was sent [TLS_UNTRUSTED]');
    expect(status).toBe(2);
    expect(sim.calls()).toEqual({});
  });

  it.each(['name or address of TrueNAS:', 'Is this your TrueNAS? [y/N]', 'password or API key', 'Go on? [y/N]'])(
    'changes nothing when it is left by Ctrl-C at "%s"',
    async (question) => {
      await begin();
      terminal = await (node as SetupNode).wizard(USUAL, ['--no-probe'], '; stty -a | grep -o " echo "');
      await terminal.shows('name or address of TrueNAS:');
      if (!question.startsWith('name')) {
        await terminal.answer('127.0.0.1');
        if (question.startsWith('password')) {
          await terminal.shows('Is this your TrueNAS? [y/N]');
          await terminal.answer('y');
          await terminal.shows('administrator [truenas_admin]:');
          await terminal.answer('');
        } else if (question.startsWith('Go on')) {
          await untilPortals(terminal);
          await terminal.shows('id of the storage in PVE');
          await terminal.answer('');
        }
      }
      await terminal.shows(question);
      await terminal.press('C-c');
      const { screen } = await terminal.ended();
      expect(screen).toMatch(/setup was interrupted \[SETUP_INTERRUPTED\]/);
      expect(screen).toMatch(/State: nothing was changed/);
      // What is typed is shown again
      expect(screen).toMatch(/^ echo $/m);
      expect(node?.changes()).toEqual([]);
    },
  );

  it('takes back what it made on Ctrl-C, step by step', async () => {
    const { sim } = await begin();
    const before = await node?.state();
    sim.resetCalls();
    terminal = await (node as SetupNode).wizard(USUAL, ['--host', '127.0.0.1', '--storage', 'tn', '--no-probe']);
    await untilPortals(terminal);
    sim.faults.add({ fault: 'latency', method: 'user.create', ms: 500 });
    await terminal.shows('Go on? [y/N]');
    await terminal.answer('y');
    await node?.called('user.create', 1);
    await terminal.press('C-c');
    const { status, screen } = await terminal.ended();
    expect(screen).toMatch(/interrupted: ending the step under way\n.*undone +make user pve-truenas\n +undone +make target proxmox\n/s);
    expect(status).toBe(2);
    sim.faults.clear();
    expect(await node?.state()).toEqual(before);
  });

  it('works in a narrow terminal, without broken lines of progress', async () => {
    const { answers, sim } = await begin();
    const given = ['--host', '127.0.0.1', '--fingerprint', sim.fingerprint, '--storage', 'tn', '--portal', '127.0.0.1', '--no-probe'];
    terminal = await (node as SetupNode).wizard(NARROW, given);
    await terminal.shows(/administrator/);
    await terminal.answer('');
    await terminal.shows('password or API key');
    await terminal.answer(PASSWORD);
    await terminal.shows(/\[tank\/proxmox\]/);
    await terminal.answer('');
    await terminal.shows('Go on? [y/N]');
    await terminal.answer('y');
    const { status, screen } = await terminal.ended();
    expect(status).toBe(0);
    // What was being done is taken away again: each step stands there once
    expect(screen.match(/make target|making|looking at/g)).toBeNull();
    expect(screen).toMatch(/made +target proxmox\n +made +user pve-truenas\n/);
    expect(answers['storage']).toBe('tn');
  });

  it('asks nothing and shows no colours when its output is a pipe', async () => {
    await begin();
    terminal = await (node as SetupNode).wizard(USUAL, [], '2>&1 | cat');
    const { screen } = await terminal.ended();
    expect(screen).toMatch(/'storage' is missing; 'host' is missing; 'dataset' is missing; 'portals' is missing \[SETUP_ANSWERS\]/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
    expect(await terminal.screen({ escapes: true })).not.toMatch(/\x1b\[/);
  });
});
