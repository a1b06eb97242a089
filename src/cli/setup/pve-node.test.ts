import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StorageError } from '../../core/errors.ts';
import { PveNode } from './pve-node.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pve-node-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function put(name: string, text: string): void {
  writeFileSync(join(directory, name), text);
}

describe('the node as setup sees it', () => {
  it('has the name of its cluster, and something that another of this name does not have', async () => {
    put('.members', JSON.stringify({ nodename: 'pve1', cluster: { name: 'lab' }, nodelist: { pve2: {}, pve1: {} } }));
    expect(await new PveNode(directory).cluster()).toEqual({ name: 'lab', node: 'pve1', nodes: ['pve1', 'pve2'] });
    const names = new Set<string>();
    for (const authority of ['one', 'two']) {
      put('pve-root-ca.pem', authority);
      names.add((await new PveNode(directory).cluster()).name);
    }
    expect([...names]).toEqual([expect.stringMatching(/^lab-[0-9a-f]{6}$/), expect.stringMatching(/^lab-[0-9a-f]{6}$/)]);
  });

  it.each(['', '{', '{"nodename":1}'])('takes the directories of /etc/pve/nodes where .members reads %j', async (text) => {
    put('.members', text);
    mkdirSync(join(directory, 'nodes/b'), { recursive: true });
    mkdirSync(join(directory, 'nodes/a'));
    expect((await new PveNode(directory).cluster()).nodes).toEqual(['a', 'b']);
  });

  it('keeps a key for root only, over one that is there, and takes it away', async () => {
    const node = new PveNode(directory);
    await node.keepKey('tn', '1-old');
    await node.keepKey('tn', '2-new');
    expect(readFileSync(node.keyFile('tn'), 'utf8')).toBe('2-new\n');
    expect(statSync(node.keyFile('tn')).mode & 0o777).toBe(0o600);
    expect(await node.key('tn')).toBe('2-new');
    await node.keepKey('tn', null);
    expect(await node.key('tn')).toBeNull();
    await node.keepKey('tn', null);
  });

  it('works by pvesm where there is no pvesh, and takes the first VMID that no guest has', async () => {
    put('.vmlist', JSON.stringify({ version: 1, ids: { 100: {}, 101: {}, 103: {} } }));
    const ran: string[] = [];
    const node = new PveNode(directory, (program, args) => {
      if (program === 'pvesh')
        return Promise.reject(new StorageError('HOST_COMMAND', 'no pvesh', { cause: Object.assign(new Error(), { code: 'ENOENT' }) }));
      ran.push([program, ...args].join(' '));
      return Promise.resolve({ stdout: '', stderr: '', exitCode: 0 });
    });
    await node.addStorage('tn', { api_host: 'nas', dataset: 'tank/x' });
    await node.removeStorage('tn');
    expect(ran).toEqual(['pvesm add truenasplugin tn --api_host nas --dataset tank/x', 'pvesm remove tn']);
    expect(await node.freeVmid()).toBe(102);
  });

  it('tells what a program of PVE wrote when it refuses', async () => {
    const node = new PveNode(directory, () => Promise.resolve({ stdout: '', stderr: 'storage \u001b[1mtn exists\n', exitCode: 2 }));
    await expect(node.addStorage('tn', {})).rejects.toThrow(/^pvesh create \/storage: storage [^\u001b]+tn exists$/);
  });
});
