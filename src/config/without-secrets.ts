import { settingNamed } from './schema.ts';

/** A section without its secrets, as it may go over the socket or into the journal (law 10): the daemon reads these itself. */
export function withoutSecrets<T>(properties: Readonly<Record<string, T>>): Record<string, T> {
  const open = Object.entries(properties).filter(
    // also what a slip of the pen made of a secret's name
    ([name]) => settingNamed(name)?.sensitive !== true && !/(?:^|[_-])(?:api[_-]?key|pass(?:word|wd)?|secret|token)$/i.test(name),
  );
  return Object.fromEntries(open);
}
