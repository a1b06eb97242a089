import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { COMMANDS } from '../../src/cli/program.ts';
import { SETTINGS } from '../../src/config/schema.ts';
import { FreshClone, output, ROOT } from './testing/deb-build.ts';

const manifest = z.object({ version: z.string(), dependencies: z.record(z.string(), z.string()) });
const { version: VERSION, dependencies } = manifest.parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')));

/** Two who build it, as unlike as can be. */
const ONE = {
  umask: '022',
  changed: new Date('2019-05-01T10:00:00Z'),
  env: { TZ: 'Pacific/Auckland', LC_ALL: 'C.UTF-8', HOME: '/root', USER: 'one' },
};
const OTHER = {
  umask: '077',
  changed: new Date('2026-06-30T23:59:59Z'),
  env: { TZ: 'America/New_York', LC_ALL: 'C', HOME: '/nonexistent', USER: 'other' },
};

let clones: readonly FreshClone[] = [];
let debs: readonly string[] = [];
let unpacked = '';
/** The names of all files, without the dot at the front. */
let files: readonly string[] = [];

beforeAll(async () => {
  const [one, other] = [await FreshClone.make(), await FreshClone.make()];
  clones = [one, other];
  debs = [await one.makeDeb(ONE), await other.makeDeb(OTHER)];
  unpacked = join(one.directory, '.cache/unpacked');
  await output(['dpkg-deb', '-R', debs[0] ?? '', unpacked]);
  files = (await output(['find', '.', '-not', '-type', 'd', '-not', '-path', './DEBIAN/*'], { cwd: unpacked }))
    .trim()
    .split('\n')
    .map((name) => name.slice(1));
}, 600_000);
afterAll(async () => {
  for (const clone of clones) await clone.dispose();
});

const text = (name: string): Promise<string> => readFile(join(unpacked, name), 'utf8');
const field = async (name: string): Promise<string> => (await output(['dpkg-deb', '-f', debs[0] ?? '', name])).trim();

