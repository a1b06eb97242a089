import { CONNECTION, FABRIC, PVE, VOLUMES } from './active-settings.ts';
import { INERT } from './inert-settings.ts';
import type { Setting } from './setting.ts';

/** The `type` of our sections in storage.cfg, the same as that of the plugins replaced. */
export const STORAGE_TYPE = 'truenasplugin';

/**
 * Every setting of the storage type, once. The Perl schema, docs/reference/settings.md and the daemon's parser
 * (parse-section.ts) are all made from this list; each entry carries the zod schema of its value.
 */
export const SETTINGS: readonly Setting[] = [
  ...Object.values(CONNECTION),
  ...Object.values(VOLUMES),
  ...Object.values(FABRIC),
  ...Object.values(PVE),
  ...INERT,
];

const BY_NAME: ReadonlyMap<string, Setting> = new Map(
  SETTINGS.flatMap((setting) => [setting.name, ...setting.aliases].map((name) => [name, setting] as const)),
);

/** The setting that has this name or alias. */
export function settingNamed(name: string): Setting | undefined {
  return BY_NAME.get(name);
}
