import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Redactor } from './redact.ts';

const KEY = '7-Zq3vT9sLk2XbN8wYc5Rf1HgPd6Jm4UaEoQi0KtBnMxVzCyWrSpDlGhFjAeIuOqTb';
const CHAP = 'chap+Secret/14=';

/** Every run of eight characters of a secret. */
function runs(secret: string): string[] {
  return Array.from({ length: secret.length - 7 }, (_one, at) => secret.slice(at, at + 8));
}

describe('a secret that is known', () => {
  const forms: readonly (readonly [string, (secret: string) => string])[] = [
    ['itself', (one) => one],
    ['its beginning', (one) => one.slice(0, 12)],
    ['its end', (one) => one.slice(-9)],
    ['in JSON', (one) => JSON.stringify({ x: one })],
    ['in a URL', (one) => `https://nas/?x=${encodeURIComponent(one)}`],
    ['in base64', (one) => Buffer.from(one).toString('base64')],
    ['in base64url', (one) => Buffer.from(one).toString('base64url')],
    ['in base64 behind a user', (one) => Buffer.from(`u:${one}`).toString('base64')],
    ['in base64 behind a longer user', (one) => Buffer.from(`us:${one}!`).toString('base64')],
    ['in hexadecimal', (one) => Buffer.from(one).toString('hex')],
    ['in capital hexadecimal', (one) => Buffer.from(one).toString('hex').toUpperCase()],
    ['backwards', (one) => Array.from(one).reverse().join('')],
  ];

  it.each(forms)('%s is removed, and what stands beside it stays', (_form, make) => {
    for (const secret of [KEY, CHAP]) {
      const written = make(secret);
      const cleaned = new Redactor([KEY, CHAP]).clean(`before ${written} after`);
      expect(cleaned).toMatch(/^before .*<removed>.* after$/);
      for (const run of runs(secret)) expect(cleaned).not.toContain(run);
      const coded = /[A-Za-z0-9+/_-]{12,}/.exec(cleaned.replaceAll('<removed>', ' '))?.[0] ?? '';
      expect(Buffer.from(coded, 'base64').toString('latin1')).not.toContain(secret.slice(0, 6));
    }
  });

  it('of any form, anywhere in any text: no run of it is left', () => {
    const secret = fc.string({ minLength: 8, maxLength: 64, unit: fc.constantFrom(...Array.from('abcXYZ019+/=-_.!')) });
    fc.assert(
      fc.property(secret, fc.string({ maxLength: 50 }), fc.string({ maxLength: 50 }), fc.nat(2), (one, before, after, pad) => {
        const base64 = Buffer.from('x'.repeat(pad) + one).toString('base64');
        const cleaned = new Redactor([one]).clean(`${before}${one}${after}\n${base64}`);
        return runs(one).every((run) => !cleaned.replaceAll('<removed>', '').includes(run) || '<removed>'.includes(run));
      }),
    );
  });

  it('a short one is removed whole, one too short to be told from a word is not', () => {
    expect(new Redactor(['s3cr']).clean('is s3cr, x')).toBe('is <removed>, x');
    expect(new Redactor(['ab']).clean('about')).toBe('about');
  });
});

describe('a secret that nobody knows', () => {
  const S = 'hunter2hunter2';
  it.each([
    `node.session.auth.password = ${S}`,
    `#discovery.sendtargets.auth.password_in = ${S}`,
    `\tapi_key ${S}`,
    `\ttruenas-api-key ${S}`,
    `\tchap_password ${S}`,
    `pvesm set nas --api_key ${S} --x`,
    `pvesm set nas --chap-password=${S}`,
    `{"password":"${S}"}`,
    `{"level":30,"text":"{\\"secret\\":\\"${S}\\"}"}`,
    `api_key: '${S}'`,
    `wss://root:${S}@nas/api`,
    `https://nas/?token=${S}&x=1`,
    `Authorization: Bearer ${S}`,
    `Authorization: Basic ${S}`,
    `Cookie: ${S}`,
    `said Bearer ${S}`,
    `Password: ${S}`,
    `PASSWORD=${S}`,
    `set chap_password ${S} for nas`,
    `-----BEGIN PRIVATE KEY-----\n${S}\n-----END PRIVATE KEY-----`,
    `-----BEGIN RSA PRIVATE KEY-----\n${S}`,
  ])('%s', (text) => {
    const cleaned = new Redactor([]).clean(text);
    expect(cleaned).not.toContain('hunter2');
    expect(cleaned).toContain('<removed>');
  });

  it('a key of TrueNAS by its form alone', () => {
    expect(new Redactor([]).clean(`login of ${KEY} failed`)).toBe('login of <removed> failed');
  });
});

it('what is no secret stays', () => {
  const text = [
    'the API key lacks the role POOL_READ',
    'API key: ok',
    '{"name":"API key","state":"ok"}',
    'node.session.timeo.replacement_timeout = 120',
    'target iqn.2005-10.org.freenas.ctl:proxmox at 192.0.2.10:3260, 0x6589cfc0000001234567890123456789',
    'AB:CD:EF https://nas.example.org/api/current',
    'the keys of this node, a token ring',
  ].join('\n');
  // only what follows "key:" is taken for one
  expect(new Redactor(['1-unrelated-key']).clean(text)).toBe(text.replace('API key: ok', 'API key: <removed>'));
});

it('long lines without end are no work', () => {
  const redactor = new Redactor([KEY, CHAP]);
  for (const unit of ['a.', 'key=', '"', '\\"', 'a://', '-----BEGIN ', 'x_', ' ', '1-a', '\t', 'password ', '[]'])
    expect(redactor.clean(unit.repeat(200_000)).length).toBeGreaterThan(0);
});
