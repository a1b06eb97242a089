import { printable } from '../core/volume-name.ts';
import { SETTINGS, settingNamed } from './schema.ts';
import type { Setting } from './setting.ts';
import type { ConfigFault, Severity } from './storage-config.ts';

/** What one section says, setting by setting; reading a value collects its faults. */
export interface SectionReader {
  /** The checked value; undefined when it is not set or wrong (then there is a fault, by default an error). Read a setting once. */
  read<T>(setting: Setting<T>, severity?: Severity): T | undefined;
  /** The names under which the setting stands in the section: none when it is not set. */
  names(setting: Setting): readonly string[];
  /** The name the user knows it by: as written, else in the style (`tn_…` or not) of the section. */
  nameOf(setting: Setting): string;
  error(setting: Setting, message: string, cure: string): void;
  warning(setting: Setting, message: string, cure: string): void;
}

interface Written {
  readonly name: string;
  readonly raw: unknown;
}

/** Keys of a section that are no settings: PVE's loader adds them. */
const NO_SETTINGS = new Set(['type', 'digest', 'storage', 'priority']);

/** Sorts the keys of a section into settings; unknown ones are warned about and passed over (F-022). */
export function readerOf(raw: Readonly<Record<string, unknown>>, faults: ConfigFault[]): SectionReader {
  const written = new Map<Setting, Written[]>();
  for (const [name, value] of Object.entries(raw)) {
    const setting = settingNamed(name);
    if (setting !== undefined) written.set(setting, [...(written.get(setting) ?? []), { name, raw: value }]);
    else if (!NO_SETTINGS.has(name)) faults.push(unknownSetting(name));
  }
  // Perl hands a section over in another order each time; what is said of two names of one setting must not depend on it.
  for (const [setting, values] of written) values.sort((a, b) => rank(setting, a.name) - rank(setting, b.name));
  const names = (setting: Setting): readonly string[] => (written.get(setting) ?? []).map(({ name }) => name);
  const tnStyle = [...written.keys()].some((setting) => names(setting).some((name) => name !== setting.name && name.startsWith('tn_')));
  const nameOf = (setting: Setting): string => {
    const styled = tnStyle ? setting.aliases.find((alias) => alias.startsWith('tn_')) : undefined;
    return names(setting)[0] ?? styled ?? setting.name;
  };
  const put =
    (severity: ConfigFault['severity']) =>
    (setting: Setting, message: string, cure: string): void => {
      faults.push({ setting: nameOf(setting), severity, message, cure });
    };
  const read = <T>(setting: Setting<T>, severity: Severity = 'error'): T | undefined => {
    const values = (written.get(setting) ?? []).flatMap((one) => {
      const parsed = valueOf(setting, one, severity, faults);
      return parsed === null ? [] : [{ name: one.name, value: parsed.value }];
    });
    const [first, ...others] = values;
    if (first === undefined) return undefined;
    const other = others.find((one) => JSON.stringify(one.value) !== JSON.stringify(first.value));
    if (other !== undefined) faults.push(contradiction(first.name, other.name, severity));
    return first.value;
  };
  return { read, names, nameOf, error: put('error'), warning: put('warning') };
}

/** 0 for the setting's own name, then its aliases. */
function rank(setting: Setting, name: string): number {
  return setting.name === name ? 0 : 1 + setting.aliases.indexOf(name);
}

function valueOf<T>(setting: Setting<T>, { name, raw }: Written, severity: Severity, faults: ConfigFault[]): { readonly value: T } | null {
  if (setting.type !== 'boolean' && (raw === null || raw === undefined)) {
    faults.push({
      setting: name,
      severity: setting.required === true ? 'error' : 'warning',
      message: 'has no value and is passed over',
      cure: `set ${name} to ${setting.expected}, or remove it`,
    });
    return null;
  }
  const parsed = setting.schema.safeParse(raw);
  if (parsed.success) return { value: parsed.data };
  // the rules of sensitive settings quote nothing of the value (secret-rules.ts)
  const reason = parsed.error.issues[0]?.message ?? 'is not usable';
  faults.push({ setting: name, severity, message: reason, cure: `set ${name} to ${setting.expected}` });
  return null;
}

function contradiction(one: string, other: string, severity: Severity): ConfigFault {
  return {
    setting: other,
    severity,
    message: `${one} and ${other} are two names of one setting and have different values`,
    cure: `remove one of ${one} and ${other}`,
  };
}

function unknownSetting(name: string): ConfigFault {
  const like = bare(name);
  const near = SETTINGS.flatMap((setting) => [setting.name, ...setting.aliases]).find((known) => bare(known) === like);
  return {
    setting: printable(name),
    severity: 'warning',
    message: 'is not a setting of this storage type and is passed over',
    cure: near === undefined ? 'remove it' : `write ${near}, or remove it`,
  };
}

/** A name without its prefix and without the difference between `-` and `_`. */
function bare(name: string): string {
  return name
    .toLowerCase()
    .replace(/-/g, '_')
    .replace(/^(?:tn|truenas)_/, '');
}
