import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_CATALOGUE } from '../../src/core/error-catalogue.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/how-to/troubleshooting.md'), 'utf8');

/** Where messages come from: our own, and those of TrueNAS as the simulator words them. */
function sources(): string {
  const files = ['src', 'sim', 'perl/PVE'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /(?<!\.test)\.(ts|pm)$/.test(name))
      .map((name) => join(ROOT, folder, name)),
  );
  // templates as they read once filled in
  return files
    .map((file) =>
      readFileSync(file, 'utf8')
        .replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…')
        .replace(/"\s*\.\s*_\w+\(\$\w+\)\s*\.\s*"/g, '…'),
    )
    .join('\n');
}

const entries = page
  .split(/^### /m)
  .slice(1)
  .map((text) => ({ title: text.split('\n')[0] ?? '', text: text.split(/^## /m)[0] ?? '' }));
const rows = [...page.matchAll(/^\| (`.*`) \| \[([A-Z_]+)\]/gm)].map(([, messages = '', code = '']) => ({ messages, code }));

describe('troubleshooting', () => {
  it.each(entries)('$title: what is seen, causes, commands, cure', ({ text }) => {
    for (const part of ['**You see:**', '**Likely causes:**\n\n- ', '**Check:**\n\n```sh\n', '**Cure:**']) expect(text).toContain(part);
  });

  it('answers what people meet', () => {
    const wanted = [
      /inactive/,
      /got timeout/,
      /can't lock/,
      /Insufficient space/,
      /device is missing/i,
      /identity/,
      /Migration/,
      /rollback/i,
      /backup/i,
      /slow/,
      /limits logins/,
      /certificate/,
      /upgrade/,
      /API key was replaced/,
      /Orphans/,
      /full/,
      /one path/,
      /LVM/,
    ];
    const titles = entries.map(({ title }) => title);
    expect(wanted.filter((pattern) => !titles.some((title) => pattern.test(title)))).toEqual([]);
  });

  it('quotes messages that exist', () => {
    const all = sources();
    const invented = rows.flatMap(({ messages }) =>
      [...messages.matchAll(/`([^`]+)`/g)].flatMap(([, message = '']) =>
        message
          .split('…')
          .map((part) => part.trim())
          .filter((part) => part !== '' && !all.includes(part)),
      ),
    );
    expect(rows.length).toBeGreaterThan(20);
    expect(invented).toEqual([]);
  });

  it('gives each message a code of its own meaning', () => {
    expect(rows.filter(({ code }) => !Object.hasOwn(ERROR_CATALOGUE, code))).toEqual([]);
  });
});