describe('make deb', () => {
  it('makes the same bytes out of two clones in other directories, of other ages, with another umask, time zone and language', async () => {
    const sums = await Promise.all(debs.map(async (deb) => (await output(['sha256sum', deb])).split(' ')[0]));
    expect(sums[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(sums[1]).toBe(sums[0]);
  });

  it('names the package by its version, which is the programs own', async () => {
    expect(debs[0]).toMatch(new RegExp(`/pve-truenas_${VERSION.replaceAll('.', '\\.')}_all\\.deb$`));
    expect(await field('Version')).toBe(VERSION);
  });

  it('has no lintian tag of any severity', async () => {
    const shown = ['--info', '--pedantic', '--display-info', '--display-experimental', '--allow-root'];
    expect(await output(['lintian', ...shown, debs[0] ?? ''], { env: { LC_ALL: 'C.UTF-8' } })).toBe('');
  });

  it('needs what is named as needed, and gives way for the packages of the Perl plugins', async () => {
    expect((await field('Depends')).split(', ').sort()).toEqual(['nodejs (>= 18.19)', 'open-iscsi', 'perl']);
    expect((await field('Recommends')).split(', ').sort()).toEqual(['multipath-tools', 'nvme-cli']);
    for (const name of ['Conflicts', 'Replaces']) expect((await field(name)).split(', ')).toContain('truenas-proxmox-plugin');
  });
});

describe('the package', () => {
  it('belongs to root, and nobody else may write into it', async () => {
    const lines = (await output(['dpkg-deb', '-c', debs[0] ?? ''])).trim().split('\n');
    expect(lines.filter((line) => !/^(-rw-r--r--|-rwxr-xr-x|drwxr-xr-x|lrwxrwxrwx) root\/root /.test(line))).toEqual([]);
  });

  it.each(['pve-truenasd', 'pve-truenas', 'pve-truenas-sim'])('holds %s, which runs on the Node.js of the distribution', async (name) => {
    const bundle = await text(`usr/libexec/pve-truenas/${name}.mjs`);
    expect(bundle.split('\n')[0]).toBe('#!/usr/bin/node');
    expect(await output([join(unpacked, `usr/libexec/pve-truenas/${name}.mjs`), '--version'])).toBe(`${VERSION}\n`);
    expect(files).toContain(name === 'pve-truenasd' ? `/usr/sbin/${name}` : `/usr/bin/${name}`);
  });

  it('holds the Perl module with the generated schema, byte for byte', async () => {
    const module = 'PVE/Storage/Custom/TrueNASPlugin.pm';
    expect(await text(`usr/share/perl5/${module}`)).toBe(await readFile(join(ROOT, 'perl', module), 'utf8'));
  });

  it('has a man page for every command, for the programs and for the settings', () => {
    const pages = COMMANDS.map(({ path }) => `man1/pve-truenas-${path.replaceAll(' ', '-')}.1`);
    const others = ['man1/pve-truenas.1', 'man1/pve-truenas-sim.1', 'man5/pve-truenas-settings.5', 'man8/pve-truenasd.8'];
    expect(files.filter((name) => name.startsWith('/usr/share/man/')).sort()).toEqual(
      [...pages, ...others].map((page) => `/usr/share/man/${page}.gz`).sort(),
    );
  });

  it('shows every page without an error, and every setting in that of the settings', async () => {
    for (const page of files.filter((name) => name.startsWith('/usr/share/man/'))) {
      const shown = await output(['sh', '-c', 'zcat "$1" | mandoc -Wunsupp -T utf8', 'sh', join(unpacked, page)]);
      expect(shown.length).toBeGreaterThan(400);
    }
    const settings = await output([
      'sh',
      '-c',
      'zcat "$1" | mandoc -T ascii | col -b',
      'sh',
      join(unpacked, 'usr/share/man/man5/pve-truenas-settings.5.gz'),
    ]);
    for (const { name } of SETTINGS) expect(settings).toContain(name);
  });

  it.each([
    ['bash', 'usr/share/bash-completion/completions/pve-truenas'],
    ['zsh', 'usr/share/zsh/vendor-completions/_pve-truenas'],
  ] as const)('completes for %s what completion prints', async (shell, file) => {
    const program = join(unpacked, 'usr/libexec/pve-truenas/pve-truenas.mjs');
    expect(await text(file)).toBe(await output([program, 'completion', shell]));
    await output([shell, '-n', join(unpacked, file)]);
  });

  it('holds units, examples for multipath and the LVM filter, and the monitoring files', () => {
    const wanted = ['systemd/system/pve-truenasd.service', 'systemd/system/pve-truenasd.socket'].map((name) => `/usr/lib/${name}`);
    const examples = ['multipath.conf', 'lvm-filter.conf', 'single-node.cfg'].map((name) => `/usr/share/doc/pve-truenas/examples/${name}`);
    const monitoring = ['pve-truenas-alerts.yml', 'grafana-dashboard.json', 'scrape-example.yml'].map(
      (name) => `/usr/share/pve-truenas/monitoring/${name}`,
    );
    expect(files).toEqual(expect.arrayContaining([...wanted, ...examples, ...monitoring]));
  });

  it('names the licence of every library that is bundled', async () => {
    const notices = await text('usr/share/doc/pve-truenas/THIRD-PARTY-LICENSES.txt');
    for (const name of Object.keys(dependencies)) expect(notices).toContain(name);
  });

  it('has maintainer scripts that a POSIX shell reads', async () => {
    for (const name of ['preinst', 'postinst', 'prerm', 'postrm']) await output(['sh', '-n', join(unpacked, 'DEBIAN', name)]);
  });
});

describe('the units', () => {
  it('are found right by systemd-analyze', async () => {
    const root = join(unpacked, '../verified');
    // Programs of other packages that the units start.
    await output([
      'sh',
      '-ec',
      'rm -rf "$2"; cp -a "$1" "$2"; mkdir -p "$2/bin"; for p in bin/kill usr/bin/timeout; do printf "#!/bin/sh\\n" >"$2/$p"; chmod 755 "$2/$p"; done',
      'sh',
      unpacked,
      root,
    ]);
    for (const target of ['sysinit', 'basic', 'shutdown', 'multi-user', 'sockets']) {
      await output([
        'sh',
        '-c',
        'printf "[Unit]\\nDescription=%s\\n" "$2" >"$1"',
        'sh',
        join(root, `usr/lib/systemd/system/${target}.target`),
        target,
      ]);
    }
    const said = await output([
      'sh',
      '-c',
      'systemd-analyze verify --man=no --root="$1" pve-truenasd.service pve-truenasd.socket 2>&1 || true',
      'sh',
      root,
    ]);
    // systemd 252 of Debian 12 knows no growing back-off; it goes on with the plain one.
    const lines = said.split('\n').filter((line) => line.includes('pve-truenasd') && !/Restart(Steps|MaxDelaySec)/.test(line));
    expect(lines).toEqual([]);
    await rm(root, { recursive: true });
  });

  it('are exposed no more than medium by systemd-analyze security', async () => {
    const unit = join(unpacked, 'usr/lib/systemd/system/pve-truenasd.service');
    const shown = await output(['systemd-analyze', 'security', '--offline=true', '--threshold=60', '--no-pager', unit]);
    expect(shown).toMatch(/Overall exposure level for pve-truenasd\.service: [0-5]\.\d/);
  });
});
