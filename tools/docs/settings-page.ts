import { SETTINGS } from '../../src/config/schema.ts';
import type { Setting } from '../../src/config/setting.ts';
import { code, generatedBy, table } from './markdown.ts';

/** docs/reference/settings.md: every setting of the storage type. */
export function settingsPage(): string {
  const active = SETTINGS.filter((setting) => setting.effect === 'active' && setting.core !== true);
  const core = SETTINGS.filter((setting) => setting.core === true);
  const inert = SETTINGS.filter((setting) => setting.effect === 'none');
  return `${generatedBy('settings-page.ts')}
# Settings

A storage is a section of type \`truenasplugin\` in \`/etc/pve/storage.cfg\`. The names in the column "also" are equals of the
first one; giving two of them different values is an error. \`pve-truenas config check\` judges all of them at once.

"Once" marks settings that can be given only when the storage is added: changing them would lose sight of its volumes.
"Secret" marks those that are kept in \`/etc/pve/priv/storage\` instead of storage.cfg.

${settingTable(active)}

## Settings of Proxmox VE itself

${settingTable(core)}

## Accepted, without effect

These stand in sections of the earlier plugins. They are read without an error, change nothing, and \`pve-truenas config check\` names them.

${table(
  ['setting', 'also', 'what it was', 'why it has no effect'],
  inert.map((setting) => [code(setting.name), names(setting), setting.description, setting.reason ?? '']),
)}
`;
}

function settingTable(settings: readonly Setting[]): string {
  return table(
    ['setting', 'also', 'type', 'default', 'meaning'],
    settings.map((setting) => [
      code(setting.name),
      names(setting),
      typeOf(setting),
      setting.default === undefined ? '' : defaultOf(setting.default),
      meaning(setting),
    ]),
  );
}

function names(setting: Setting): string {
  return setting.aliases.map(code).join(', ');
}

function defaultOf(value: string | number | boolean): string {
  return code(typeof value === 'boolean' ? Number(value) : value);
}

function typeOf({ type, enum: words, minimum, maximum, unit }: Setting): string {
  if (words !== undefined) return words.map(code).join(' ');
  if (minimum === undefined || maximum === undefined) return type;
  return `${type}, ${minimum} to ${maximum}${unit === undefined ? '' : ` (${unit})`}`;
}

function meaning(setting: Setting): string {
  const marks = [
    setting.required === true ? 'Required.' : '',
    setting.fixed === true ? 'Once.' : '',
    setting.sensitive === true ? 'Secret.' : '',
    setting.type === 'string' ? `Value: ${setting.expected}.` : '',
  ];
  return [setting.description, ...marks].filter((part) => part !== '').join(' ');
}
