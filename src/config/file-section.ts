import { CONNECTION } from './active-settings.ts';
import { parseSection } from './parse-section.ts';
import { settingNamed } from './schema.ts';
import type { Setting } from './setting.ts';
import type { StorageSection } from './storage-cfg.ts';
import type { ConfigFault, StorageConfig } from './storage-config.ts';

/** What PVE's own declaration of `fingerprint` lets pass (PVE::Storage::PBSPlugin). */
const PVE_FINGERPRINT = /^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/i;

/**
 * As parseSection, for a section as it stands in storage.cfg: PVE's loader passes over a value that its schema refuses,
 * with a line in the log only, and goes on with the default. What that loses is a fault here.
 */
export function parseFileSection(section: Pick<StorageSection, 'id' | 'properties'>): {
  readonly config: StorageConfig | null;
  readonly faults: readonly ConfigFault[];
} {
  const kept: Record<string, string | null> = {};
  const lost: ConfigFault[] = [];
  for (const [name, value] of Object.entries(section.properties)) {
    const fault = passedOver(name, value);
    if (fault === null) Object.defineProperty(kept, name, { value, enumerable: true });
    else lost.push(fault);
  }
  const { config, faults } = parseSection(section.id, kept);
  return { config: lost.some((fault) => fault.severity === 'error') ? null : config, faults: [...lost, ...faults] };
}

function passedOver(name: string, value: string | null): ConfigFault | null {
  const setting = settingNamed(name);
  if (setting === undefined || value === null) return null;
  if (setting.type === 'boolean') return lostBoolean(setting, name, value);
  if (setting === CONNECTION.fingerprint) return lostFingerprint(name, value);
  return null;
}

/** PVE::JSONSchema check_type: of a boolean in a file only 1 and 0 count, no word. */
function lostBoolean(setting: Setting, name: string, value: string): ConfigFault | null {
  if (value === '0' || value === '1') return null;
  const meant = setting.schema.safeParse(value);
  const harmless = setting.effect === 'none' || (meant.success && meant.data === (setting.default ?? false));
  return {
    setting: name,
    severity: harmless ? 'warning' : 'error',
    message: meant.success
      ? `PVE takes only 1 and 0 in storage.cfg and passes over '${value}'`
      : (meant.error.issues[0]?.message ?? 'is not usable'),
    cure: `set ${name} to ${setting.expected}`,
  };
}

/** A fingerprint that we would understand and PVE does not; what neither does is left to the setting's own rule. */
function lostFingerprint(name: string, value: string): ConfigFault | null {
  if (PVE_FINGERPRINT.test(value)) return null;
  const meant = CONNECTION.fingerprint.schema.safeParse(value);
  if (!meant.success) return null;
  return {
    setting: name,
    severity: 'error',
    message: 'PVE takes only pairs of hexadecimal digits with colons and passes over this spelling',
    cure: `write it as ${meant.data}`,
  };
}
