import type { Answers } from './answers.ts';
import type { Look } from './look.ts';

/** Settings of the storage in PVE, by their names in storage.cfg. `fingerprint` null: the certificate is trusted by a CA. */
export function sectionFor(
  answers: Answers,
  look: Pick<Look, 'basename' | 'port'>,
  fingerprint: string | null,
): Readonly<Record<string, string>> {
  const [first = '', ...more] = answers.portals.map((ip) => (ip.includes(':') ? `[${ip}]:${look.port}` : `${ip}:${look.port}`));
  const target = answers.target.startsWith(`${look.basename}:`) ? answers.target : `${look.basename}:${answers.target}`;
  return {
    api_host: answers.host,
    api_port: String(answers.port),
    ...(fingerprint === null ? {} : { fingerprint }),
    'truenas-username': answers.user,
    dataset: answers.dataset,
    target_iqn: target,
    discovery_portal: first,
    ...(more.length === 0 ? {} : { portals: more.join(',') }),
    ...(answers.multipath ? { use_multipath: '1' } : {}),
    'truenas-initiator': answers.initiator,
  };
}

/** Settings that a storage of this id has otherwise. */
export function differences(wanted: Readonly<Record<string, string>>, found: Readonly<Record<string, string | null>>): readonly string[] {
  return Object.entries(wanted).flatMap(([name, value]) =>
    (found[name] ?? '').toLowerCase() === value.toLowerCase() ? [] : [`${name} is ${found[name] ?? 'not set'} instead of ${value}`],
  );
}
