import { expect, it } from 'vitest';
import { SETTINGS } from './schema.ts';
import { withoutSecrets } from './without-secrets.ts';

it('keeps every setting but the secrets, whatever their name or spelling', () => {
  const names = SETTINGS.flatMap((setting) => [setting.name, ...setting.aliases]);
  const secret = SETTINGS.filter((setting) => setting.sensitive === true).flatMap((setting) => [setting.name, ...setting.aliases]);
  const left = Object.keys(withoutSecrets(Object.fromEntries(names.map((name) => [name, 'x']))));
  expect(left).toEqual(names.filter((name) => !secret.includes(name)));
  expect(withoutSecrets({ 'api-key': '1', apikey: '2', chap_passwd: '3', password: '4', Secret: '5', secret_santa: '6' })).toEqual({
    secret_santa: '6',
  });
});
