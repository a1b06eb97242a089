import { describe, expect, it } from 'vitest';
import { completeAnswers, parseYamlAnswers } from './answers.ts';

const complete = { storage: 'tn', host: 'nas', dataset: 'tank/proxmox', portals: ['192.0.2.10'] };

describe('answers in YAML', () => {
  it.each([
    ['datset: tank/x', 'did you mean dataset'],
    ['hots: nas', 'did you mean host'],
    ['wonderful: 1', 'known are storage, host'],
    ['admin-password: x', 'does not belong into this file'],
    ['api_key: x', 'does not belong into this file'],
    ['host: a\nhost: b', 'no YAML'],
    ['- host', 'no names with values'],
    ['host: [a', 'no YAML'],
    ['just text', 'no names with values'],
    ['', 'no names with values'],
    ['host: &a [x]\nportals: [*a, *a]', 'cannot be read'],
    ['__proto__: {admin: x}', 'is not known'],
    [`host: ${'x'.repeat(70_000)}`, 'longer than 64 KiB'],
  ])('refuses %j', (text, reason) => {
    expect(() => parseYamlAnswers(text)).toThrow(reason);
  });

  it('refuses aliases that would unfold to gigabytes, at once', () => {
    const levels = Array.from(
      { length: 40 },
      (_, at) =>
        `l${at}: &l${at} [${
          at === 0
            ? 'x'
            : Array(9)
                .fill(`*l${at - 1}`)
                .join(',')
        }]`,
    );
    expect(() => parseYamlAnswers(levels.join('\n'))).toThrow(/cannot be read|not known/);
  });

  it('never runs what a tag asks for', () => {
    expect(() => completeAnswers({ ...complete, ...parseYamlAnswers('host: !!js/function "() => 1"') })).toThrow();
  });
});

describe('answers', () => {
  it('has defaults for what need not be said', () => {
    expect(completeAnswers(complete)).toMatchObject({
      port: 443,
      target: 'proxmox',
      user: 'pve-truenas',
      initiator: 'kernel',
      probe: true,
    });
  });

  it('names all that is missing or wrong at once', () => {
    const wrong = { ...complete, host: 'https://nas', portals: ['nas'], initiators: { pve1: 'x' }, port: 0 };
    for (const part of [/'host': .*URL/, /'portals\.0'/, /'initiators\.pve1': is no iSCSI name/, /'port'/]) {
      expect(() => completeAnswers(wrong)).toThrow(part);
    }
    expect(() => completeAnswers({})).toThrow(/'storage' is missing.*'host' is missing.*'dataset' is missing.*'portals' is missing/);
  });

  it.each(['a b', '-x', 'x:', '../x', 'ä'])('refuses the storage id %j', (storage) => {
    expect(() => completeAnswers({ ...complete, storage })).toThrow("'storage': is not a storage id");
  });
});
