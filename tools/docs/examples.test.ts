import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseSection } from '../../src/config/parse-section.ts';
import { STORAGE_TYPE } from '../../src/config/schema.ts';
import { accepts, judgeLvm, parseLvmConfig } from '../../src/doctor/node/lvm-filter.ts';
import { judgeMultipath, readMultipathConf } from '../../src/doctor/node/multipath.ts';
import { ANSWERS, completeAnswers, parseYamlAnswers } from '../../src/setup/answers.ts';
import { readStorageCfg } from '../../src/config/storage-cfg.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FOLDER = join(ROOT, 'docs/examples');
const files = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.cfg'))
  .map((name) => ({ name, text: readFileSync(join(FOLDER, name), 'utf8') }));
const page = readFileSync(join(ROOT, 'docs/how-to/configuration-examples.md'), 'utf8');

/** `severity setting` of every fault that a file has. */
function faultsOf(text: string): string[] {
  return readStorageCfg(text).sections.flatMap(({ id, properties }) =>
    parseSection(id, properties).faults.map(({ severity, setting }) => `${severity} ${setting}`),
  );
}

/** The faults that its comments name. */
function announced(text: string): string[] {
  return [...text.matchAll(/^# {3}((?:error|warning) [a-z0-9_-]+)$/gm)].map((match) => match[1] ?? '');
}

function withoutComments(text: string): string {
  return text.replace(/^#.*\n/gm, '');
}

describe.each(files)('docs/examples/$name', ({ name, text }) => {
  it('is read without a line that PVE would pass over', () => {
    const { sections, warnings } = readStorageCfg(text);
    expect(warnings).toEqual([]);
    expect(sections.length).toBeGreaterThan(0);
    expect(sections.map(({ type }) => type).filter((type) => type !== STORAGE_TYPE)).toEqual([]);
  });

  it('has exactly the faults that its comments name', () => {
    expect(faultsOf(text).sort()).toEqual(announced(text).sort());
  });

  it('begins by saying what it is for, and holds no secret', () => {
    expect(text).toMatch(/^# [A-Z].{20,}\n/);
    expect(withoutComments(text)).not.toMatch(/(api_key|chap_password) (?!1-(?:example0)+$)\S/m);
  });

  it('is explained, word for word', () => {
    const section = page.split(/^## /m).find((part) => part.includes(`(../examples/${name})`)) ?? '';
    expect(section).toContain(`\`\`\`\n${withoutComments(text)}\`\`\``);
  });
});

describe('docs/examples/answers.yaml', () => {
  const text = readFileSync(join(FOLDER, 'answers.yaml'), 'utf8');

  it('is taken by setup, and so is all that it only mentions', () => {
    expect(completeAnswers(parseYamlAnswers(text))).toMatchObject({ storage: 'nas', probe: true });
    const all = parseYamlAnswers(text.replace(/^# ([a-z]+: \S+)$/gm, '$1'));
    expect(Object.keys(all).sort()).toEqual(Object.keys(ANSWERS).sort());
    // What stands behind a # is the default
    expect(completeAnswers(all)).toEqual(completeAnswers(parseYamlAnswers(text)));
  });
});

describe('the examples', () => {
  it('cover what people ask for', () => {
    const wanted = [
      'single-node',
      'cluster',
      'ha-multipath',
      'ipv6',
      'chap',
      'nvme-tcp',
      'several-storages',
      'slow-link',
      'qemu-initiator',
    ];
    expect(files.map(({ name }) => name)).toEqual(expect.arrayContaining(wanted.map((name) => `${name}.cfg`)));
  });

  it('a fault that is not announced would be found', () => {
    expect(faultsOf('truenasplugin: nas\n\tapi_host nas\n')).toEqual(expect.arrayContaining(['error dataset', 'error target_iqn']));
    expect(announced('# x\n#   warning api_insecure\n')).toEqual(['warning api_insecure']);
  });
});

describe('the files for the node', () => {
  it('lvm-filter.conf keeps LVM off all that the doctor looks for, and keeps what Proxmox VE filters', () => {
    const list = /global_filter = \[([^\]]*)\]/.exec(readFileSync(join(FOLDER, 'lvm-filter.conf'), 'utf8'))?.[1] ?? '';
    const settings = parseLvmConfig(`global_filter=[${list.replace(/\s+/g, '')}]\n`);
    expect(settings.globalFilter.length).toBeGreaterThan(5);
    expect(judgeLvm(settings, { disks: true, maps: true }).state).toBe('ok');
    for (const device of ['/dev/zd16', '/dev/rbd0']) expect(accepts(settings.globalFilter, [device])).toBe(false);
    for (const device of ['/dev/sda3', '/dev/nvme0n1p3', '/dev/mapper/pve-root', '/dev/mapper/mpatha']) {
      expect(accepts(settings.globalFilter, [device])).toBe(true);
    }
  });

  it('multipath.conf is what the doctor wants of a node', () => {
    expect(judgeMultipath(readMultipathConf(readFileSync(join(FOLDER, 'multipath.conf'), 'utf8'))).state).toBe('ok');
  });
});
